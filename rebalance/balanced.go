package rebalance

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// Bounds of the parameters of [Balanced].
const (
	// maxSlack is the largest [Balanced.Slack], in parts per thousand of the share.
	maxSlack = 10_000
	// minOverload and maxOverload are the smallest and the largest [Balanced.Overload], in parts
	// per thousand of the fair share.
	minOverload = 1000
	maxOverload = 100_000
)

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
// Rows span as many zones, and then as many regions, as those of [Rendezvous], as long as
// no member carries more than twice its fair share for it: see Overload. A last pass chooses the primary of each row among its owners: the first owner that is below
// its limit of primaries. docs/placement.md says more about zones, limits and the
// reasons.
//
// # Limits
//
//   - Balance: with 4096 partitions and three owners the fullest of 10 members
//     carries 2 % more than the mean, the fullest of 100 members 7 %.
//   - Movement: with equal zones and many more members than owners in a row, a join
//     moves 1.00 to 1.16 times the slots that the new member gets, in the mean. A leave
//     moves up to 1.17 times the slots of the leaving member, and the loss of a zone 1.12
//     times the slots of the zone.
//   - Unequal zones move more, because one more member changes the share of every zone.
//     Zones of 16, 12, 8 and 4 members move 1.2 to 1.3 times the minimum, and zones of 20
//     and 10 members 1.5 times. Any strategy that balances such zones needs a part of
//     that. Four zones of two members move 1.3 times on a join.
//   - Weight: a member of weight 2 carries up to 6 % less than two members of weight
//     1, because a member owns a row only once.
//   - Time: Assign takes time in proportion to partitions times owners, almost
//     independent of the number of members. With all weights different it takes up to
//     three times as long, and where zones are very unequal up to twice as long.
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
	// Slack is how far above its share a member's load may be. Zero means three quarters of the
	// share's square root. [option.None] means no slack: no member has more than its share,
	// rounded up. A change then moves 1.6 to 1.9 times the slots that must move with 100
	// members, and up to 2.5 times with 1000. 1 to 10,000 are parts per thousand of the share.
	Slack int
	// Overload is how much a member may carry for the sake of zones and regions, in parts per
	// thousand of its fair share. The fair share is in proportion to weight, as if all members
	// were in one zone. Where the members of a zone are too few for their part of every
	// partition, some partitions span fewer zones. Bounds: 1000 to 100,000. Zero means
	// 2000, twice the fair share. [option.None] means no bound: rows always span as many zones
	// as possible.
	Overload int
	// Version is the version of the algorithm: 1 to 3. Zero means 3. The others are for the
	// rolling change from a release that had no newer one. Version 2 moves more where zones
	// are very unequal: see docs/placement.md. Version 1 also has no bound of Overload, which must be zero. All
	// versions give the same table where zones are equal, and no member reaches that bound.
	Version int
}

// Name returns the algorithm's version and the parameters that are not zero: "balanced/3",
// "balanced/3:slack=exact", "balanced/3:slack=50:overload=1500", "balanced/3:overload=none".
func (b Balanced) Name() string {
	name := fmt.Sprintf("balanced/%d", b.version())
	switch b.Slack {
	case 0:
	case option.None:
		name += ":slack=exact"
	default:
		name += fmt.Sprintf(":slack=%d", b.Slack)
	}
	switch b.Overload {
	case 0, defaultOverload:
		return name
	case option.None:
		return name + ":overload=none"
	default:
		return name + fmt.Sprintf(":overload=%d", b.Overload)
	}
}

// Validate returns an [option.Error] for every parameter that is out of bounds, joined.
func (b Balanced) Validate() error {
	var errs []error
	if b.Slack < option.None || b.Slack > maxSlack {
		errs = append(errs, &option.Error{Field: "Slack", Value: b.Slack, Bound: fmt.Sprintf("between 0 and %d, or option.None", maxSlack)})
	}
	switch o := b.Overload; {
	case b.Version == 1 && o != 0:
		errs = append(errs, &option.Error{Field: "Overload", Value: o, Bound: "0 in version 1, which has no such bound"})
	case o != 0 && o != option.None && (o < minOverload || o > maxOverload):
		errs = append(errs, &option.Error{Field: "Overload", Value: o, Bound: fmt.Sprintf("between %d and %d, or 0 for %d, or option.None", minOverload, maxOverload, defaultOverload)})
	}
	return errors.Join(append(errs, checkVersion(b.Version, 3))...)
}

func (b Balanced) version() int { return cmp.Or(b.Version, 3) }

// overload returns the bound of Overload that is in use.
func (b Balanced) overload() overload {
	if b.Version == 1 {
		return option.None
	}
	return overload(cmp.Or(b.Overload, defaultOverload))
}

// Yields returns nil when the rows of [Balanced.Assign] span as many zones and regions as possible,
// and otherwise an error that names the zones and regions whose members are too few. It takes
// time in proportion to the members.
func (b Balanced) Yields(t ring.Topology) error {
	l := newLayout(t.Nodes)
	orders := make([]permutation, len(t.Nodes))
	levels, free := newLevels(t, l, orders, slack(b.Slack), b.overload()), newLevels(t, l, orders, slack(b.Slack), option.None)
	fewer := func(level, u int) bool { // owners in some rows than without Overload
		bound, unbound := &levels[level][u], &free[level][u]
		return bound.pressed() || bound.low < unbound.low || bound.high < unbound.high
	}
	var few []string
	for r := range levels[1] {
		if fewer(1, r) {
			few = append(few, fmt.Sprintf("region %q", l.zones[l.first(r)].place.region))
		}
	}
	for z := range levels[2] {
		if fewer(2, z) {
			at := l.zones[z].place
			few = append(few, fmt.Sprintf("zone %q of region %q", at.zone, at.region))
		}
	}
	return yieldError(few, b.overload(), "add members there, or raise Overload")
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
	levels := newLevels(t, newLayout(t.Nodes), orders, slack(b.Slack), b.overload())
	r := raceAll(t, levels, orders, b.version() > 2)
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

// overload is [Balanced.Overload] with its default filled in.
type overload int

const defaultOverload = 2000

// limit returns the most slots that a member may have for the sake of zones, at least one. Its
// fair share is times 2^16.
func (o overload) limit(fair, partitions uint64) uint64 {
	if o == option.None {
		return partitions
	}
	return min(partitions, max(fair*uint64(o)/1000>>16, (fair+1<<16-1)>>16, 1))
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
