package packetstream

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// ground is a network in memory in a bubble of virtual time.
type ground struct {
	*testing.T
	net *memnet.Network
	all []interface{ Shutdown() error }
}

func inBubble(t *testing.T, run func(g *ground)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network, err := memnet.New(memnet.Options{Latency: time.Millisecond, PacketLoss: 1})
		require.NoError(t, err)
		g := &ground{T: t, net: network}
		defer func() {
			for _, one := range g.all {
				require.NoError(t, one.Shutdown())
			}
			synctest.Wait()
			require.Zero(t, network.Stats().StreamsOpen)
		}()
		run(g)
	})
}

func address(i int) netip.AddrPort { return netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:7946", i)) }

// raw returns a transport without the layer under test.
func (g *ground) raw(i int) memberlist.NodeAwareTransport {
	g.Helper()
	inner, err := g.net.Listen(address(i), log.New(io.Discard, "", 0))
	require.NoError(g, err)
	return inner
}

func (g *ground) listen(i int, o Options) *Transport {
	g.Helper()
	o.Label = "orders"
	t := New(g.raw(i), 7946, o)
	g.all = append(g.all, t)
	return t
}

// dial opens a stream as a process that is no member.
func (g *ground) dial(from memberlist.NodeAwareTransport, to int) net.Conn {
	g.Helper()
	conn, err := from.DialTimeout(address(to).String(), time.Second)
	require.NoError(g, err)
	return conn
}

func (g *ground) send(from *Transport, to int, packet string) {
	g.Helper()
	_, err := from.WriteTo([]byte(packet), address(to).String())
	require.NoError(g, err)
}

// receive returns the next packet, and fails when there is none within the time.
func (g *ground) receive(at *Transport, within time.Duration) *memberlist.Packet {
	g.Helper()
	select {
	case p := <-at.PacketCh():
		return p
	case <-time.After(within):
		require.Fail(g, "no packet")
		return nil
	}
}

// inbound returns the numbers of inbound streams whose beginning is not read yet, and of those that
// carry packets.
func (t *Transport) inbound() (heads, streams int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range []*door{&t.known, &t.strangers} {
		heads, streams = heads+len(d.heads.members), streams+len(d.within.members)
	}
	return heads, streams
}

func TestPacketsOverOneStream(t *testing.T) {
	inBubble(t, func(g *ground) {
		one, two := g.listen(1, Options{}), g.listen(2, Options{})
		for i := range 1000 {
			want := fmt.Sprint("packet ", i)
			g.send(one, 2, want)
			p := g.receive(two, time.Second)
			require.Equal(g, want, string(p.Buf))
			require.Equal(g, "10.0.0.1:7946", p.From.String(), "the gossip port, and not that of the stream")
			time.Sleep(10 * time.Millisecond)
		}
		require.EqualValues(g, 1, g.net.Stats().Dials)
		g.send(two, 1, "back")
		g.receive(one, time.Second)
		require.EqualValues(g, 2, g.net.Stats().Dials)
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		require.Zero(g, g.net.Stats().StreamsOpen, "idle streams are closed")
		g.send(one, 2, "again")
		require.Equal(g, "again", string(g.receive(two, time.Second).Buf))
		require.Zero(g, one.Counts())
		require.Zero(g, two.Counts())
		for _, packet := range [][]byte{nil, make([]byte, maxPacket+1)} {
			_, err := one.WriteTo(packet, "10.0.0.2:7946")
			require.ErrorContains(g, err, "must be between 1 and 16384")
		}
	})
}

// A receiver that takes nothing does not delay a sender, and holds little of its memory. Other
// receivers get their packets meanwhile.
func TestASlowReceiver(t *testing.T) {
	inBubble(t, func(g *ground) {
		one, _, fast := g.listen(1, Options{QueueBytes: 1 << 10}), g.listen(2, Options{}), g.listen(3, Options{})
		begun := time.Now()
		for i := range 2000 {
			g.send(one, 2, strings.Repeat("x", 500))
			if i%100 == 0 {
				g.send(one, 3, "quick")
				require.Equal(g, "quick", string(g.receive(fast, time.Second).Buf))
			}
		}
		require.Less(g, time.Since(begun), time.Second)
		require.NotZero(g, one.Counts().Dropped)
		one.mu.Lock()
		defer one.mu.Unlock()
		for _, p := range one.peers {
			require.LessOrEqual(g, len(p.queue), 1<<10)
		}
	})
}

// An address that refuses is dialled ever more rarely, and again soon enough after it is back.
func TestAnAddressThatRefuses(t *testing.T) {
	inBubble(t, func(g *ground) {
		one := g.listen(1, Options{})
		for range 600 {
			g.send(one, 2, "lost")
			time.Sleep(100 * time.Millisecond)
		}
		require.LessOrEqual(g, g.net.Stats().Dials, uint64(25))
		require.GreaterOrEqual(g, g.net.Stats().Dials, uint64(10))
		two := g.listen(2, Options{})
		for range 10 {
			time.Sleep(time.Second)
			g.send(one, 2, "found")
		}
		require.Equal(g, "found", string(g.receive(two, time.Second).Buf))
	})
}

// A process is replaced by another one at its address, without a sign of it. Its stream confirms
// nothing any more, and is replaced.
func TestAStreamThatStalls(t *testing.T) {
	inBubble(t, func(g *ground) {
		one, two := g.listen(1, Options{}), g.listen(2, Options{})
		g.send(one, 2, "before")
		g.receive(two, time.Second)
		g.net.Crash(address(2))
		again := g.listen(2, Options{})
		for range 8 {
			g.send(one, 2, "after")
			time.Sleep(200 * time.Millisecond)
		}
		require.Equal(g, "after", string(g.receive(again, time.Second).Buf))
	})
}

// Streams that carry no packets pass unchanged, also when their bytes come one at a time.
func TestOtherStreamsPass(t *testing.T) {
	inBubble(t, func(g *ground) {
		one := g.listen(1, Options{})
		other := g.raw(2)
		g.all = append(g.all, other)
		for _, sent := range [][]byte{{244, 6, 'o', 'r', 'd', 'e', 'r', 's', 6}, {0}, {0xC1, 'c', 'k'}} {
			conn := g.dial(other, 1)
			go func() {
				for _, b := range sent {
					_, _ = conn.Write([]byte{b})
					time.Sleep(time.Second)
				}
				_ = conn.Close()
			}()
			in := <-one.StreamCh()
			got, err := io.ReadAll(in)
			require.NoError(g, err)
			require.Equal(g, sent, got)
			require.NoError(g, in.Close())
		}
		synctest.Wait()
		heads, streams := one.inbound()
		require.Zero(g, heads+streams)
	})
}

// What strangers send costs a bounded number of streams, for a bounded time, and no packet of it
// reaches memberlist unless it has the form of one.
func TestStrangers(t *testing.T) {
	head := hello(7946, "orders")
	for name, c := range map[string]struct {
		sent   []byte
		closes time.Duration // after the last byte
		want   Counts
	}{
		"silent":            {nil, 5 * time.Second, Counts{Malformed: 1}},
		"half a mark":       {head[:2], 5 * time.Second, Counts{Malformed: 1}},
		"another cluster":   {hello(7946, "invoices"), 0, Counts{OtherLabel: 1}},
		"a prefix":          {hello(7946, "order"), 0, Counts{OtherLabel: 1}},
		"no label":          {hello(7946, ""), 0, Counts{OtherLabel: 1}},
		"another version":   {[]byte{0xC2, 'c', 'k', 2, 0, 0, 0}, 0, Counts{Malformed: 1}},
		"an empty packet":   {append(bytes.Clone(head), 0, 0), 0, Counts{Malformed: 1}},
		"a large packet":    {append(bytes.Clone(head), 0xff, 0xff), 0, Counts{Malformed: 1}},
		"half a packet":     {append(bytes.Clone(head), 0, 9, 1), 5 * time.Second, Counts{}},
		"no packet":         {head, 3 * time.Minute, Counts{}},
		"a packet and more": {append(appendFrame(bytes.Clone(head), []byte("x")), 0xff), 3 * time.Minute, Counts{}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *ground) {
				var lines bytes.Buffer
				one := g.listen(1, Options{Logger: log.New(&lines, "", 0)})
				other := g.raw(2)
				g.all = append(g.all, other)
				go func() {
					for range one.PacketCh() {
						continue
					}
				}()
				conn := g.dial(other, 1)
				_, err := conn.Write(c.sent)
				require.NoError(g, err)
				begun := time.Now()
				_, err = io.ReadAll(conn)
				require.NoError(g, err, "the other side closes it")
				require.InDelta(g, c.closes.Seconds(), time.Since(begun).Seconds(), 0.1)
				require.NoError(g, conn.Close())
				synctest.Wait()
				require.Equal(g, c.want, one.Counts())
				heads, streams := one.inbound()
				require.Zero(g, heads+streams)
				require.NotContains(g, lines.String(), `"orders"`)
				close(one.packets) // ends the goroutine above
			})
		})
	}
}

