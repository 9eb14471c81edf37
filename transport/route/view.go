package transport

import (
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// Cluster is what the handler answers from. Both methods are called for every
// request, concurrently; they must be cheap and must not block.
type Cluster interface {
	// View returns what this member believes now, as one consistent value.
	View() View
	// Health returns how this member is.
	Health() Health
}

// View is one consistent picture of the cluster, taken at one moment. Nothing
// in it changes afterwards and nothing in it may be modified.
type View struct {
	// ClusterName and NodeID say whose view it is.
	ClusterName, NodeID string
	// Version counts the views this process has published; zero before the
	// first.
	Version uint64
	// Ring is the serving ring, with its target; nil before the first.
	Ring *ring.Ring
	// Members are the members believed alive, in ascending order of ID, this
	// one included.
	Members []membership.Member
	// Fingerprint is equal on members whose views are equal.
	Fingerprint ring.Fingerprint
	// Configuration names the replication factor and strategy in use.
	Configuration string
}

// Health is how a member is, and why.
type Health struct {
	// Ready says whether the member should be sent requests. It is about this
	// process alone and never about the others.
	Ready bool
	// Healthy is false while there is any Problem.
	Healthy bool
	// State is the state the member announces.
	State membership.State
	// Problems are what is wrong, the gravest first. Those that make the
	// member unready have Unready set.
	Problems []Problem
	// Members counts the members believed alive.
	Members int
	// UnderReplicated and ZoneViolations count partitions, as ring.Spread
	// defines them.
	UnderReplicated, ZoneViolations int
	// Agreed says whether every member believed alive has been seen to hold
	// this member's fingerprint.
	Agreed bool
	// Differing are the members not seen to hold it, and why where known.
	Differing []Differing
	// Fingerprint is the view's.
	Fingerprint ring.Fingerprint
	// LastSync is when state was last exchanged in full with another member;
	// zero when never.
	LastSync time.Time
}

// Problem is one thing that is wrong.
type Problem struct {
	// Code is a stable lower-case identifier, such as "isolated".
	Code string
	// Message says what is wrong and what to do about it.
	Message string
	// Unready says that the member is not ready because of it.
	Unready bool
	// Critical says that somebody should look now.
	Critical bool
}

// Differing is a member that has not confirmed this member's view.
type Differing struct {
	// ID is its NodeID.
	ID string
	// Reason says in what it differs, or that it has not answered.
	Reason string
}
