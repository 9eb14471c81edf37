package rebalance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/ring"
)

// A quota limits the owners of a zone in each row, if its nodes are too few for the zone's part of
// every row. The quota is a number for all rows, and one more for the rows that come first in the
// order of the zone. The order depends on the zone's name alone, so that a quota that rises or
// falls by some rows changes only these rows.
type quota struct {
	limited bool
	few     bool   // rows span fewer zones for it
	each    int    // owners in every row
	rows    uint64 // the rows that have one more
	order   permutation
}

// Bounds of strategies without an option, for zones of several nodes. They are less than twice the
// fair share, because the loads of the nodes of one zone differ by chance.
const (
	scoreOverload overload = 1750 // the overload of Rendezvous
	ringOverload  overload = 1670 // the overload of ConsistentHash
)

// quotas returns the quota of each zone, so that no node carries more than a bound over its fair
// share for the sake of zones. It returns nil when no zone needs one.
//
// A strategy that gives all zones equally many first owners also needs quotas where rows have
// zones to choose from: for zones of fewer than half as many nodes as the mean, in one region. Such
// a quota never makes a row span fewer zones. In several regions it could make rows span fewer of them.
func quotas(t ring.Topology, l layout, o overload, equal bool) []quota {
	if len(l.zones) == 1 {
		return nil
	}
	partitions := uint64(t.PartitionCount)
	units := make([]unit, len(l.zones))
	for i, m := range fairShares(t) {
		bound, z := o, l.zoneOf[i]
		if len(l.zones[z].nodes) == 1 {
			bound = defaultOverload
		}
		units[z].most += bound.limit(m.share, partitions)
	}
	even(uint64(t.Replicas), partitions, units)
	all := make([]quota, len(units))
	limit := func(z int) {
		u := &units[z]
		all[z] = quota{limited: true, few: u.pressed(), each: int(u.most / partitions), rows: u.most % partitions, order: newPermutation(l.zones[z].name())}
	}
	var small []int
	room, free := 0, 0 // the owners that every row may have, and the zones without a quota
	for z := range units {
		u, nodes := &units[z], len(l.zones[z].nodes)
		switch {
		case u.pressed():
			limit(z)
			room += all[z].each
		case equal && u.most < partitions && 2*uint64(nodes)*uint64(len(units)) < uint64(len(t.Nodes)):
			small = append(small, z)
			room += nodes
		default:
			room += nodes
			free++
		}
	}
	if room < t.Replicas {
		return nil
	}
	if free >= t.Replicas && l.regions == 1 {
		for _, z := range small {
			limit(z)
		}
	}
	if !slices.ContainsFunc(all, func(q quota) bool { return q.limited }) {
		return nil
	}
	return all
}

// of returns how many owners a row may have in a zone of a number of nodes.
func (q *quota) of(partition uint64, d *domain, nodes int) int {
	switch {
	case !q.limited:
		return nodes
	case q.order.rank(partition, d) < q.rows:
		return min(q.each+1, nodes)
	default:
		return min(q.each, nodes)
	}
}

// yields returns an error that names the zones of quotas, and nil when there are none.
func yields(l layout, all []quota) error {
	var few []string
	for z := range all {
		if at := l.zones[z].place; all[z].few {
			few = append(few, fmt.Sprintf("zone %q of region %q", at.zone, at.region))
		}
	}
	return yieldError(few, defaultOverload, "add members there")
}

// yieldError names the zones and regions whose members are too few, and the cure. It returns nil
// when there are none.
func yieldError(few []string, o overload, cure string) error {
	if len(few) == 0 {
		return nil
	}
	more := ""
	if n := len(few) - 3; n > 0 {
		few, more = few[:3], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("members would carry more than %d thousandths of their fair share in %s%s: %s", o, strings.Join(few, ", "), more, cure)
}
