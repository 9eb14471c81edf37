package ring_test

import (
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/ring"
)

// strategy is a RebalanceStrategy made of functions.
type strategy struct {
	name   func() string
	assign func(ring.Topology, ring.Table) error
}

func (s strategy) Name() string { return s.name() }

func (s strategy) Assign(t ring.Topology, table ring.Table) error { return s.assign(t, table) }

func named(name string) func() string { return func() string { return name } }

// scatter places by the hash of partition and position, so that these tests do not
// depend on package rebalance.
func scatter(salt uint64) ring.RebalanceStrategy {
	return strategy{named(fmt.Sprintf("scatter/%d", salt)), func(t ring.Topology, table ring.Table) error {
		for p := range t.PartitionCount {
			row := table.Row(p)
			n := len(t.Nodes)
			for i := range row {
				row[i] = uint16(i)
				if i == len(row)-1 {
					row[i] = uint16(i + int(draw(salt, p, i)%uint64(n-i)))
				}
			}
			for i := len(row) - 1; i > 0; i-- {
				j := int(draw(salt, p, i+100) % uint64(i+1))
				row[i], row[j] = row[j], row[i]
			}
		}
		return nil
	}}
}

func draw(salt uint64, p, i int) uint64 {
	return xxhash.Sum64String(fmt.Sprint(salt, p, i))
}

func build(t require.TestingT, partitions, replicas int, s ring.RebalanceStrategy, nodes ...ring.Node) *ring.Ring {
	r, err := ring.Build(ring.Config{PartitionCount: partitions, ReplicationFactor: replicas, Strategy: s}, nodes)
	require.NoError(t, err)
	return r
}

// zoned makes nodes n00, n01, …, and gives them the zones in turn.
func zoned(count int, zones ...string) []ring.Node {
	nodes := make([]ring.Node, count)
	for i := range nodes {
		nodes[i] = ring.Node{ID: fmt.Sprintf("n%02d", i), Region: "eu", Zone: zones[i%len(zones)]}
	}
	return nodes
}

// generated draws up to twenty nodes in a few zones and regions.
func generated() *rapid.Generator[[]ring.Node] {
	node := rapid.Custom(func(t *rapid.T) ring.Node {
		return ring.Node{
			ID:     rapid.StringMatching(`[a-z]{1,6}`).Draw(t, "id"),
			Region: rapid.SampledFrom([]string{"", "eu", "us"}).Draw(t, "region"),
			Zone:   rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "zone"),
			Weight: rapid.IntRange(1, 3).Draw(t, "weight"),
		}
	})
	return rapid.SliceOfNDistinct(node, 1, 20, func(n ring.Node) string { return n.ID })
}

// generatedRing draws a small ring.
func generatedRing(t *rapid.T) *ring.Ring {
	return build(t, rapid.IntRange(1, 40).Draw(t, "partitions"), rapid.IntRange(1, 16).Draw(t, "replicas"),
		scatter(rapid.Uint64Range(0, 9).Draw(t, "salt")), generated().Draw(t, "nodes")...)
}

// owners lists the IDs of a placement in its order.
func owners(p ring.Placement) []string {
	ids := []string{}
	for i, n := range p.All() {
		if i != len(ids) || p.At(i) != n {
			panic("At and All disagree")
		}
		ids = append(ids, n.ID())
	}
	return ids
}
