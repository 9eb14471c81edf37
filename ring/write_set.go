package ring

import "iter"

// WriteSet is the set of owners that a write must reach: the serving owners of a
// partition and, while the partition moves, its target owners. Make one with [Writers].
// It is a small value of two placements, cheap to copy. It does not change when another
// ring replaces theirs. The zero WriteSet has no owners. All methods are safe for
// concurrent use, and none blocks.
type WriteSet struct{ serving, target Placement }

// Writers returns the owners that a write to the partition of a placement must reach.
// While the ring has no target these are the owners of the placement. Send the write
// to all of them, and acknowledge it when [WriteSet.Enough] says so.
func Writers(p Placement) WriteSet { return WriteSet{p, p.Target()} }

// All iterates over the owners. Each owner comes once. The serving owners come first,
// in the order of the placement; the target owners that do not serve follow, in the
// order of their preference list.
func (s WriteSet) All() iter.Seq[Owner] {
	return func(yield func(Owner) bool) {
		for _, o := range s.serving.All() {
			if !yield(o) {
				return
			}
		}
		for _, o := range s.target.All() {
			if !s.serving.Owns(o.ID()) && !yield(o) {
				return
			}
		}
	}
}

// Includes reports whether the node with an ID is a serving owner or a target owner.
func (s WriteSet) Includes(id string) bool { return s.serving.Owns(id) || s.target.Owns(id) }

// Enough reports whether a write may be acknowledged: a quorum of the serving owners
// and a quorum of the target owners have it. The function argument reports whether the
// owner with an ID has acknowledged the write. It is called at most once for each owner
// of either set.
//
// A quorum of zero means the [Config.WriteQuorum] of the placement's ring, which the token covers,
// too. Where that is zero, Enough is always false. Another quorum must come from the configuration,
// and be more than half of the replication factor. Do not compute it from the number of present
// owners: with fewer nodes than the replication factor, that number would be too small.
func (s WriteSet) Enough(quorum int, acknowledged func(id string) bool) bool {
	if quorum == 0 {
		quorum = s.serving.ring.Config().WriteQuorum
	}
	for _, owners := range []Placement{s.serving, s.target} {
		n := 0
		for _, o := range owners.All() {
			if acknowledged(o.ID()) {
				n++
			}
		}
		if quorum < 1 || n < quorum {
			return false
		}
	}
	return true
}
