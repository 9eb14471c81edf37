package handoff

import (
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// Phase says what is left to do for a partition.
type Phase uint8

// The phases.
const (
	Still     Phase = iota // the partition is not here, or nothing is left to do
	Receiving              // this process is an owner that is not ready
	Releasing              // this process is a former owner that still has the partition
	Sharing                // this process is a ready owner from which others are yet to merge
)

// Standing is how this process stands with a partition.
type Standing struct {
	Token   ring.Token // the token of the partition in the present ring of the process
	Phase   Phase
	Owner   bool // the process owns the partition, now or in the target
	Accepts bool // the process accepts writes; Phase says whether it is ready
	Lost    bool // an acknowledged write may be lost, and the process waits for that reason
}

// Ready reports whether the process is a ready owner.
func (s Standing) Ready() bool { return s.Owner && s.Phase != Receiving }

// Standing returns how this process stands with a partition.
func (m *Machine) Standing(p int) Standing {
	st, pt := Standing{}, m.parts[p]
	if m.ring != nil {
		st.Token = m.ring.Placement(p).Token()
	}
	if pt == nil || pt.ownership == outside && pt.has == empty {
		return st
	}
	st.Owner, st.Accepts, st.Lost = pt.ownership >= awaiting, pt.accepts(), pt.lost
	switch {
	case !st.Owner:
		st.Phase = Releasing
	case !pt.ready():
		st.Phase = Receiving
	case pt.others.anyAsked():
		st.Phase = Sharing
	}
	return st
}

// Summary is the progress of the whole process.
type Summary struct {
	Joined     bool // ready for every partition that the process owns, now or in the target
	HandedOver bool // the process drains, and every target owner has the data that it serves
	Bare       bool // no data is left here, and every owner has confirmed the departure
	Held       int  // partitions that keep the process from leaving
	Stranded   int  // partitions that the draining or leaving process still owns, because no member takes them over
}

// Summary returns the progress of the whole process. It looks at every partition.
func (m *Machine) Summary() Summary {
	s := &m.around
	sum := Summary{Joined: m.ring != nil}
	for _, pt := range m.parts {
		if pt == nil {
			continue
		}
		if pt.ownership >= awaiting && !pt.ready() {
			sum.Joined = false
		}
		if s.draining && !pt.handed(s) || !s.draining && !s.off() && pt.has > empty {
			sum.Held++
		}
		if (s.draining || s.leaving) && pt.ownership == owning && pt.owners.target.has(s.self) {
			sum.Stranded++
		}
	}
	sum.HandedOver = s.draining && sum.Held == 0
	sum.Bare = sum.Held == 0 && len(m.untold()) == 0
	return sum
}

// Totals count the merges and releases that succeeded, and the messages sent.
type Totals struct{ Received, Released, Messages uint64 }

// Totals returns what the machine has done so far.
func (m *Machine) Totals() Totals { return m.count.totals }

// Departing reports whether the process has announced that it drains or leaves.
func (m *Machine) Departing() bool { return m.around.draining || m.around.leaving }

// Departed reports whether the process has announced that it departs, with nothing left.
func (m *Machine) Departed() bool { return m.departure.announced > 0 }

// Off reports whether handoff is off: nothing keeps the process from leaving.
func (m *Machine) Off() bool { return m.around.off() }

// handed reports whether all target owners have the data that this process serves of a partition. Where
// this process is a target owner itself, no member has taken over.
func (pt *partition) handed(s *surroundings) bool {
	return pt.ownership != owning || !slices.ContainsFunc(pt.owners.target, func(o Process) bool {
		return o == s.self || !pt.others.of(o).said.is(flagReady)
	})
}