// The number of streams is bounded, in all and from one address. Further streams of packets replace
// the quietest ones, so that a member that gossips is heard.
func TestTheNumberOfStreams(t *testing.T) {
	inBubble(t, func(g *ground) {
		one := g.listen(1, Options{MaxHeads: 30, MaxHeadsPerSource: 10, MaxStreams: 20, MaxPerSource: 8})
		member, stranger := g.listen(2, Options{}), g.raw(3)
		g.all = append(g.all, stranger)
		for range 100 {
			_ = g.dial(stranger, 1)
		}
		synctest.Wait()
		heads, _ := one.inbound()
		require.Equal(g, 10, heads)
		require.EqualValues(g, 90, one.Counts().TooManyFromOne)
		g.send(member, 1, "heard")
		require.Equal(g, "heard", string(g.receive(one, time.Second).Buf))
		time.Sleep(time.Minute)
		heads, _ = one.inbound()
		require.Zero(g, heads)
		for i := range 50 {
			conn := g.dial(stranger, 1)
			_, err := conn.Write(hello(7946, "orders"))
			require.NoError(g, err)
			time.Sleep(time.Second)
			g.send(member, 1, fmt.Sprint(i))
			require.Equal(g, fmt.Sprint(i), string(g.receive(one, time.Second).Buf))
		}
		_, streams := one.inbound()
		require.Equal(g, 9, streams)
	})
}

