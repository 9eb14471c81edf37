package route

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWatchesForgetWhatHasEnded in any order, and have no timer when nothing is under way.
func TestWatchesForgetWhatHasEnded(t *testing.T) {
	for _, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			var w watches
			var attempts [3]sending
			armed := func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.armed
			}
			for i := range attempts {
				w.add(&attempts[i])
			}
			for n, i := range order {
				w.remove(&attempts[i])
				w.remove(&attempts[i])
				left := 0
				for s := w.first; s != nil; s = s.next {
					require.True(t, w.lists(s))
					left++
				}
				require.Equal(t, 2-n, left)
			}
			require.True(t, armed())
			time.Sleep(watchAfter) // of the bubble
			synctest.Wait()
			require.False(t, armed())
			w.add(&attempts[0])
			require.True(t, armed())
			w.remove(&attempts[0])
			w.stop()
			require.False(t, armed())
		})
	}
}
