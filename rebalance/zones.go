package rebalance

import (
	"cmp"
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// layout is the nodes of a topology grouped by zone.
type layout struct {
	zones   []zone // ascending by region, then by name
	zoneOf  []int  // the zone of each node
	regions int
}

// zone is one zone of one region.
type zone struct {
	region int
	nodes  []uint16 // ascending
}

func newLayout(nodes []ring.Node) layout {
	order := make([]uint16, len(nodes))
	for i := range order {
		order[i] = uint16(i)
	}
	slices.SortStableFunc(order, func(a, b uint16) int {
		x, y := &nodes[a], &nodes[b]
		return cmp.Or(cmp.Compare(x.Region, y.Region), cmp.Compare(x.Zone, y.Zone))
	})
	l := layout{zoneOf: make([]int, len(nodes))}
	for i, n := range order {
		regionStarts, zoneStarts := true, true
		if i > 0 {
			last := &nodes[order[i-1]]
			regionStarts = last.Region != nodes[n].Region
			zoneStarts = regionStarts || last.Zone != nodes[n].Zone
		}
		if regionStarts {
			l.regions++
		}
		if zoneStarts {
			l.zones = append(l.zones, zone{region: l.regions - 1})
		}
		l.zoneOf[n] = len(l.zones) - 1
		z := &l.zones[len(l.zones)-1]
		z.nodes = append(z.nodes, n)
	}
	return l
}

// depth is the largest number of owners that one zone gives to a row.
func (l *layout) depth(replicas int) int {
	for depth := 1; ; depth++ {
		room := 0
		for _, z := range l.zones {
			room += min(len(z.nodes), depth)
		}
		if room >= replicas {
			return depth
		}
	}
}

// picker chooses the zone of one owner of a row after the other.
//
// It always takes from the zones used least, and among those from the regions
// used least. So the zones' counts differ by at most one unless a zone runs out
// of nodes, and as many regions are spanned as that permits. The rows within
// such limits are the bases of a matroid, of which a greedy choice finds the
// best; therefore one node more or less changes one owner of a row at most, as
// long as the zones stay what they are.
type picker struct {
	zones     []zone
	zoneUse   []int // owners the row has in each zone so far
	regionUse []int
}

func newPicker(l layout) *picker {
	return &picker{zones: l.zones, zoneUse: make([]int, len(l.zones)), regionUse: make([]int, l.regions)}
}

// reset begins a row.
func (p *picker) reset() {
	clear(p.zoneUse)
	clear(p.regionUse)
}

// take counts an owner of a zone.
func (p *picker) take(z int) {
	p.zoneUse[z]++
	p.regionUse[p.zones[z].region]++
}

// next returns the zone to take from, given what the next node of each zone
// costs. Ties go to the earlier zone.
func (p *picker) next(costs []uint64) int {
	best, bestZone, bestRegion, bestCost := -1, 1<<31-1, 0, uint64(0) // no count comes near that
	for z, used := range p.zoneUse {
		if used > bestZone || used == len(p.zones[z].nodes) {
			continue
		}
		region := p.regionUse[p.zones[z].region]
		if used < bestZone || region < bestRegion || region == bestRegion && costs[z] < bestCost {
			best, bestZone, bestRegion, bestCost = z, used, region, costs[z]
		}
	}
	return best
}
