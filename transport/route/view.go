package route

import (
	"sort"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// View is a consistent view of the cluster at one moment. It never changes, and must
// not be modified.
type View struct {
	// ClusterName and NodeID identify the member that has the view.
	ClusterName, NodeID string
	// Version is the number of views that this process has published so far; zero
	// before the first.
	Version uint64
	// Ring is the serving ring, with its target; nil before the first.
	Ring *ring.Ring
	// Members are the members believed alive, in ascending order of ID, this
	// one included.
	Members []membership.Member
	// Fingerprint is equal on two members if their views are equal.
	Fingerprint ring.Fingerprint
	// Configuration names the replication factor and strategy in use.
	Configuration string
}

// Member returns the member with an ID, or nil when it is not in the view. The result must
// not be modified. Member allocates nothing.
func (v View) Member(id string) *membership.Member {
	// A Member is large, and slices.BinarySearchFunc would copy one at every step.
	i := sort.Search(len(v.Members), func(i int) bool { return v.Members[i].ID >= id })
	if i == len(v.Members) || v.Members[i].ID != id {
		return nil
	}
	return &v.Members[i]
}

// MayAnswer reports whether the member that has the view should answer a request for a
// placement. It may answer a forwarded request also when it is not the first owner of the
// policy, because the sender may have had a reason to pass over the others. Owners that are
// away are passed over. MayAnswer allocates nothing.
func (v View) MayAnswer(p ring.Placement, policy Policy, forwarded bool) bool {
	if policy == Nearest || policy == PrimaryFirst && forwarded {
		return p.Owns(v.NodeID)
	}
	for i := range p.Len() {
		id := p.At(i).ID()
		if id == v.NodeID {
			return true
		}
		if m := v.Member(id); m == nil || m.State != membership.Away {
			return false
		}
	}
	return false
}
