package rebalance

import (
	"fmt"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// MaxSlack is the largest [Balanced.Slack], in parts per thousand of the share.
const MaxSlack = 10_000

// Balanced places partitions by a race under limits: it is nearly as even as a
// table can be, and moves little more than it must. It is what a cluster uses
// unless told otherwise.
//
// # How it works
//
// Each member has an order of its own in which it prefers the partitions: a
// permutation keyed by its ID, so that it depends on nobody else. In round after
// round each member proposes to the next partition of its order, and gets it if
// the partition has a slot left and the member is below its limit. A member that
// is refused has used up its turn all the same. With twelve partitions, one
// owner each, the orders of three members are
//
//	a: 5 4 8  3 10 11 7 9  1 6 2 0
//	b: 5 1 11 7 3  10 4 6  2 8 9 0
//	c: 9 10 6 1 0  3  2 5 11 7 8 4
//
// First a gets 5, b comes too late for it, and c gets 9; then a gets 4, b 1 and
// c 10; then a gets 8, b 11 and c 6; then a gets 3, b 7, and c is refused by 1.
// Of what is left c comes to 0 in the fifth round and to 2 in the seventh. So a
// has 3, 4, 5 and 8, b has 1, 7 and 11, and c has 0, 2, 6, 9 and 10, which is as
// many as its limit lets it have. Without c, a and b would have had 0, 9 and 10,
// and 2 and 6, and everything else as it is: c has moved nothing but its own.
//
// That is rendezvous hashing with ranks for scores, and so moves as little as
// that, but for two things. The ranks of one member are spread evenly, where
// hashes come in clumps, which alone makes loads half as uneven. And limits cut
// off what is left of unevenness, at the price of moves when one of them binds.
//
// The limit is the member's share, by weight, and a slack: by default three
// quarters of the share's square root, where few members reach it. A fraction
// of a slot that a member keeps for life is added before rounding down, or else
// one change of the share could raise all limits at once.
//
// Rows span as many zones as they have owners or the cluster has zones, and
// then as many regions, as they do with [Rendezvous]. To this end the race is
// run three times: for the slots that each region gets in a row, for those each
// zone of it gets, and for the member within the zone; members propose on behalf
// of their region or zone. What a zone must have in every row it has without a
// race. Slots that the race leaves open are filled along augmenting paths.
//
// A last pass chooses the primary of each row among its owners, by the same
// rule: the first to come that is below its limit of primaries. These limits
// yield when a row has no owner left that is below; the limits of slots do not.
//
// # What to expect
//
// With 4096 partitions and three owners the fullest of 10 members carries 2 %
// more than the mean and the fullest of 100 carries 7 %; docs/placement.md has
// the measurements. Where zones are alike and the members many more than the
// owners of a row, a joining member moves 1.00 to 1.16 times what it is due in the
// mean, a leaving one up to 1.17, and the loss of a zone 1.12.
//
// It is weakest where zones are unequal and more than the owners of a row, or
// fewer: then a member more changes the share of every zone. Zones of 16, 12, 8
// and 4 members move twice what a newcomer is due, zones of 20 and 10 one and a
// half times, part of which is the price of balance for any pure function. Four
// zones of two members move 1.3 times on a join. A member of weight 2
// carries up to 6 % less than two members of weight 1, since it can own a row
// only once.
//
// Assign takes time in proportion to partitions times owners, nearly whatever
// the number of members; with all weights different it takes up to three times
// as long. It never fails for a valid slack. The zero value is ready to use, and
// safe for concurrent use.
//
// # Sources
//
// Rendezvous hashing: Thaler and Ravishankar, 1998. Orders as permutations:
// Maglev, Eisenbud et al., 2016, where a member that is refused tries again at
// once, which reshuffles. Bounded loads: Mirrokni, Thorup and Zadimoghaddam,
// 2018. The race is the deferred acceptance of Gale and Shapley, 1962, with
// partitions that prefer who proposes at the lower rank and therefore never
// change their mind.
type Balanced struct {
	// Slack is how far above its share a member's load may be. Zero means
	// three quarters of the share's square root. [option.None] means no slack: no
	// member has more than its share, rounded up, and about 1.8 times of what must
	// move moves. 1 to [MaxSlack] are parts per thousand of the share.
	Slack int
}

// Name returns the algorithm's version and, unless it is automatic, the slack:
// "balanced/1", "balanced/1:slack=exact", "balanced/1:slack=50".
func (b Balanced) Name() string {
	switch b.Slack {
	case 0:
		return "balanced/1"
	case option.None:
		return "balanced/1:slack=exact"
	default:
		return fmt.Sprintf("balanced/1:slack=%d", b.Slack)
	}
}

// Validate returns an [option.Error] when the slack is out of bounds.
func (b Balanced) Validate() error {
	if b.Slack < option.None || b.Slack > MaxSlack {
		return &option.Error{Field: "Slack", Value: b.Slack, Bound: fmt.Sprintf("between 0 and %d, or option.None", MaxSlack)}
	}
	return nil
}

// Assign implements [ring.RebalanceStrategy].
func (b Balanced) Assign(t ring.Topology, table ring.Table) error {
	if err := b.Validate(); err != nil {
		return fmt.Errorf("rebalance: balanced: %w", err)
	}
	orders := make([]permutation, len(t.Nodes))
	for i, n := range t.Nodes {
		orders[i] = newPermutation(n.ID)
	}
	levels := newLevels(t, newLayout(t.Nodes), orders, slack(b.Slack))
	r := raceAll(t, levels, orders)
	write(r, primaries(r, orders, slack(b.Slack)), table)
	return nil
}

// slack is that of [Balanced].
type slack int

// limit is the most slots of a member with a share; share and dither are times
// 2^16.
func (s slack) limit(share, dither uint64) uint64 {
	over := dither
	switch s {
	case 0:
		over += 3 * least(1<<26, func(root uint64) bool { return root*root >= share<<16 }) / 4
	case option.None:
		over = 0
	default:
		over += share * uint64(s) / 1000
	}
	return max(share+over, share+1<<16-1) >> 16
}
