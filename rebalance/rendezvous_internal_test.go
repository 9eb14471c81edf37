package rebalance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// Renumber does what package ring does before it calls Derive: it turns indices into the nodes
// of one topology into indices into the nodes of another.
func Renumber(from, to ring.Topology, table ring.Table) {
	for i, n := range table.Slots() {
		j := slices.IndexFunc(to.Nodes, func(other ring.Node) bool { return other.ID == from.Nodes[n].ID })
		if j < 0 {
			j = ring.MaxNodes
		}
		table.Slots()[i] = uint16(j)
	}
}

// The note of a table is above the rank of every owner, after Assign and after each of many changes
// that are derived one from another. Otherwise Derive could skip a row that a joining node
// takes. The derived tables equal those of Assign.
func TestNoteBoundsTheRanksOfOwners(t *testing.T) {
	for zones := 1; zones <= 3; zones++ {
		t.Run(fmt.Sprint(zones, " zones"), func(t *testing.T) {
			s := Rendezvous{Version: 2} // whose zones have no quotas, with which Derive leaves the work to Assign
			var nodes []ring.Node
			for i := range zones * 40 {
				nodes = append(nodes, ring.Node{ID: fmt.Sprint("n", i), Zone: fmt.Sprint(i % zones), Weight: 1})
			}
			topology := func() ring.Topology {
				sorted := slices.SortedFunc(slices.Values(nodes), func(a, b ring.Node) int { return strings.Compare(a.ID, b.ID) })
				return ring.Topology{Nodes: sorted, PartitionCount: 499, Replicas: 3}
			}
			highest := func(topology ring.Topology, table ring.Table) (highest uint64) {
				d := newDomain(topology.PartitionCount)
				for i, n := range table.Slots() {
					order := newPermutation(topology.Nodes[n].ID)
					highest = max(highest, order.rank(uint64(i/topology.Replicas), &d))
				}
				return highest
			}
			before := topology()
			table := ring.NewTable(before)
			require.NoError(t, s.Assign(before, table))
			if zones == 1 {
				require.Equal(t, highest(before, table)+1, table.Note(), "Assign stops at the rank of the last owner")
			}
			raised := false
			for step := range 22 * zones {
				nodes = slices.Delete(nodes, step%len(nodes), step%len(nodes)+1)
				if step%3 == 0 {
					nodes = append(nodes, ring.Node{ID: fmt.Sprint("joiner-", step), Zone: fmt.Sprint(step % zones), Weight: 1})
				}
				after, bound := topology(), table.Note()
				Renumber(before, after, table)
				require.True(t, s.Derive(before, after, table))
				require.Less(t, highest(after, table), table.Note(), "step %d", step)
				raised = raised || table.Note() > bound
				want := ring.NewTable(after)
				require.NoError(t, s.Assign(after, want))
				require.Equal(t, want.Slots(), table.Slots(), "step %d", step)
				before = after
			}
			require.True(t, raised || zones > 1, "with fewer nodes ranks become higher")
		})
	}
}
