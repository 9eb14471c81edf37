package strategytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// Options say how many clusters to try, and which property to leave out. The zero value
// is usable.
type Options struct {
	// Seed determines the clusters. An error of Check names it. Any value is valid.
	Seed uint64
	// Clusters is the number of clusters that Check generates. Zero or less means 200.
	Clusters int
	// AnyZones leaves out that owners are spread over zones, for a strategy that ignores zones.
	AnyZones bool
}

// largeEvery says that one of this many clusters of Check is large.
const largeEvery = 50

// Check generates clusters, and checks the properties of [CheckCluster] on each of them. Most clusters
// are those of [Generate]. One of each fifty has hundreds of nodes with long IDs, and more than a
// thousand partitions. Check returns the first violation, with the cluster and the seed. It is
// deterministic, and returns when it is done.
func Check(s ring.RebalanceStrategy, o Options) error {
	if o.Clusters <= 0 {
		o.Clusters = 200
	}
	for i := range o.Clusters {
		random := rand.New(rand.NewPCG(o.Seed, uint64(i)))
		c := Generate(random)
		if i%largeEvery == largeEvery-1 {
			c = generateLarge(random)
		}
		if err := checkCluster(s, c, random, o); err != nil {
			return fmt.Errorf("strategytest: %s: seed %d, cluster %d: %w\n%+v", s.Name(), o.Seed, i, err, c)
		}
	}
	return nil
}

// CheckCluster checks one cluster, for example that of a test that failed, or of a library for
// property tests. The cluster must have a node. CheckCluster returns the first violation of these
// rules, or the error of [ring.Build]:
//
//   - Every partition has as many distinct owners as the replication factor asks for, or all nodes
//     when there are fewer.
//   - The same nodes give the same ring, in any order, from several goroutines at once, and after a
//     node has left and come back.
//   - A strategy that is a [ring.Deriver] derives the table that Assign computes, when nodes join,
//     leave, move or get another weight.
//   - The strategy does not modify [ring.Topology.Nodes].
//   - The owners of each partition are in as many zones as possible. The numbers of owners in two
//     zones differ by at most one, unless a zone has no more nodes. As far as that leaves a choice,
//     the same holds for regions. This rule does not apply with Options.AnyZones, nor to a strategy
//     whose method Yields(ring.Topology) error returns an error for the cluster.
//
// The seed determines the order of the nodes and the changes.
func CheckCluster(s ring.RebalanceStrategy, c Cluster, o Options) error {
	return checkCluster(s, c, rand.New(rand.NewPCG(o.Seed, 0)), o)
}

func checkCluster(s ring.RebalanceStrategy, c Cluster, random *rand.Rand, o Options) error {
	if len(c.Nodes) == 0 {
		return errors.New("the cluster has no nodes: must be one or more")
	}
	shuffled := slices.Clone(c.Nodes)
	random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	if err := complete(s, c); err != nil {
		return err
	}
	if err := repeatable(s, c); err != nil {
		return err
	}
	if err := orderIndependent(s, c, shuffled); err != nil {
		return err
	}
	for _, ch := range changes(c, random) {
		if err := keepsNodes(s, c, ch.nodes); err != nil {
			return err
		}
		if err := derivesAlike(s, c, ch.nodes); err != nil {
			return fmt.Errorf("when %s: %w", ch.what, err)
		}
	}
	if len(c.Nodes) > 1 {
		if err := historyIndependent(s, c, random.IntN(len(c.Nodes))); err != nil {
			return err
		}
	}
	if o.AnyZones {
		return nil
	}
	return spread(s, c)
}
