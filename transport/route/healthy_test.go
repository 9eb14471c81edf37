package route_test

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/route"
)

// TestReadsWhileAnOwnerIsFrozen: of reads that come whether or not others were answered,
// 99 % are answered within HedgeAfter and the time that 99 % take of a healthy cluster. In
// a healthy cluster less than 1 % are sent twice.
func TestReadsWhileAnOwnerIsFrozen(t *testing.T) {
	const seed, reads = 7, 1500
	measure := func(frozen bool) (p99 time.Duration, hedged float64) {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, route.Options{HedgeAfter: hedgeAfter})
			d.own(2, 3, 4)
			var mu sync.Mutex
			random := rand.New(rand.NewPCG(seed, seed))
			for member, id := range map[int]string{2: "n2", 3: "n3", 4: "n4"} {
				d.answersFrom(member, func(r *http.Request) (*http.Response, error) {
					mu.Lock()
					by := time.Duration(random.ExpFloat64() * float64(3*time.Millisecond)) // p99: 14 ms
					mu.Unlock()
					return slow(by, answers(id))(r)
				})
			}
			if frozen {
				d.answersFrom(2, freezes)
			}
			took := make([]time.Duration, reads)
			var all sync.WaitGroup
			for i := range reads {
				all.Go(func() {
					w, after := d.ask(t.Context(), "GET", "")
					require.Equal(t, http.StatusOK, w.Code)
					took[i] = after
				})
				time.Sleep(5 * time.Millisecond)
			}
			all.Wait()
			slices.Sort(took)
			p99 = took[reads*99/100]
			hedged = float64(d.router.Stats().Hedges) / reads
		})
		return p99, hedged
	}
	healthy, hedged := measure(false)
	require.Less(t, hedged, 0.01, "seed %d", seed)
	frozen, _ := measure(true)
	require.LessOrEqual(t, frozen, hedgeAfter+healthy, "seed %d, healthy %s", seed, healthy)
	t.Logf("healthy p99 %s, %.2f %% sent twice; with a frozen owner p99 %s", healthy, 100*hedged, frozen)
}
