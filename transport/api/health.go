package api

import (
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// Health says whether a member is ready, and lists its problems, at one moment. It is
// the answer of GET /v1/health, with status 200 when Ready and 503 when not.
type Health struct {
	// Ready says whether requests should be sent to the member. It depends only on this
	// process: other members that are gone or differ do not make it unready.
	Ready bool `json:"ready"`
	// Healthy is false while there is any problem.
	Healthy bool `json:"healthy"`
	// ClusterName and NodeID say which member this is.
	ClusterName string `json:"clusterName"`
	NodeID      string `json:"nodeId"`
	// Version is the version of its program. It is empty if the member announces none.
	Version string `json:"version,omitempty"`
	// State is the name of the membership.State that the member announces, such as
	// "active". Later versions may have further states.
	State string `json:"state"`
	// Problems are the present problems, with those that make the member unready first.
	// The JSON has an empty list for nil.
	Problems []Problem `json:"problems"`
	// Members counts the members believed alive.
	Members int `json:"members"`
	// UnderReplicated and ZoneViolations count partitions, as [ring.Spread]
	// defines them.
	UnderReplicated int `json:"underReplicated"`
	ZoneViolations  int `json:"zoneViolations"`
	// Agreed says whether every member believed alive is known to hold Fingerprint.
	Agreed bool `json:"agreed"`
	// Differing are the members that are not known to hold Fingerprint. The JSON has an
	// empty list for nil.
	Differing []Differing `json:"differing"`
	// Fingerprint identifies the member's view. Members with equal views have equal
	// fingerprints.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Configuration names the replication factor and the strategy in use. It is empty
	// before the first view.
	Configuration string `json:"configuration,omitempty"`
	// LastSync is when this member last exchanged the full list of members with another
	// one. It is zero if it never has.
	LastSync time.Time `json:"lastSync,omitzero"`
}

// Problem is one problem of a member.
type Problem struct {
	// Code identifies the problem for programs. It is one of the Problem constants.
	// Later versions may have further codes.
	Code string `json:"code"`
	// Message describes the problem for people, and says what to do about it.
	Message string `json:"message"`
	// Unready says that the member is not ready because of the problem.
	Unready bool `json:"unready"`
	// Critical says that a person should look now: the member seems to be on the
	// smaller side of a split network, a zone is lost and not replaced yet, or data may be lost or
	// is held by one member alone. The member behaves in the same way with and without it.
	Critical bool `json:"critical"`
}

// Differing is a member that is not known to hold the view of another member.
type Differing struct {
	// ID is the NodeID of the member.
	ID string `json:"id"`
	// Reason says how its view differs, or that it has not answered.
	Reason string `json:"reason"`
}

// Codes of problems that make a member unready.
const (
	// ProblemNotStarted: Start has not been called, or has not succeeded.
	ProblemNotStarted = "not-started"
	// ProblemLeaving: the member is leaving or has been stopped.
	ProblemLeaving = "leaving"
	// ProblemSuperseded: a later start of this NodeID has replaced the member.
	ProblemSuperseded = "superseded"
	// ProblemConfiguration: the member cannot run the configuration in use.
	ProblemConfiguration = "configuration"
	// ProblemIsolated: most of the members believed alive do not answer.
	ProblemIsolated = "isolated"
	// ProblemJoining: the member does not own any partition yet.
	ProblemJoining = "joining"
	// ProblemMinMembers: there are too few members for the first start of a cluster.
	ProblemMinMembers = "min-members"
	// ProblemNoRing: no member owns any partition yet.
	ProblemNoRing = "no-ring"
)

// Codes of problems that leave a member ready.
const (
	// ProblemStrategy: the strategy failed, or has not computed a table in ten seconds; lookups
	// answer from the last ring.
	ProblemStrategy = "strategy"
	// ProblemMisfit: the members do not meet the conditions of the strategy, which places
	// them in another way than it is meant to.
	ProblemMisfit = "misfit"
	// ProblemDuplicate: another live process has this NodeID.
	ProblemDuplicate = "duplicate"
	// ProblemDisagreement: for 10 s or more, some members have held another view.
	ProblemDisagreement = "disagreement"
	// ProblemUnderReplicated: there are fewer members than replicas.
	ProblemUnderReplicated = "under-replicated"
	// ProblemZones: the owners of some partitions are in fewer zones than possible, or in fewer regions
	// because the members of a region are too few.
	ProblemZones = "zones"
	// ProblemExpectedMembers: there are fewer members than expected.
	ProblemExpectedMembers = "expected-members"
	// ProblemMinority: at most half of the expected members are there. The others
	// may be on the other side of a network split.
	ProblemMinority = "minority"
	// ProblemPossibleLoss: an acknowledged write may be lost, because too many owners
	// of a partition lost their data.
	ProblemPossibleLoss = "possible-loss"
	// ProblemNotHandedOver: the member is draining or leaving, and no other member can
	// take over its partitions.
	ProblemNotHandedOver = "not-handed-over"
	// ProblemHandoffOverdue: partitions have been moving for longer than the option
	// OverdueAfter, or writes that keep them from moving have not ended for so long.
	ProblemHandoffOverdue = "handoff-overdue"
)

// HandoffState counts the partitions whose data a member has to receive or to hand
// over. It is zero when the cluster moves no data.
type HandoffState struct {
	// Receiving counts the partitions that the member owns and whose data it does not
	// have completely yet. Releasing counts the partitions that it does not own and
	// still holds for other members.
	Receiving int `json:"receiving"`
	Releasing int `json:"releasing"`
	// Sharing counts the partitions whose data the member has, and that another owner
	// has not merged from it yet: an owner that joined later, or that was cut off. The
	// handoffs of the cluster are complete when Receiving, Releasing and Sharing are
	// zero on all members.
	Sharing int `json:"sharing"`
	// Stranded counts the partitions that a draining or leaving member still owns
	// because no other member can take them. As far as the member knows, no other
	// member has their data: Stop gives it up.
	Stranded int `json:"stranded"`
	// Lost are the partitions, in ascending order, that may have lost an acknowledged
	// write, because too many of their owners lost their data. The member found this
	// while it was to receive them. Unless these owners come back, the member does not
	// become ready for these partitions, and does not release its data of them, without
	// a call of AcceptLoss.
	Lost []int `json:"lost,omitempty"`
	// Overdue counts the partitions that have been moving for longer than the option
	// OverdueAfter.
	Overdue int `json:"overdue"`
	// Received and Released count the calls of Receive and Release that succeeded since
	// the process started. Failed counts the calls of these and of a journal that
	// failed. Messages counts the messages about handoff that the member has sent.
	Received uint64 `json:"received"`
	Released uint64 `json:"released"`
	Failed   uint64 `json:"failed"`
	Messages uint64 `json:"messages"`
}
