package transport

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTheTableOfClientsIsBounded: a million addresses take no more memory than a
// hundred, and do not replace a client that keeps sending requests.
func TestTheTableOfClientsIsBounded(t *testing.T) {
	const bound = 100
	table := newClientTable(RateLimit{PerSecond: 0.01, Burst: 1}, bound)
	now := time.Now()
	loyal := netip.MustParsePrefix("192.0.2.1/32")
	require.Zero(t, table.take(loyal, now))
	addr := netip.MustParseAddr("10.0.0.0")
	for i := range 1_000_000 {
		addr = addr.Next()
		require.Zero(t, table.take(netip.PrefixFrom(addr, 32), now))
		if i%(bound/2) == 0 {
			require.Equal(t, 100, table.take(loyal, now))
		}
	}
	require.Equal(t, bound, table.order.Len())
	require.Len(t, table.byKey, bound)
	require.NotContains(t, table.byKey, netip.MustParsePrefix("10.0.0.1/32"))
}

func TestTheTableOfClientsFromManyGoroutines(t *testing.T) {
	table := newClientTable(RateLimit{PerSecond: 1, Burst: 50}, 8)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			addr := netip.MustParseAddr("10.0.0.0")
			for range 1000 {
				addr = addr.Next()
				table.take(netip.PrefixFrom(addr, 32), time.Now())
			}
		})
	}
	wg.Wait()
	require.Len(t, table.byKey, 8)
}
