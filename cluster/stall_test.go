package cluster_test

import (
	"log"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// stalls is a network on which members can stand still. What a member that stands still sends, waits
// until it runs again, and so does what others send to it.
type stalls struct {
	membership.Network
	mu    sync.Mutex
	still map[netip.AddrPort]chan struct{} // closed when the member runs again
}

func (n *stalls) stop(members ...int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, i := range members {
		n.still[addrPort(i)] = make(chan struct{})
	}
}

func (n *stalls) resume(members ...int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, i := range members {
		close(n.still[addrPort(i)])
		delete(n.still, addrPort(i))
	}
}

func (n *stalls) Listen(addr netip.AddrPort, logger *log.Logger) (membership.Transport, error) {
	inner, err := n.Network.Listen(addr, logger)
	if err != nil {
		return nil, err
	}
	t := &stalled{
		Transport: inner, net: n, addr: addr,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), done: make(chan struct{}),
	}
	t.pumps.Go(func() { pump(t, inner.PacketCh(), t.packets) })
	t.pumps.Go(func() { pump(t, inner.StreamCh(), t.streams) })
	return t, nil
}

// stalled is the transport of one member.
type stalled struct {
	membership.Transport
	net     *stalls
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{}
	once    sync.Once
	pumps   sync.WaitGroup
}

// wait waits while the member stands still.
func (t *stalled) wait() {
	t.net.mu.Lock()
	still := t.net.still[t.addr]
	t.net.mu.Unlock()
	if still == nil {
		return
	}
	select {
	case <-still:
	case <-t.done:
	}
}

func pump[T any](t *stalled, from <-chan T, to chan<- T) {
	for {
		select {
		case one := <-from:
			t.wait()
			select {
			case to <- one:
			case <-t.done:
				return
			}
		case <-t.done:
			return
		}
	}
}

func (t *stalled) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t *stalled) StreamCh() <-chan net.Conn           { return t.streams }

func (t *stalled) WriteToAddress(p []byte, a membership.Address) (time.Time, error) {
	t.wait()
	return t.Transport.WriteToAddress(p, a)
}

func (t *stalled) DialAddressTimeout(a membership.Address, timeout time.Duration) (net.Conn, error) {
	t.wait()
	return t.Transport.DialAddressTimeout(a, timeout)
}

func (t *stalled) Shutdown() error {
	t.once.Do(func() { close(t.done) })
	t.pumps.Wait()
	return t.Transport.Shutdown()
}

// stalling makes all members of a test use one network on which they can stand still.
func (b *testNet) stalling() (*stalls, edit) {
	n := &stalls{Network: b.net, still: make(map[netip.AddrPort]chan struct{})}
	return n, func(o *cluster.Options) { o.Gossip.Network = n }
}

// throttle lets a member stand still and run in turn for some time.
func (n *stalls) throttle(still, runs, whole time.Duration, members ...int) {
	for begun := time.Now(); time.Since(begun) < whole; {
		n.stop(members...)
		time.Sleep(still)
		n.resume(members...)
		time.Sleep(runs)
	}
}

// A member that stands still again and again steps back, so that the rings of the others change few times.
// It owns again when it has been in touch for some time. The others name it.
func TestAMemberThatStandsStill(t *testing.T) {
	long(t)
	for name, c := range map[string]struct{ still, runs time.Duration }{
		"most of the time":   {8 * time.Second, 4 * time.Second},
		"half of the time":   {20 * time.Second, 20 * time.Second},
		"runs longer":        {10 * time.Second, 15 * time.Second},
		"longer than a dial": {40 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				var lines logLines
				n, on := b.stalling()
				all := b.startMany(5, on, func(o *cluster.Options) {
					if o.NodeID == "n5" {
						lines.keep(o)
					}
				})
				var changes []func() uint64
				for _, c := range all[:4] {
					changes = append(changes, ringChanges(c))
				}
				time.Sleep(10 * time.Second) // the news of the start is out, so that none of it is sent after a stall
				n.throttle(c.still, c.runs, 100*time.Second, 5)
				for i, other := range all[:4] {
					require.LessOrEqual(t, changes[i](), uint64(4), "of %s", other.Local().ID)
					if c.still+c.runs < 20*time.Second {
						require.Contains(t, problem(t, other, "flapping").Message, "n5 at "+gossipAddr(5))
					}
				}
				p := problem(t, all[4], "declared-dead")
				require.Contains(t, p.Message, "had declared this one dead: it owns nothing until it has been in touch with others for ")
				require.True(t, p.Unready)
				require.True(t, all[4].Metrics().Problems["declared-dead"])
				require.Len(t, lines.with("level=WARN", "a problem appeared", "problem=declared-dead"), 1)
				awaitWithin(t, 11*time.Minute, "it owns again", func() bool { return all[4].Local().State == membership.Active })
				b.agree(all...)
				for i, other := range all[:4] {
					require.LessOrEqual(t, changes[i](), uint64(4), "of %s", other.Local().ID)
				}
				require.NotContains(t, problems(all[4]), "declared-dead")
			})
		})
	}
}

