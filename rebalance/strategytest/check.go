package strategytest

import (
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
	// Clusters is the number of clusters to generate. Zero or less means 200.
	Clusters int
	// AnyZones leaves out [Spread], for a strategy that ignores zones.
	AnyZones bool
}

// largeEvery is for how many clusters Check makes a large one.
const largeEvery = 50

// Check generates clusters and checks on each of them [Complete], [Repeatable],
// [OrderIndependent], [HistoryIndependent], [DerivesAlike] and, unless the options
// leave it out, [Spread]. It also checks that the strategy does not modify [ring.Topology.Nodes]. Most clusters are those of [Generate]. One of each fifty has hundreds
// of nodes with long IDs, and more than a thousand partitions. It returns the first violation, with
// the cluster and the seed. It is deterministic, and returns when it is done.
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
		if err := checkOne(s, c, random, o); err != nil {
			return fmt.Errorf("strategytest: %s: seed %d, cluster %d: %w\n%+v", s.Name(), o.Seed, i, err, c)
		}
	}
	return nil
}

func checkOne(s ring.RebalanceStrategy, c Cluster, random *rand.Rand, o Options) error {
	shuffled := slices.Clone(c.Nodes)
	random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	if err := Complete(s, c); err != nil {
		return err
	}
	if err := Repeatable(s, c); err != nil {
		return err
	}
	if err := OrderIndependent(s, c, shuffled); err != nil {
		return err
	}
	for _, ch := range changes(c, random) {
		if err := keepsNodes(s, c, ch.nodes); err != nil {
			return err
		}
		if err := DerivesAlike(s, c, ch.nodes); err != nil {
			return fmt.Errorf("when %s: %w", ch.what, err)
		}
	}
	if len(c.Nodes) > 1 {
		if err := HistoryIndependent(s, c, random.IntN(len(c.Nodes))); err != nil {
			return err
		}
	}
	if o.AnyZones {
		return nil
	}
	return Spread(s, c)
}
