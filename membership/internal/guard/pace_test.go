package guard

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/internal/intake"
)

// flood sends the beginning of a long message on one stream after another, until n bytes were taken or
// the time is over. It returns the bytes that were taken.
func flood(p *pipeTransport, from string, n int, lasts time.Duration) (taken int) {
	head := append(labelHead("orders"), userHead(maxSealed)...)
	chunk := make([]byte, 64<<10)
	var near net.Conn
	for end := time.Now().Add(lasts); taken < n && time.Now().Before(end); {
		if near == nil {
			near = p.connect(from)
			_, _ = near.Write(head)
		}
		_ = near.SetWriteDeadline(end)
		sent, err := near.Write(chunk)
		taken += sent
		if err != nil {
			_ = near.Close()
			near = nil
		}
	}
	if near != nil {
		_ = near.Close()
	}
	return taken
}

// One network makes a member read a bounded number of bytes in each second, on however many streams.
// Known members and other networks do not wait for that.
func TestGuardReadsStrangersAtAPace(t *testing.T) {
	const lasts = 20 * time.Second
	o := Options{Label: "orders", Known: func(a netip.Addr) bool { return a == netip.MustParseAddr("10.0.0.9") }}
	inBubble(t, o, func(t *testing.T, _ *Guard, p *pipeTransport) {
		taken := make(chan int)
		for range 4 {
			go func() { taken <- flood(p, "10.0.0.1:1", 1<<30, lasts) }()
		}
		sum := 0
		for range 4 {
			sum += <-taken
		}
		require.Greater(t, sum, 20*paceRate)
		require.LessOrEqual(t, sum, 2*paceBurst+20*paceRate)

		begun := time.Now()
		require.Less(t, flood(p, "10.0.0.2:1", paceBurst-(128<<10), lasts), paceBurst)
		require.GreaterOrEqual(t, flood(p, "10.0.0.9:1", 4*paceBurst, lasts), 4*paceBurst)
		require.Zero(t, time.Since(begun))
	})
}

// All networks share the pace of a few, and none is left out. So the processor time that strangers cost has a bound.
func TestNetworksShareThePace(t *testing.T) {
	for _, networks := range []int{1, 4, 9, 100} {
		b := budget{paces: make(map[netip.Prefix]*pace), maxWait: time.Minute}
		now, read, next := time.Unix(1000, 0), make([]int, networks), make([]time.Time, networks)
		const lasts = 60
		for end := now.Add(lasts * time.Second); now.Before(end); now = now.Add(10 * time.Millisecond) {
			for i := range read {
				if !now.Before(next[i]) {
					read[i] += 32 << 10
					next[i] = now.Add(b.paced(intake.NetworkOf(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})), 32<<10, now))
				}
			}
		}
		sum, least, most := 0, slices.Min(read), slices.Max(read)
		for _, n := range read {
			sum += n
		}
		shared := min(networks, paceShared)
		require.LessOrEqual(t, sum, shared*(lasts*paceRate+paceBurst)+networks*(64<<10), networks)
		require.Greater(t, sum, shared*lasts*paceRate*9/10, networks)
		require.Less(t, most, least*5/4, networks)
	}
}

// The members in an exchange count. A member that joins does not wait, whatever its network has sent before.
func TestMembersInExchangesCount(t *testing.T) {
	inBubble(t, Options{Label: "orders"}, func(t *testing.T, g *Guard, p *pipeTransport) {
		send := func(members int) time.Duration {
			begun := time.Now()
			message := append(labelHead("orders"), exchangeHead(uint64(members), 0)...)
			for range members {
				message = append(message, stateBytes("n1", 1)...)
			}
			near := p.connect("10.0.0.1:1")
			go func() { _, _ = near.Write(message) }()
			require.NoError(t, (<-g.StreamCh()).Close())
			return time.Since(begun)
		}
		require.Zero(t, send(10_000))
		require.Greater(t, send(10_000), time.Second)
		require.Greater(t, send(10_000), 2*time.Second)
		require.Zero(t, send(1))
	})
}

// A stream that waits ends as soon as it is closed.
func TestGuardDoesNotWaitWithClosedStreams(t *testing.T) {
	inBubble(t, Options{Label: "orders"}, func(t *testing.T, g *Guard, p *pipeTransport) {
		near := p.connect("10.0.0.1:1")
		synctest.Wait()
		g.strangers.paced(netip.MustParsePrefix("10.0.0.1/32"), paceBurst, time.Now())
		_, err := near.Write(append(labelHead("orders"), userHead(1<<20)...))
		require.NoError(t, err)
		go func() { _, _ = near.Write(make([]byte, 1<<20)) }()
		time.Sleep(time.Millisecond) // it waits
		require.NoError(t, near.Close())
		begun := time.Now()
		require.EqualError(t, g.Shutdown(), "inner shutdown was called")
		require.Zero(t, time.Since(begun))
	})
}

// The paces of many networks are bounded, and forgotten when they are over.
func TestPacesAreBounded(t *testing.T) {
	b := budget{paces: make(map[netip.Prefix]*pace), maxWait: time.Minute}
	now := time.Unix(1000, 0)
	network := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)
	}
	for i := range 2 * maxPaces {
		wait := b.paced(network(i), paceFree, now)
		require.Equal(t, i >= maxPaces+paceShared*paceBurst/maxPaces/paceFree-1, wait > 0, i)
		require.LessOrEqual(t, len(b.paces), maxPaces+1)
	}
	now = now.Add(time.Hour)
	require.Zero(t, b.paced(network(5000), paceBurst, now))
	require.Len(t, b.paces, 1)
	require.Equal(t, time.Second, b.paced(network(5000), paceRate, now))
	require.Equal(t, time.Minute, b.paced(network(5000), 1<<30, now))
	require.Zero(t, b.paced(network(5001), paceBurst, now.Add(-time.Hour)), "a clock that goes back lets nobody wait longer")
}