// The wait doubles with each death, and is short again after half an hour without one.
func TestTheWaitAfterADeath(t *testing.T) {
	long(t)
	inBubble(t, func(t *testing.T, b *testNet) {
		n, on := b.stalling()
		all := b.startMany(5, on)
		for i, wait := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 30 * time.Second} {
			if i == 3 {
				time.Sleep(30 * time.Minute)
			}
			n.stop(5)
			time.Sleep(20 * time.Second)
			n.resume(5)
			resumed := time.Now()
			b.await("it steps back", func() bool { return all[4].Local().State == membership.Observer })
			require.Contains(t, problem(t, all[4], "declared-dead").Message, "in touch with others for "+wait.String()+" without a pause")
			awaitWithin(t, 2*wait, "it owns again", func() bool { return all[4].Local().State == membership.Active })
			require.InDelta(t, wait.Seconds(), time.Since(resumed).Seconds(), 3)
		}
	})
}

// All members stand still at once, or half of them are cut off from the other half. No member is to blame,
// so none steps back.
func TestAStandstillOfMany(t *testing.T) {
	long(t)
	for name, c := range map[string]struct {
		members int
		fault   func(b *testNet, n *stalls)
	}{
		"all links": {7, func(b *testNet, n *stalls) {
			n.stop(1, 2, 3, 4, 5, 6, 7)
			time.Sleep(10 * time.Second)
			n.resume(1, 2, 3, 4, 5, 6, 7)
		}},
		"half": {6, func(b *testNet, n *stalls) { b.split(30*time.Second, []int{1, 2, 3}) }},
		"four zones": {8, func(b *testNet, n *stalls) {
			b.split(5*time.Minute, []int{1, 2}, []int{3, 4}, []int{5, 6})
		}},
		"two members": {2, func(b *testNet, n *stalls) { b.split(30*time.Second, []int{1}) }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				n, on := b.stalling()
				var lines logLines
				all := b.startMany(c.members, on, lines.keep)
				c.fault(b, n)
				for range 60 {
					time.Sleep(time.Second)
					for _, c := range all {
						require.Equal(t, membership.Active, c.Local().State)
					}
				}
				b.agree(all...)
				require.Empty(t, lines.with("problem=declared-dead"))
			})
		})
	}
}

// split cuts groups of members off from each other and from all others for some time.
func (b *testNet) split(during time.Duration, groups ...[]int) {
	parts := make([][]netip.AddrPort, len(groups))
	for i, group := range groups {
		for _, member := range group {
			parts[i] = append(parts[i], addrPort(member))
		}
	}
	require.NoError(b.t, b.net.Partition(parts...))
	time.Sleep(during)
	b.net.Heal()
}

// With a handoff no write is lost when a member steps back. Writes are refused only around each change of
// owners: 1 % of the writes here, and 3 % where the member owns again at once.
func TestAStandstillLosesNoWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		n, on := b.stalling()
		f := newFleet(t, b, 5, false, on)
		begun := f.written
		require.NoError(t, during(50*time.Millisecond, func() { f.writeAll(); f.check() }, func() error {
			n.throttle(8*time.Second, 4*time.Second, 36*time.Second, 5)
			return nil
		}))
		problem(t, f.members["n5"], "declared-dead")
		require.NoError(t, during(200*time.Millisecond, f.writeAll, func() error {
			awaitWithin(t, 3*time.Minute, "it owns again", func() bool { return f.members["n5"].Local().State == membership.Active })
			return nil
		}))
		f.calm()
		f.check() // while views differ a read may miss a write
		require.Less(t, len(f.refused), (f.written-begun)/40)
	})
}
