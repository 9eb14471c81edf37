package ring

// Prefer returns the same placement with its owners in another order: the owners in the
// zone first, then the owners in the region, then the rest, each group in the order of the
// preference list. The primary, the set of owners and the token do not change.
func (p Placement) Prefer(region, zone string) Placement {
	return p.ring.preferred(p.partition, region, zone)
}

// identity is the order of the preference list itself: rank i at position i.
const identity = uint64(0xFEDCBA9876543210)

// arrange computes the order of the owners of a partition as seen from a zone. Positions
// without an owner keep their own rank, so that the order of a row is never zero.
func (r *Ring) arrange(partition uint32, region, zone string) uint64 {
	row := r.row(partition)
	if len(row) == 0 {
		return 0
	}
	here, near := -1, -1 // the zone and the region, as soon as an owner in it is found
	var first, second, third uint64
	var firstBits, secondBits, thirdBits int
	for rank, node := range row {
		at := r.places[node]
		if here < 0 {
			z := &r.zones[at.zone]
			if near < 0 && same(z.region, region) {
				near = int(at.region)
			}
			if int(at.region) == near && same(z.zone, zone) {
				here = int(at.zone)
			}
		}
		switch {
		case int(at.zone) == here:
			first |= uint64(rank) << (firstBits & 63)
			firstBits += 4
		case int(at.region) == near:
			second |= uint64(rank) << (secondBits & 63)
			secondBits += 4
		default:
			third |= uint64(rank) << (thirdBits & 63)
			thirdBits += 4
		}
	}
	return first | second<<(firstBits&63) | third<<((firstBits+secondBits)&63) | identity<<(4*len(row))
}

// rank is the place in the preference list of the owner at a position.
func (p Placement) rank(position int) int {
	return int(p.order >> (4 * position & 63) & 15)
}

// same is a == b, and compares the last byte first. The names of a cluster often have
// one length and one beginning, so the last byte shows most differences.
func same(a, b string) bool {
	return len(a) == len(b) && (len(a) == 0 || a[len(a)-1] == b[len(a)-1]) && a == b
}
