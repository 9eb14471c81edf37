package ring

// Spread counts the partitions of a ring that have too few owners, or owners in too few
// zones or regions. Such partitions are no error: there may be too few nodes, or the
// strategy may not spread owners.
type Spread struct {
	// UnderReplicated is the number of partitions with fewer owners than the
	// replication factor: all of them when there are fewer nodes, else none.
	UnderReplicated int `json:"underReplicated"`
	// Zones is the number of zones that have nodes, and Regions of regions.
	Zones   int `json:"zones"`
	Regions int `json:"regions"`
	// ZoneViolations is the number of partitions whose owners are in fewer zones than
	// possible. Possible is the number of owners, or the number of zones if that is
	// smaller. A strategy may accept that where the members of a zone would carry too much.
	ZoneViolations int `json:"zoneViolations"`
	// RegionViolations is the same for regions.
	RegionViolations int `json:"regionViolations"`
}

// Spread examines the ring's own table, not that of its target. It reads every row,
// which takes about a millisecond for 65,536 partitions; keep the result.
func (r *Ring) Spread() Spread {
	if r == nil {
		return Spread{}
	}
	s := Spread{Zones: len(r.zones)}
	zoneOf, regionOf := make([]uint16, len(r.nodes)), make([]uint16, len(r.nodes))
	for i, at := range r.places {
		zoneOf[i], regionOf[i] = at.zone, at.region
		s.Regions = max(s.Regions, int(at.region)+1)
	}
	if r.replicas < r.config.ReplicationFactor {
		s.UnderReplicated = int(r.count)
	}
	if r.replicas == 0 {
		return s
	}
	for p := range uint32(r.count) {
		row := r.row(p)
		if distinct(row, zoneOf) < min(len(row), s.Zones) {
			s.ZoneViolations++
		}
		if distinct(row, regionOf) < min(len(row), s.Regions) {
			s.RegionViolations++
		}
	}
	return s
}

// zone is one zone of one region.
type zone struct {
	region, zone string
	regionIndex  uint16 // a number for each region, from zero
}

// place holds the indices of a node's zone and region.
type place struct{ zone, region uint16 }

// zonesOf numbers the zones of the nodes, in the order in which they appear.
func zonesOf(nodes []Node) (zones []zone, of []place) {
	regionIndex := make(map[string]uint16)
	index := make(map[[2]string]uint16)
	of = make([]place, len(nodes))
	for i := range nodes {
		n := &nodes[i]
		if i > 0 && n.Zone == nodes[i-1].Zone && n.Region == nodes[i-1].Region {
			of[i] = of[i-1]
			continue
		}
		label, known := index[[2]string{n.Region, n.Zone}]
		if !known {
			if _, ok := regionIndex[n.Region]; !ok {
				regionIndex[n.Region] = uint16(len(regionIndex))
			}
			label = uint16(len(zones))
			index[[2]string{n.Region, n.Zone}] = label
			zones = append(zones, zone{n.Region, n.Zone, regionIndex[n.Region]})
		}
		of[i] = place{label, zones[label].regionIndex}
	}
	return zones, of
}

// distinct counts the different numbers among at most maxReplicationFactor numbers.
func distinct(row []uint16, of []uint16) int {
	count := 0
	for i, a := range row {
		seen := false
		for _, b := range row[:i] {
			seen = seen || of[a] == of[b]
		}
		if !seen {
			count++
		}
	}
	return count
}
