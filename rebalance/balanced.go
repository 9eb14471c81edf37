package rebalance

import (
	"fmt"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// MaxSlack is the largest [Balanced.Slack], in parts per thousand of the share.
const MaxSlack = 10_000

// Balanced places partitions by a race under limits. Its tables are nearly as even as
// possible, and a change moves little more than the minimum. It is the default of a
// cluster.
//
// # How it works
//
// Each member prefers the partitions in an order of its own: a permutation keyed
// by the member's ID, independent of all other members. In each round every member
// proposes to the next partition of its order. The member becomes an owner if the
// partition has a free slot and the member is below its limit. A refused member
// waits for the next round. With twelve partitions of one owner each, the orders of
// three members are
//
//	a: 5 4 8  3 10 11 7 9  1 6 2 0
//	b: 5 1 11 7 3  10 4 6  2 8 9 0
//	c: 9 10 6 1 0  3  2 5 11 7 8 4
//
// Round 1: a gets 5; b is refused by 5; c gets 9. Round 2: a gets 4, b gets 1, c
// gets 10. Round 3: a gets 8, b gets 11, c gets 6. Round 4: a gets 3, b gets 7, and c
// is refused by 1. Two partitions are left: c gets 0 in round 5 and 2 in round 7. So
// a owns 3, 4, 5 and 8; b owns 1, 7 and 11; c owns 0, 2, 6, 9 and 10, which is its
// limit. Without c, a would also own 0, 9 and 10, and b would also own 2 and 6.
// Nothing else would differ: the arrival of c moves only the partitions of c.
//
// The limit of a member is its share by weight plus a slack, by default three
// quarters of the share's square root. Few members reach it.
//
// Rows span as many zones, and then as many regions, as those of [Rendezvous]. A last
// pass chooses the primary of each row among its owners: the first owner that is below
// its limit of primaries. docs/placement.md says more about zones, limits and the
// reasons.
//
// # Limits
//
//   - Balance: with 4096 partitions and three owners the fullest of 10 members
//     carries 2 % more than the mean, the fullest of 100 members 7 %.
//   - Movement: where zones are alike and members many more than the owners of a
//     row, a join moves 1.00 to 1.16 times the slots that the new member gets, in the
//     mean; a leave up to 1.17 times the slots of the leaver; the loss of a zone 1.12.
//   - Unequal zones move more, because one more member changes the share of every
//     zone: twice the minimum with zones of 16, 12, 8 and 4 members, one and a half
//     times with zones of 20 and 10. A part of that is needed by any strategy that
//     balances such zones. Four zones of two members move 1.3 times on a join.
//   - Weight: a member of weight 2 carries up to 6 % less than two members of weight
//     1, because a member owns a row only once.
//   - Time: Assign takes time in proportion to partitions times owners, almost
//     independent of the number of members. With all weights different it takes up to
//     three times as long.
//
// Assign never fails for a valid slack. The zero value is ready to use, and safe for
// concurrent use.
//
// # Sources
//
// Rendezvous hashing: Thaler and Ravishankar, 1998. Orders as permutations: Maglev,
// Eisenbud et al., 2016, where a refused member tries again at once. Bounded loads:
// Mirrokni, Thorup and Zadimoghaddam, 2018. The race is the deferred acceptance of
// Gale and Shapley, 1962.
type Balanced struct {
	// Slack is how far above its share a member's load may be. Zero means
	// three quarters of the share's square root. [option.None] means no slack: no
	// member has more than its share, rounded up, and a change moves 1.6 to 1.9
	// times the slots that must move with 100 members, and up to 2.5 times with 1000.
	// 1 to [MaxSlack] are parts per thousand of the share.
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
	if t.Stopped() {
		return errStopped()
	}
	primary := primaries(r, orders, slack(b.Slack), t.Stopped)
	if t.Stopped() {
		return errStopped()
	}
	write(r, primary, table)
	return nil
}

// slack is [Balanced.Slack] with its default filled in.
type slack int

// limit returns the largest number of slots of a member with a share; share and dither
// are times 2^16.
func (s slack) limit(share, dither uint64) uint64 {
	over := dither
	switch s {
	case 0:
		over += 3 * root(share) / 4
	case option.None:
		over = 0
	default:
		over += share * uint64(s) / 1000
	}
	return max(share+over, share+1<<16-1) >> 16
}

// root returns the square root, rounded up, of a number; both are times 2^16.
func root(n uint64) uint64 {
	return least(1<<26, func(root uint64) bool { return root*root >= n<<16 })
}
