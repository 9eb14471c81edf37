package handoff

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The claim holds also when owners do not ask later owners to merge, as long as there are no cuts. Two of
// the safeguards below are tested in such worlds, because requests would replace their effect.
func TestOwnersAreRightWithoutRequests(t *testing.T) {
	t.Parallel()
	for seed := range uint64(seedCount(5, 40)) {
		runPlan(t, seed+1, plan{members: 7, events: 25, edit: unasked}).require(t)
	}
}

// Each safeguard is needed: without it an acknowledged write is lost, or is missing from too many ready
// owners. Each search begins near a seed that shows the failure.
func TestEverySafeguardIsNeeded(t *testing.T) {
	if underRace {
		t.Skip("it runs in one goroutine")
	}
	if testing.Short() {
		t.Skip("searches many worlds")
	}
	for name, without := range map[string]struct {
		seed uint64
		edit func(*world)
		then Safeguards
	}{
		"the fence waits for writes under way":   {then: WithoutFence},
		"each owner confirms":                    {then: WithoutUnanimity},
		"confirmations are of the last fence":    {then: WithoutFreshness},
		"owners that stay merge too":             {then: WithoutMerges},
		"evidence is about processes":            {edit: func(w *world) { w.everywhere = 1 }, seed: 20},
		"a merge is proven by asking its source": {edit: func(w *world) { w.unreliable = 0.5 }, then: WithoutProof, seed: 28},
		"an owner that is back may lack writes":  {edit: unasked, then: WithoutPending, seed: 56},
		"one source is not enough":               {edit: unasked, then: WithoutQuorum},
		"owners ask later owners to merge":       {then: WithoutRequests, seed: 185},
		"tokens name starts":                     {edit: func(w *world) { w.tardy = 10 * time.Second }, then: withoutStarts},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enough := 60
			if n, err := strconv.Atoi(os.Getenv("HANDOFF_SEEDS")); err == nil {
				enough = n
			}
			for seed := range uint64(enough) {
				o := plan{members: 7, events: 25, edit: func(w *world) {
					w.reading = true
					if without.edit != nil {
						without.edit(w)
					}
				}, then: without.then}
				w := runPlan(t, without.seed+seed+1, o)
				if strings.Contains(w.wrong, "releases") || strings.Contains(w.wrong, "is missing") || strings.Contains(w.wrong, "is lost") {
					t.Log(w.wrong)
					o.then = 0
					if without.then == 0 || runPlan(t, without.seed+seed+1, o).wrong == "" {
						return // with the safeguard the same plan succeeds
					}
				}
			}
			require.Fail(t, "it makes no difference", "in %d worlds", enough)
		})
	}
}

func unasked(w *world) { w.without, w.uncut = WithoutRequests, true }
