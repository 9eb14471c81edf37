package detection_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// The times of the experiment of Lifeguard.
const (
	stallsFor     = 2 * time.Minute
	betweenStalls = 64 * time.Millisecond
)

// stalls is one line of the table of stalls: some members stop at the same instants, again
// and again, with a short time between two stalls in which they run.
type stalls struct {
	of, slow int
	each     time.Duration
	total    time.Duration
}

// removals counts the members that were taken for dead, each in each view.
type removals struct{ slow, healthy int }

// run measures which members any member took for dead: the slow ones; and the healthy
// ones, by healthy ones.
func (s stalls) run(t *testing.T, k kind, seed uint64) (r removals) {
	t.Helper()
	simulate(t, k, memnet.Options{Seed: seed}, func(w *world) {
		w.grow(s.of)
		began, slow := time.Now(), make(map[string]bool)
		victims := w.nodes[len(w.nodes)-s.slow:]
		for _, v := range victims {
			slow[v.id] = true
		}
		for time.Since(began) < s.total {
			for _, v := range victims {
				w.b.Net.Stall(v.addr)
			}
			time.Sleep(min(s.each, s.total-time.Since(began)))
			for _, v := range victims {
				w.b.Net.Resume(v.addr)
			}
			time.Sleep(betweenStalls)
		}
		time.Sleep(30 * time.Second) // for suspicions that are still open
		changes := w.since(began)
		r.slow = count(changes, func(c change) bool { return c.kind == removed && slow[c.of] })
		r.healthy = count(changes, func(c change) bool { return c.kind == removed && !slow[c.of] && !slow[c.by] })
	})
	return r
}

func TestStallsRemoveNoHealthyMember(t *testing.T) {
	t.Parallel()
	r := stalls{of: 16, slow: 4, each: 8200 * time.Millisecond, total: 30 * time.Second}.run(t, ours, 1)
	t.Logf("%+v", r)
	require.Zero(t, r.healthy)
}

// A member that was declared dead, and runs for a moment between two stalls, is not alive and dead in turn.
func TestLongStallsRemoveAMemberOnce(t *testing.T) {
	t.Parallel()
	r := stalls{of: 16, slow: 2, each: 20 * time.Second, total: time.Minute}.run(t, ours, 1)
	t.Logf("%+v", r)
	require.Zero(t, r.healthy)
	require.LessOrEqual(t, r.slow, 2*15)
}

func TestTableOfStalls(t *testing.T) {
	skipTable(t)
	tab := newTable(t, "slow members of 64", "each stall", "slow members removed", "memberlist", "healthy members removed by healthy members", "memberlist")
	for _, each := range []time.Duration{2 * time.Second, 8200 * time.Millisecond, 32800 * time.Millisecond} {
		for _, slow := range []int{2, 8, 16} {
			if form() == "brief" && slow != 8 {
				continue
			}
			s := stalls{of: 64, slow: slow, each: each, total: stallsFor}
			a, b := s.run(t, ours, 1), s.run(t, stock, 1)
			tab.row(fmt.Sprint(slow), each.String(), fmt.Sprint(a.slow), fmt.Sprint(b.slow), fmt.Sprint(a.healthy), fmt.Sprint(b.healthy))
			t.Log(tab.rows[len(tab.rows)-1])
		}
	}
	tab.print()
}
