package transport

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// A client with many requests delays the one request of another client by one turn, and requests that
// end meanwhile by none.
func TestTurnsGoRoundTheClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 50
		all := newTurns()
		held := all.free
		for range held {
			require.True(t, all.take(t.Context(), netip.Prefix{}))
		}
		var order []string
		ask := func(ctx context.Context, name string, client netip.Prefix) {
			go func() {
				if all.take(ctx, client) {
					order = append(order, name) // one at a time: the turns that are held stay, but one
					all.give()
				}
			}()
			synctest.Wait() // it waits in the queue
		}
		ended, end := context.WithCancel(t.Context())
		for i := range many {
			ask(t.Context(), "greedy", netip.MustParsePrefix("192.0.2.1/32"))
			if i%2 == 0 {
				ask(ended, "ended", netip.MustParsePrefix("192.0.2.1/32"))
				ask(ended, "ended", netip.MustParsePrefix("192.0.2.2/32"))
			}
		}
		ask(t.Context(), "modest", netip.MustParsePrefix("198.51.100.7/32"))
		end()
		synctest.Wait()
		all.give()
		synctest.Wait()
		require.Equal(t, []string{"greedy", "modest", "greedy"}, order[:3])
		require.Len(t, order, many+1)
		require.NotContains(t, order, "ended")
		require.Equal(t, 1, all.free)
		require.Empty(t, all.waiting)
		for range held - 1 {
			all.give()
		}
		require.Equal(t, held, all.free)
	})
}

// A request whose context ends as its turn comes takes the turn, or gives it on.
func TestTurnsAreNotLost(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			all := newTurns()
			held := all.free
			for range held {
				all.take(t.Context(), netip.Prefix{})
			}
			ctx, cancel := context.WithCancel(t.Context())
			for range 8 {
				go func() {
					if all.take(ctx, netip.MustParsePrefix("192.0.2.1/32")) {
						all.give()
					}
				}()
			}
			synctest.Wait()
			go cancel()
			for range held {
				all.give()
			}
			synctest.Wait()
			require.Equal(t, held, all.free)
			require.Empty(t, all.waiting)
		})
	}
}
