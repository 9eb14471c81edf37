package ring

// Prefer returns the same placement with its owners in another order: those
// of the zone first, then those of the region, then the rest, each group in the
// order of the preference list. Who the primary is, who owns, and the token do
// not change.
func (p Placement) Prefer(region, zone string) Placement {
	r := p.ring
	row := r.row(p.partition)
	near, here := r.find(row, region, zone)
	// The ranks of each group, four bits each, and how many bits they take. Which
	// owner is near is chance, so that branches on it would be mispredicted as
	// often as not; masks of all ones or none take their place.
	var first, second, third uint64
	var firstBits, secondBits, thirdBits uint64
	for i, node := range row {
		rank, at := uint64(i), r.places[node]
		inZone, inRegion := equal(int64(at.zone), here), equal(int64(at.region), near)
		first |= rank << (firstBits & 63) & inZone
		firstBits += 4 & inZone
		second |= rank << (secondBits & 63) & (inRegion &^ inZone)
		secondBits += 4 & (inRegion &^ inZone)
		third |= rank << (thirdBits & 63) &^ inRegion
		thirdBits += 4 &^ inRegion
	}
	order := first | second<<firstBits | third<<(firstBits+secondBits)
	p.order = (order ^ identity) & (1<<(firstBits+secondBits+thirdBits) - 1)
	return p
}

// equal is all ones when two numbers from zero to nowhere are equal, else zero.
func equal(a, b int64) uint64 { return uint64(((a ^ b) - 1) >> 63) }

// nowhere is the index of a zone or region that is not there.
const nowhere = 1 << 16

// fewZones is how many zones find goes through. With so few, going through all
// costs less than going through a row: a caller asks for the same zone again and
// again, so that every branch goes as it did before.
const fewZones = 16

// find returns the index of a region and of a zone in it, nowhere for what the
// ring does not have. With many zones that may also stand for what the row does
// not have.
func (r *Ring) find(row []uint16, region, zone string) (near, here int64) {
	if len(row) == 0 {
		return nowhere, nowhere
	}
	if len(r.zones) <= fewZones {
		for i := range r.zones {
			z := &r.zones[i]
			if same(z.zone, zone) && same(z.region, region) {
				return int64(z.regionIndex), int64(i)
			}
		}
	}
	near = nowhere
	for _, node := range row {
		at := r.places[node]
		z := &r.zones[at.zone]
		if near == nowhere && same(z.region, region) {
			near = int64(at.region)
		}
		if int64(at.region) == near && same(z.zone, zone) {
			return near, int64(at.zone)
		}
	}
	return near, nowhere
}

// same is a == b, asking for the last byte first: names in a cluster begin alike
// and have one length, so that this byte alone tells most of them apart.
func same(a, b string) bool {
	return len(a) == len(b) && (len(a) == 0 || a[len(a)-1] == b[len(a)-1]) && a == b
}

func (p Placement) rank(position int) int {
	return int((p.order ^ identity) >> (4 * position) & 15)
}
