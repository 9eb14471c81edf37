package handoff

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Without asking those who come after them, and without partitions, owners are
// still right about what they have: two of the Safeguards below are tested so,
// because asking makes up for them.
func TestHandoffWithoutAsking(t *testing.T) {
	for seed := range uint64(handoffSeeds(10, 40)) {
		undergo(t, seed+1, ordeal{members: 7, events: 25, edit: unasked}).require(t)
	}
}

// Each safeguard is needed: without it something that was acknowledged is lost,
// or missing where it must not be. The seeds are those near which that shows.
func TestHandoffSafeguards(t *testing.T) {
	if underRace {
		t.Skip("it runs in one goroutine")
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
		"a merge is proven by asking its source": {edit: func(w *world) { w.treachery = 0.5 }, then: WithoutProof, seed: 26},
		"an owner that is back owes":             {edit: unasked, then: WithoutPending, seed: 26},
		"one source is not enough":               {edit: unasked, then: WithoutQuorum},
		"owners ask those who come after them":   {then: WithoutRequests, seed: 130},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enough := 60
			if n, err := strconv.Atoi(os.Getenv("HANDOFF_SEEDS")); err == nil {
				enough = n
			}
			for seed := range uint64(enough) {
				o := ordeal{members: 7, events: 25, edit: func(w *world) {
					w.reading = true
					if without.edit != nil {
						without.edit(w)
					}
				}, then: without.then}
				w := undergo(t, without.seed+seed+1, o)
				if strings.Contains(w.wrong, "lets go") || strings.Contains(w.wrong, "is missing") || strings.Contains(w.wrong, "is lost") {
					t.Log(w.wrong)
					o.then = 0
					if without.then == 0 || undergo(t, without.seed+seed+1, o).wrong == "" {
						return // with it all goes well
					}
				}
			}
			require.Fail(t, "it makes no difference", "in %d ordeals", enough)
		})
	}
}

func unasked(w *world) { w.without, w.uncut = WithoutRequests, true }
