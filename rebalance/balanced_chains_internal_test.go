package rebalance

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fillPlainly is fill as a search that looks at all slots of each unit again.
func (c *chains) fillPlainly(slot int) {
	for u := range c.via {
		c.via[u] = open
	}
	var queue []int32
	slots := []int32{int32(slot)}
	for {
		for _, s := range slots {
			if s == open {
				continue
			}
			for _, u := range c.candidates(int(s)) {
				if c.via[u] != open {
					continue
				}
				c.via[u] = s
				if c.units[u].load < c.units[u].limit {
					c.pass(u)
					return
				}
				queue = append(queue, u)
			}
		}
		if len(queue) == 0 {
			c.pass(c.candidates(slot)[0])
			return
		}
		slots, queue = c.held[queue[0]], queue[1:]
	}
}

// Slots that were looked at in vain are not looked at again, and the chains are the same.
func TestChainsSkipSlotsTriedInVain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units, replicas := rapid.IntRange(2, 7).Draw(t, "units"), 0
		replicas = rapid.IntRange(1, units-1).Draw(t, "replicas")
		rows := rapid.IntRange(1, 60).Draw(t, "rows")
		limits := rapid.SliceOfN(rapid.IntRange(0, rows), units, units).Draw(t, "limits")
		start := make([]int32, rows*replicas)
		loads := make([]unit, units)
		for u := range loads {
			loads[u].limit = uint64(limits[u])
		}
		for slot := range start {
			start[slot] = open
			row := start[slot/replicas*replicas : slot]
			if u := int32(rapid.IntRange(0, units-1).Draw(t, "owner")); !slices.Contains(row, u) && loads[u].load < loads[u].limit {
				start[slot] = u
				loads[u].load++
			}
		}
		fill := func(fill func(*chains, int)) []int32 {
			owners := slices.Clone(start)
			var list []int32
			c := newChains(owners, slices.Clone(loads), func(slot int) []int32 {
				list = list[:0]
				row := owners[slot/replicas*replicas:][:replicas]
				for u := range int32(units) {
					if !slices.Contains(row, u) {
						list = append(list, u)
					}
				}
				return list
			})
			for slot := range owners {
				if owners[slot] == open {
					fill(c, slot)
				}
			}
			return owners
		}
		require.Equal(t, fill((*chains).fillPlainly), fill((*chains).fill))
	})
}
