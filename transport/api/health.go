package api

import (
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// Health says how a member is, and why. It is a value, taken at one moment. It answers
// GET /v1/health, with status 200 when Ready and 503 when not.
type Health struct {
	// Ready says whether the member should be sent requests. It is about that
	// process alone: other members that are gone or differ do not make it unready.
	Ready bool `json:"ready"`
	// Healthy is false while there is any problem.
	Healthy bool `json:"healthy"`
	// ClusterName and NodeID say which member this is.
	ClusterName string `json:"clusterName"`
	NodeID      string `json:"nodeId"`
	// State is the name of the membership.State that the member announces, such as
	// "active". A later version may know more of them.
	State string `json:"state"`
	// Problems are what is wrong, the problems that make the member unready first.
	// The JSON has an empty list for nil.
	Problems []Problem `json:"problems"`
	// Members counts the members believed alive.
	Members int `json:"members"`
	// UnderReplicated and ZoneViolations count partitions, as [ring.Spread]
	// defines them.
	UnderReplicated int `json:"underReplicated"`
	ZoneViolations  int `json:"zoneViolations"`
	// Agreed says whether every member believed alive has been seen to hold
	// Fingerprint.
	Agreed bool `json:"agreed"`
	// Differing are the members not seen to hold it. The JSON has an empty list for
	// nil.
	Differing []Differing `json:"differing"`
	// Fingerprint identifies the member's view. Members whose views are equal have
	// the same.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Configuration names the replication factor and the strategy in use; empty
	// before there is one.
	Configuration string `json:"configuration,omitempty"`
	// LastSync is when the list of members was last exchanged in full with another
	// member; zero when never.
	LastSync time.Time `json:"lastSync,omitzero"`
}

// Problem is one thing that is wrong with a member.
type Problem struct {
	// Code says what is wrong, for programs. It is one of the Problem constants; a
	// later version may know more of them.
	Code string `json:"code"`
	// Message says what is wrong, for people, and what to do about it.
	Message string `json:"message"`
	// Unready says that the member is not ready because of the problem.
	Unready bool `json:"unready"`
	// Critical says that a person should look now: the member is on the smaller
	// side of a split, as far as it can know, or data may be gone or in one place
	// alone. It changes nothing that the member does.
	Critical bool `json:"critical"`
}

// Differing is a member that has not been seen to hold the view of another.
type Differing struct {
	// ID is its NodeID.
	ID string `json:"id"`
	// Reason says in what it differs, or that it has not answered.
	Reason string `json:"reason"`
}

// Codes of problems that make a member unready.
const (
	// ProblemNotStarted: Start has not been called, or has not succeeded.
	ProblemNotStarted = "not-started"
	// ProblemLeaving: the member is leaving or has been stopped.
	ProblemLeaving = "leaving"
	// ProblemSuperseded: a newer start of this NodeID speaks for it.
	ProblemSuperseded = "superseded"
	// ProblemConfiguration: the member cannot run the configuration in use.
	ProblemConfiguration = "configuration"
	// ProblemIsolated: most of the members believed alive do not answer.
	ProblemIsolated = "isolated"
	// ProblemJoining: the member does not own anything yet.
	ProblemJoining = "joining"
	// ProblemMinMembers: there are too few members for the first start of a cluster.
	ProblemMinMembers = "min-members"
	// ProblemNoRing: no member owns anything yet.
	ProblemNoRing = "no-ring"
)

// Codes of problems that leave a member ready.
const (
	// ProblemStrategy: the strategy failed; lookups answer from the last ring.
	ProblemStrategy = "strategy"
	// ProblemDuplicate: another live process has this NodeID.
	ProblemDuplicate = "duplicate"
	// ProblemDisagreement: for 10 s or more, some members have held another view.
	ProblemDisagreement = "disagreement"
	// ProblemUnderReplicated: there are fewer members than replicas.
	ProblemUnderReplicated = "under-replicated"
	// ProblemZones: some partitions span fewer zones than they could.
	ProblemZones = "zones"
	// ProblemExpectedMembers: there are fewer members than expected.
	ProblemExpectedMembers = "expected-members"
	// ProblemMinority: at most half of the expected members are there. The others
	// may be on the other side of a network split.
	ProblemMinority = "minority"
	// ProblemPossibleLoss: enough owners of a partition lost their state that an
	// acknowledged write may be gone.
	ProblemPossibleLoss = "possible-loss"
	// ProblemNotHandedOver: the member is draining or leaving, and no other member
	// is there to take over its partitions.
	ProblemNotHandedOver = "not-handed-over"
	// ProblemHandoffOverdue: partitions have been moving for longer than they should.
	ProblemHandoffOverdue = "handoff-overdue"
)

// HandoffState is how far a member is with moving partitions. It is zero when the
// cluster moves no data.
type HandoffState struct {
	// Receiving counts the partitions that the member owns and does not have all of
	// yet, Releasing those that it still holds for other members.
	Receiving int `json:"receiving"`
	Releasing int `json:"releasing"`
	// Sharing counts the partitions that it has, and that owners which came later, or
	// were cut off, have not merged from it yet. The handoffs of the cluster are
	// complete when Receiving, Releasing and Sharing are zero on all members.
	Sharing int `json:"sharing"`
	// Stranded counts the partitions that the member, draining or leaving, goes on
	// owning because no other member can take them. Their data is nowhere else, as
	// far as the member can know: Stop gives it up.
	Stranded int `json:"stranded"`
	// Lost are the partitions, ascending, of which enough owners lost their state
	// that an acknowledged write may be gone, by what the member found while it was
	// to receive them. Unless those owners come back, it does not become ready for
	// them by itself. Nor does it release what it has of them when it no longer owns
	// them.
	Lost []int `json:"lost,omitempty"`
	// Overdue counts the partitions that have been moving for longer than the option
	// OverdueAfter.
	Overdue int `json:"overdue"`
	// Received and Released count the calls of Receive and Release that succeeded
	// since the process started. Failed counts those that did not, and failed calls
	// of a journal. Messages counts what the member has sent to others about handoff.
	Received uint64 `json:"received"`
	Released uint64 `json:"released"`
	Failed   uint64 `json:"failed"`
	Messages uint64 `json:"messages"`
}
