package rebalance

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/clusterkit/clusterkit/ring"
)

// layout holds the nodes of a topology, grouped by zone.
type layout struct {
	zones   []zone // sorted by region, then by name
	zoneOf  []int  // the zone of each node
	regions int
}

// place names a zone of a region.
type place struct{ region, zone string }

func placeOf(n *ring.Node) place { return place{n.Region, n.Zone} }

// zone is one zone of one region.
type zone struct {
	place
	region int
	nodes  []uint16 // ascending
}

// name returns a name that no other zone has.
func (z *zone) name() string { return strconv.Quote(z.place.region) + z.zone }

func newLayout(nodes []ring.Node) layout {
	l := layout{zoneOf: make([]int, len(nodes))}
	index := make(map[place]int)
	z := 0
	for i := range nodes {
		at, known := placeOf(&nodes[i]), true
		if i == 0 || at != placeOf(&nodes[i-1]) {
			z, known = index[at]
		}
		if !known {
			z = len(l.zones)
			index[at] = z
			l.zones = append(l.zones, zone{place: at})
		}
		l.zoneOf[i] = z
		l.zones[z].nodes = append(l.zones[z].nodes, uint16(i))
	}
	slices.SortFunc(l.zones, func(a, b zone) int {
		return cmp.Or(cmp.Compare(a.place.region, b.place.region), cmp.Compare(a.zone, b.zone))
	})
	for z := range l.zones {
		if z == 0 || l.zones[z].place.region != l.zones[z-1].place.region {
			l.regions++
		}
		l.zones[z].region = l.regions - 1
		for _, n := range l.zones[z].nodes {
			l.zoneOf[n] = z
		}
	}
	return l
}

// depth is the largest number of owners that one zone gives to a row.
func (l *layout) depth(replicas int, q quotas) int {
	sizes := make([]int, len(l.zones))
	for z := range sizes {
		sizes[z] = q.least(z, len(l.zones[z].nodes))
	}
	if q.regions == nil {
		return depth(sizes, replicas)
	}
	for depth := 1; ; depth++ {
		if l.within(q.regions, func(z int) int { return min(sizes[z], depth) }) >= replicas {
			return depth
		}
	}
}

// within sums up a number of each zone, by which a region counts no more than every row may have there.
func (l *layout) within(regions []quota, of func(z int) int) (sum int) {
	room := make([]int, l.regions)
	for z := range l.zones {
		room[l.zones[z].region] += of(z)
	}
	for r := range room {
		if regions[r].limited {
			room[r] = min(room[r], regions[r].each)
		}
		sum += room[r]
	}
	return sum
}

// first returns the first zone of a region.
func (l *layout) first(region int) int {
	return slices.IndexFunc(l.zones, func(z zone) bool { return z.region == region })
}

// depth is the same for zones of given sizes, which together have enough nodes for a
// row.
func depth(sizes []int, replicas int) int {
	for depth := 1; ; depth++ {
		room := 0
		for _, size := range sizes {
			room += min(size, depth)
		}
		if room >= replicas {
			return depth
		}
	}
}

// picker chooses the zone of each owner of a row, one after the other.
//
// It always takes from the zones used least, and among these from the regions used
// least. So the counts of two zones differ by at most one, unless a zone has no more
// nodes or its quota or that of its region is used up, and as many regions are used as that permits. The rows within such limits are
// the bases of a matroid, and a greedy choice finds the best base. Therefore one node
// more or less changes at most one owner of a row, as long as the set of zones stays
// the same.
type picker struct {
	zones      []zone
	zoneUse    []int // the number of owners that the row has in each zone so far
	regionUse  []int
	room       []int // the largest number of owners that the row may have in each zone
	regionRoom []int // the same for each region
	quotas     quotas
	domain     domain
}

func newPicker(l layout, q quotas, partitions int) *picker {
	p := &picker{
		zones: l.zones, zoneUse: make([]int, len(l.zones)), regionUse: make([]int, l.regions),
		room: make([]int, len(l.zones)), regionRoom: make([]int, l.regions), quotas: q, domain: newDomain(partitions),
	}
	for z := range l.zones {
		p.room[z] = len(l.zones[z].nodes)
		p.regionRoom[l.zones[z].region] += p.room[z]
	}
	return p
}

// begin begins a row.
func (p *picker) begin(partition int) {
	clear(p.zoneUse)
	clear(p.regionUse)
	for z := range p.quotas.zones {
		p.room[z] = p.quotas.zones[z].of(uint64(partition), &p.domain, len(p.zones[z].nodes))
	}
	for r := range p.quotas.regions {
		if q := &p.quotas.regions[r]; q.limited {
			p.regionRoom[r] = q.of(uint64(partition), &p.domain, ring.MaxNodes)
		}
	}
}

// take counts an owner of a zone.
func (p *picker) take(z int) {
	p.zoneUse[z]++
	p.regionUse[p.zones[z].region]++
}

// next returns the zone to take from, given the cost of the next node of each zone. Of
// equal costs the earlier zone wins.
func (p *picker) next(costs []uint64) int {
	best, bestZone, bestRegion, bestCost := -1, 1<<31-1, 0, uint64(0) // larger than any count
	for z, used := range p.zoneUse {
		if used > bestZone || used >= p.room[z] {
			continue
		}
		r := p.zones[z].region
		region := p.regionUse[r]
		if region >= p.regionRoom[r] {
			continue
		}
		if used < bestZone || region < bestRegion || region == bestRegion && costs[z] < bestCost {
			best, bestZone, bestRegion, bestCost = z, used, region, costs[z]
		}
	}
	return best
}
