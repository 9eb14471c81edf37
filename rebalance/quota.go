package rebalance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/ring"
)

// A quota limits the owners of a zone or of a region in each row, if its nodes are too few for its part
// of every row. The quota is a number for all rows, and one more for the rows that come first in an
// order. The order depends on the name of the zone or region alone, so that a quota that rises or
// falls by some rows changes only these rows.
type quota struct {
	limited bool
	few     bool   // rows are spread less evenly for it
	each    int    // owners in every row
	rows    uint64 // the rows that have one more
	order   permutation
}

// quotas are the quotas of the zones and of the regions of a layout. Either is nil when none is limited.
type quotas struct{ zones, regions []quota }

func (q quotas) none() bool { return q.zones == nil && q.regions == nil }

// Bounds of strategies without an option, for zones of several nodes. They are less than twice the
// fair share, because the loads of the nodes of one zone differ by chance.
const (
	scoreOverload overload = 1750 // the overload of Rendezvous
	ringOverload  overload = 1670 // the overload of ConsistentHash
)

// newQuota returns the quota of a unit that has all slots that its nodes may own.
func newQuota(u *unit, partitions uint64, name string) quota {
	return quota{limited: true, few: true, each: int(u.most / partitions), rows: u.most % partitions, order: newPermutation(name)}
}

// newQuotas returns the quotas with which no node carries more than a bound over its fair share for
// the sake of zones.
//
// A strategy that gives all zones equally many first owners also needs quotas where rows have
// zones to choose from: for zones of fewer than half as many nodes as the mean. Such a quota must not make
// a row span fewer zones or regions.
func newQuotas(t ring.Topology, l layout, o overload, choice choice) quotas {
	if len(l.zones) == 1 {
		return quotas{}
	}
	partitions, members := uint64(t.PartitionCount), fairShares(t)
	zones := make([]unit, len(l.zones))
	for i, m := range members {
		bound, z := o, l.zoneOf[i]
		if len(l.zones[z].nodes) == 1 {
			bound = defaultOverload
		}
		zones[z].most += bound.limit(m.share, partitions)
	}
	even(uint64(t.Replicas), partitions, zones)
	all := make([]quota, len(zones))
	limit := func(z int) { all[z] = newQuota(&zones[z], partitions, l.zones[z].name()) }
	var small []int
	room, free := 0, 0                // the owners that every row may have, and the zones without a quota
	others := make([]bool, l.regions) // the regions that have such a zone
	for z := range zones {
		u, nodes := &zones[z], len(l.zones[z].nodes)
		switch {
		case u.pressed():
			limit(z)
			room += all[z].each
		case choice != proportional && u.most < partitions && 2*uint64(nodes)*uint64(len(zones)) < uint64(len(t.Nodes)):
			small = append(small, z)
			room += nodes
		default:
			room += nodes
			free++
			others[l.zones[z].region] = true
		}
	}
	if room < t.Replicas {
		return quotas{}
	}
	if free < t.Replicas || l.regions > 1 && choice != equal {
		small = nil
	}
	enough := count(others) >= t.Replicas
	for _, z := range small {
		if l.regions == 1 || enough || others[l.zones[z].region] {
			limit(z)
			all[z].few = l.regions > 1 // with one region the numbers of zones stay even
		}
	}
	return quotas{zones: limitedOnly(all)}
}

// choice says how a strategy chooses between zones for the first owner of a row.
type choice uint8

const (
	proportional     choice = iota // as likely as a zone has nodes
	equal                          // all zones are as likely
	equalInOneRegion               // the same, and zones have no quotas for that in several regions
)

// count counts what is true.
func count(all []bool) (n int) {
	for _, is := range all {
		if is {
			n++
		}
	}
	return n
}

// limitRegions adds the quotas of regions, with which no node carries more than a bound over its
// fair share for the sake of regions either.
func (q *quotas) limitRegions(t ring.Topology, l layout, o overload) {
	if l.regions == 1 {
		return
	}
	partitions := uint64(t.PartitionCount)
	regions, bounds := regionUnits(t, l, o)
	tight, all := make([]quota, l.regions), make([]quota, l.regions)
	for r := range regions {
		name := l.zones[l.first(r)].place.region
		switch u := &regions[r]; {
		case u.pressed():
			tight[r] = newQuota(u, partitions, name)
			all[r] = tight[r]
		case u.most == bounds[r] && bounds[r] >= partitions:
			// Rows that have too few owners elsewhere could take more than that here.
			all[r] = newQuota(u, partitions, name)
		}
	}
	// Quotas of the second sort are only for rows that leave other regions out, and must not make rows
	// span fewer zones.
	if limitedOnly(tight) == nil {
		return
	}
	if q.zonesWithin(all, l) < min(t.Replicas, len(l.zones)) {
		all = tight
	}
	if q.ownersWithin(all, l) >= t.Replicas {
		q.regions = all
	}
}

// regionUnits returns the units of the regions, and the slots that the nodes of each may own.
func regionUnits(t ring.Topology, l layout, o overload) (regions []unit, bounds []uint64) {
	partitions, replicas := uint64(t.PartitionCount), uint64(t.Replicas)
	regions, bounds = make([]unit, l.regions), make([]uint64, l.regions)
	zones := make([]unit, len(l.zones))
	for i, m := range fairShares(t) {
		z := l.zoneOf[i]
		slots := o.limit(m.share, partitions)
		zones[z].most += slots
		bounds[l.zones[z].region] += slots
	}
	even(replicas, partitions, zones)
	for z := range zones {
		r := &regions[l.zones[z].region]
		r.least, r.most = r.least+zones[z].least, r.most+zones[z].most
	}
	for r := range regions {
		u := &regions[r]
		u.least, u.most = min(u.least, bounds[r]), min(u.most, bounds[r])
	}
	even(replicas, partitions, regions)
	return regions, bounds
}

// ownersWithin returns how many owners every row may have within the quotas of zones and some of regions.
func (q *quotas) ownersWithin(regions []quota, l layout) int {
	return l.within(regions, func(z int) int { return q.least(z, len(l.zones[z].nodes)) })
}

// zonesWithin returns how many zones every row may span within the same quotas.
func (q *quotas) zonesWithin(regions []quota, l layout) int {
	return l.within(regions, func(z int) int { return min(q.least(z, len(l.zones[z].nodes)), 1) })
}

// least is the number of owners of a zone of some nodes that every row may have.
func (q *quotas) least(z, nodes int) int {
	if q.zones != nil && q.zones[z].limited {
		return min(q.zones[z].each, nodes)
	}
	return nodes
}

// limitedOnly returns nil instead of quotas of which none is limited.
func limitedOnly(all []quota) []quota {
	if slices.ContainsFunc(all, func(q quota) bool { return q.limited }) {
		return all
	}
	return nil
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

// yields returns an error that names the regions and zones of quotas, and nil when there are none.
func yields(l layout, all quotas) error {
	var few []string
	for r := range all.regions {
		if all.regions[r].few {
			few = append(few, fmt.Sprintf("region %q", l.zones[l.first(r)].place.region))
		}
	}
	for z := range all.zones {
		if at := l.zones[z].place; all.zones[z].few {
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