// Strangers at many addresses take neither the place of a known member nor that of a process that joins.
func TestManyStrangersLeaveRoom(t *testing.T) {
	inBubble(t, func(g *ground) {
		one := g.listen(1, Options{MaxHeads: 8, MaxHeadsPerSource: 4, MaxStreams: 8, MaxPerSource: 4, Known: func(a netip.Addr) bool { return a == address(2).Addr() }})
		member, joins := g.listen(2, Options{}), g.raw(3)
		g.all = append(g.all, joins)
		g.send(member, 1, "first")
		g.receive(one, time.Second)
		for i := range 5 {
			stranger := g.raw(10 + i)
			g.all = append(g.all, stranger)
			for range 4 {
				_ = g.dial(stranger, 1)
				_, err := g.dial(stranger, 1).Write(hello(7946, "orders"))
				require.NoError(g, err)
			}
		}
		synctest.Wait()
		begun := time.Now()
		conn := g.dial(joins, 1)
		_, err := conn.Write([]byte{6})
		require.NoError(g, err)
		require.NoError(g, (<-one.StreamCh()).Close())
		require.NoError(g, conn.Close())
		g.send(member, 1, "second")
		require.Equal(g, "second", string(g.receive(one, time.Second).Buf))
		require.Less(g, time.Since(begun), 10*time.Millisecond, "no stream was dialed again")
		require.EqualValues(g, 0, member.Counts().Dropped)
		require.Zero(g, one.Counts().Malformed, "what is closed to make room is not malformed")
	})
}

// A sender keeps no more peers than it may.
func TestTheNumberOfPeers(t *testing.T) {
	inBubble(t, func(g *ground) {
		one := g.listen(1, Options{MaxPeers: 5})
		for i := range 50 {
			two := g.listen(2+i, Options{})
			g.send(one, 2+i, "x")
			g.receive(two, time.Second)
		}
		synctest.Wait()
		one.mu.Lock()
		require.Len(g, one.peers, 5)
		one.mu.Unlock()
		require.LessOrEqual(g, g.net.Stats().StreamsOpen, 6)
	})
}

// pipes is a transport whose streams are pipes: their deadlines report that the sender has closed.
type pipes struct {
	memberlist.NodeAwareTransport
	streams chan net.Conn
}

func (p pipes) StreamCh() <-chan net.Conn { return p.streams }

// A sender closes its stream right after the packets. All of them arrive.
func TestASenderThatCloses(t *testing.T) {
	inBubble(t, func(g *ground) {
		inner := pipes{g.raw(1), make(chan net.Conn)}
		one := New(inner, 7946, Options{Label: "orders"})
		g.all = append(g.all, one)
		near, far := net.Pipe()
		inner.streams <- far
		sent := hello(7946, "orders")
		for i := range 5 {
			sent = appendFrame(sent, []byte(fmt.Sprint(i)))
		}
		_, err := near.Write(sent[:1])
		require.NoError(g, err)
		_, err = near.Write(sent[1:])
		require.NoError(g, err)
		require.NoError(g, near.Close())
		for i := range 5 {
			require.Equal(g, fmt.Sprint(i), string(g.receive(one, time.Second).Buf))
		}
	})
}

// Shutdown ends everything in the middle of dials, of streams and of packets that nobody takes.
func TestShutdown(t *testing.T) {
	inBubble(t, func(g *ground) {
		one, _ := g.listen(1, Options{}), g.listen(2, Options{})
		other := g.raw(9)
		g.all = append(g.all, other)
		g.net.Isolate(address(8))
		for range 100 {
			g.send(one, 2, "x")
			g.send(one, 8, "x") // hangs
			_ = g.dial(other, 1)
		}
		time.Sleep(100 * time.Millisecond)
		require.NoError(g, one.Shutdown())
		require.NoError(g, one.Shutdown())
		_, err := one.WriteTo([]byte("x"), "10.0.0.2:7946")
		require.ErrorIs(g, err, net.ErrClosed)
	})
}
