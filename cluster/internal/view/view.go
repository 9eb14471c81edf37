package view

import (
	"slices"
	"sort"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// View is the list of a cluster's members with everything that is derived from it. It
// is immutable, so it is safe for concurrent use. Make one with [Builder.Derive];
// [Empty] returns the first one.
type View struct {
	// Members are the members believed alive and those that are away, ascending by ID.
	Members []membership.Member
	// Configuration names the configuration in use, as [Configuration.Name] does. It is empty when no
	// member can own anything.
	Configuration string
	// Ring is the serving ring, with its target. It is never nil. It is empty when no
	// member owns anything, and when this process does not have the configuration.
	Ring *ring.Ring
	// Fingerprint is equal on two members if their views are equal.
	Fingerprint ring.Fingerprint
	// Spread counts the partitions of Ring with too few owners, or with owners in too
	// few zones.
	Spread ring.Spread
	// Misfit says why the strategy places the members of Ring otherwise than it is meant to.
	// Nil means that it does not say so.
	Misfit error
	// Yields says why the strategy places partitions of Ring in fewer zones than possible. Nil means
	// that it does not say so.
	Yields error
	// Holding counts the partitions that the member of [Builder.Self] owns in Ring.
	Holding Holding
	// Failure is the error of the strategy, because of which Ring is older than
	// Members. Nil means that Ring is not older.
	Failure error
}

// Holding counts the partitions that one member owns in a ring.
type Holding struct {
	// Primaries and Replicas count the partitions of the serving ring that the member
	// owns: as the first owner, and as another one.
	Primaries, Replicas int
	// Incoming counts the partitions that the member owns in the target alone, Outgoing
	// those that it owns in the serving ring alone.
	Incoming, Outgoing int
}

// Empty returns the view before the first: no members, and an empty ring.
func Empty() *View { return &View{Ring: &ring.Ring{}} }

// Member returns the member with an ID, and whether there is one. It allocates nothing.
func (v *View) Member(id string) (membership.Member, bool) {
	// A Member is large, and slices.BinarySearchFunc would copy one at every step.
	i := sort.Search(len(v.Members), func(i int) bool { return v.Members[i].ID >= id })
	if i == len(v.Members) || v.Members[i].ID != id {
		return membership.Member{}, false
	}
	return v.Members[i], true
}

// Gone reports whether a member is away and has left.
func Gone(m membership.Member) bool { return m.State == membership.Away && !m.Until.IsZero() }

// Participants returns the members that can derive this view, ascending by ID: the members that are
// not [Gone] and have its configuration. Only these members can agree on the view. Each other
// member reports in its health that it cannot. The result may be Members itself, and must not be
// modified.
func (v *View) Participants() []membership.Member {
	lacks := func(m membership.Member) bool {
		return Gone(m) || v.Configuration != "" && !slices.Contains(m.Configurations, v.Configuration)
	}
	if !slices.ContainsFunc(v.Members, lacks) {
		return v.Members
	}
	return slices.DeleteFunc(slices.Clone(v.Members), lacks)
}

// holdingOf counts the partitions of a member. It reads every partition.
func holdingOf(r *ring.Ring, id string) (h Holding) {
	moving := r.Target() != r
	for _, p := range r.All() {
		primary, _ := p.Primary()
		owns := p.Owns(id)
		switch {
		case owns && primary.ID() == id:
			h.Primaries++
		case owns:
			h.Replicas++
		}
		if !moving {
			continue
		}
		switch will := p.Target().Owns(id); {
		case will && !owns:
			h.Incoming++
		case owns && !will:
			h.Outgoing++
		}
	}
	return h
}
