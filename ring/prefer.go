package ring

// Prefer returns the same placement with its owners in another order: the owners in the
// zone first, then the owners in the region, then the rest, each group in the order of the
// preference list. The primary, the set of owners and the token do not change.
func (p Placement) Prefer(region, zone string) Placement {
	r := p.ring
	here, near := -1, -1 // the zone and the region, as soon as an owner in it is found
	var first, second, third uint64
	var firstBits, secondBits, thirdBits int
	for rank, node := range r.row(p.partition) {
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
	order := first | second<<firstBits | third<<(firstBits+secondBits)
	p.order = (order ^ identity) & (1<<(firstBits+secondBits+thirdBits) - 1)
	return p
}

// rank is the place in the preference list of the owner at a position.
func (p Placement) rank(position int) int {
	return int((p.order ^ identity) >> (4 * position) & 15)
}

// same is a == b, and compares the last byte first. The names of a cluster often have
// one length and one beginning, so the last byte shows most differences.
func same(a, b string) bool {
	return len(a) == len(b) && (len(a) == 0 || a[len(a)-1] == b[len(a)-1]) && a == b
}
