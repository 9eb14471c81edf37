package strategytest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// Cluster is a set of nodes and a configuration, on which a property is checked.
type Cluster struct {
	Nodes             []ring.Node // at least one, with distinct IDs
	PartitionCount    int         // 1 to [ring.MaxPartitionCount]
	ReplicationFactor int         // 1 to 16
}

// Build makes the ring of the cluster. Its errors are those of [ring.Build].
func (c Cluster) Build(s ring.RebalanceStrategy) (*ring.Ring, error) {
	return ring.Build(ring.Config{PartitionCount: c.PartitionCount, ReplicationFactor: c.ReplicationFactor, Strategy: s}, c.Nodes)
}

// With returns the cluster with further nodes. It shares nothing with c.
func (c Cluster) With(nodes ...ring.Node) Cluster {
	c.Nodes = slices.Concat(c.Nodes, nodes)
	return c
}

// Without returns the cluster without its i-th node. It shares nothing with c.
func (c Cluster) Without(i int) Cluster {
	c.Nodes = slices.Delete(slices.Clone(c.Nodes), i, i+1)
	return c
}

// Generate makes a random cluster: up to 24 nodes in up to three regions and up to
// twelve zones, with up to 200 partitions and any valid replication factor. Weights are
// mostly small, and sometimes at the bounds.
func Generate(random *rand.Rand) Cluster {
	one := func(of ...int) int { return of[random.IntN(len(of))] }
	c := Cluster{
		PartitionCount:    1 + random.IntN(one(1, 40, 200)),
		ReplicationFactor: 1 + random.IntN(one(1, 3, 16)),
	}
	regions, zones := one(1, 1, 2, 3), one(1, 2, 3, 4)
	heavy := one(1, 1, 3, 1<<20)
	for i := range 1 + random.IntN(one(1, 5, 24)) {
		c.Nodes = append(c.Nodes, generateNode(random, fmt.Sprintf("n%02d-%x", i, random.Uint32()), regions, zones, heavy))
	}
	return c
}

func generateNode(random *rand.Rand, id string, regions, zones, heavy int) ring.Node {
	n := ring.Node{ID: id, Weight: 1}
	if i := random.IntN(regions); i > 0 {
		n.Region = fmt.Sprint("region-", i)
	}
	if i := random.IntN(zones); i > 0 {
		n.Zone = fmt.Sprint("zone-", i)
	}
	if random.IntN(3) == 0 {
		n.Weight = 1 + random.IntN(heavy)
	}
	return n
}

// generateLarge makes a random cluster of hundreds of nodes and more than a thousand partitions. The IDs
// share a long beginning, and have bytes that are no text.
func generateLarge(random *rand.Rand) Cluster {
	c := Cluster{PartitionCount: 1000 + random.IntN(1000), ReplicationFactor: 2 + random.IntN(3)}
	for i := range 257 + random.IntN(60) {
		id := fmt.Sprintf("%064d\x00\xff-%x-%d", 0, random.Uint32(), i)
		c.Nodes = append(c.Nodes, generateNode(random, id, 2, 3, 3))
	}
	return c
}

// A change is what becomes of the nodes of a cluster.
type change struct {
	what  string
	nodes []ring.Node
}

// changes makes a random change of each kind.
func changes(c Cluster, random *rand.Rand) []change {
	joiner := func() ring.Node { // before, between or behind the others
		n := c.Nodes[random.IntN(len(c.Nodes))]
		n.ID = fmt.Sprintf("%c%x", "0nz"[random.IntN(3)], random.Uint64())
		return n
	}
	i := random.IntN(len(c.Nodes))
	edited := func(edit func(*ring.Node)) []ring.Node {
		nodes := slices.Clone(c.Nodes)
		edit(&nodes[i])
		return nodes
	}
	list := []change{
		{"a node joins", c.With(joiner()).Nodes},
		{"a node joins a new zone", c.With(ring.Node{ID: joiner().ID, Region: c.Nodes[i].Region, Zone: "new", Weight: c.Nodes[i].Weight}).Nodes},
		{"a node gets another weight", edited(func(n *ring.Node) { n.Weight = n.Weight%3 + 1 })},
		{"a node moves to another zone", edited(func(n *ring.Node) { n.Zone += "2" })},
	}
	if len(c.Nodes) > 1 {
		list = append(list,
			change{"a node leaves", c.Without(i).Nodes},
			change{"several nodes change", c.Without(i).Without(random.IntN(len(c.Nodes)-1)).With(joiner(), joiner()).Nodes},
		)
	}
	return list
}
