package handoff

import "github.com/clusterkit/clusterkit/ring"

// Phase says whether a partition is on its way.
type Phase uint8

// The phases.
const (
	// Still: the partition is not here, or it is and nothing is left to do.
	Still Phase = iota
	// Receiving: this process is an owner that is not ready.
	Receiving
	// Releasing: this process is a former owner that still has the partition.
	Releasing
	// Sharing: this process is a ready owner, and other owners are yet to merge from it.
	Sharing
)

// Standing is how this process stands with a partition.
type Standing struct {
	Token   ring.Token // of the owners that it means
	Owner   bool       // it owns the partition, now or in the target
	Accepts bool       // it accepts writes
	Ready   bool       // it has what an owner must have
	Lost    bool       // an acknowledged write may be lost, and it waits for that reason
	Phase   Phase
}

// Standing returns how this process stands with a partition.
func (m *Machine) Standing(p int) Standing {
	pt := m.parts[p]
	if pt == nil || pt.ownership == outside && pt.has == empty {
		var token ring.Token
		if m.ring != nil {
			token = m.ring.Placement(p).Token()
		}
		return Standing{Token: token}
	}
	st := Standing{Token: pt.owners.token, Owner: pt.ownership >= awaiting, Accepts: pt.accepts(), Ready: pt.ready(), Lost: pt.lost}
	switch {
	case st.Owner && !st.Ready:
		st.Phase = Receiving
	case !st.Owner:
		st.Phase = Releasing
	case pt.others.anyAsked():
		st.Phase = Sharing
	}
	return st
}

// Totals count what a machine has done.
type Totals struct {
	Received uint64 // merges that succeeded
	Released uint64 // partitions released
	Messages uint64 // messages sent
}

// Totals returns what the machine has done so far.
func (m *Machine) Totals() Totals {
	return Totals{m.count.received, m.count.released, m.count.sent}
}

// count counts the partitions that meet a condition.
func (m *Machine) counting(which func(*partition) bool) (n int) {
	for _, pt := range m.parts {
		if which(pt) {
			n++
		}
	}
	return n
}

// handed reports whether all target owners have what this process serves of a partition.
// Where it is a target owner itself nobody has taken over.
func (m *Machine) handed(pt *partition) bool {
	if pt.ownership != owning {
		return true
	}
	for _, o := range pt.owners.target {
		if o == m.around.self || !pt.others.of(o).said.is(flagReady) {
			return false
		}
	}
	return true
}

// HandedOver reports whether a process that drains may stop serving.
func (m *Machine) HandedOver() bool {
	return m.around.draining && m.counting(func(pt *partition) bool { return !m.handed(pt) }) == 0
}

// Departing reports whether the process has announced that it drains or leaves.
func (m *Machine) Departing() bool { return m.around.draining || m.around.leaving }

// Bare reports whether nothing is left here, served or not, and every owner knows it.
func (m *Machine) Bare() bool { return m.Held() == 0 && len(m.untold()) == 0 }

// Held counts the partitions that keep this process from leaving.
func (m *Machine) Held() int {
	if m.around.draining {
		return m.counting(func(pt *partition) bool { return !m.handed(pt) })
	}
	return m.counting(func(pt *partition) bool { return pt.has > empty })
}

// Stranded counts the partitions that this process, draining or leaving, goes on owning
// because no other member takes them over.
func (m *Machine) Stranded() int {
	if !m.Departing() {
		return 0
	}
	return m.counting(func(pt *partition) bool { return pt.ownership == owning && pt.owners.target.has(m.around.self) })
}

// Joined reports whether this process is ready for all that it is to own.
func (m *Machine) Joined() bool {
	return m.ring != nil && m.counting(func(pt *partition) bool { return pt.ownership >= awaiting && !pt.ready() }) == 0
}
