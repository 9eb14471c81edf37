package transport

import (
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// Metrics are the figures of one member for monitoring: its state, the partitions that
// it owns, and counts since the process started, which never decrease. All values are
// of about one moment. docs/metrics.md says what the figures mean and how to react to
// them.
type Metrics struct {
	// ClusterName and NodeID say which member this is, Region and Zone where it runs.
	ClusterName, NodeID, Region, Zone string
	// Configuration names the replication factor and the strategy in use. It is empty
	// before the first view.
	Configuration string

	// Ready and Healthy are those of [api.Health]. Isolated says that most of the
	// members believed alive do not answer.
	Ready, Healthy, Isolated bool
	// Problems has every code that a problem of this member can have, and
	// whether it has it now.
	Problems map[string]bool
	// State is the state that the member announces.
	State membership.State

	// Members are the members believed alive, this one included. They must not be
	// modified.
	Members []membership.Member

	// Partitions is the number of partitions, and ReplicationFactor the number of
	// owners that each should have. Both are zero before the first ring.
	Partitions, ReplicationFactor int
	// Primaries is the number of partitions of which this member is the primary.
	// Replicas is the number of partitions of which it is another owner.
	Primaries, Replicas int
	// Incoming is the number of partitions that this member owns in the target of the
	// ring and not in the ring itself. Outgoing is the reverse. Both are zero unless a
	// member joins or drains.
	Incoming, Outgoing int
	// Spread counts the partitions with too few owners, or with owners in too few
	// zones.
	Spread ring.Spread

	// ViewVersion is the number of views that this process has published. ViewSince is
	// the time of the present one. Both are zero before the first view.
	ViewVersion uint64
	ViewSince   time.Time
	// Fingerprint is equal on members with equal views.
	Fingerprint ring.Fingerprint
	// Agreed says that every member believed alive is known to hold the view. Differing
	// counts the members that are not, or that hold another view.
	Agreed    bool
	Differing int

	// RingChanges counts the changes of the ring that lookups answer from, or of its
	// target. Moves counts the replica slots that changed owner with these changes,
	// without those of the first ring.
	RingChanges, Moves uint64
	// Rebuilds counts the derivations of a view for which a strategy computed one or
	// two tables. RebuildFailures counts those that failed. RebuildTime is their total
	// time with checks, and LastRebuildTime the time of the last one.
	Rebuilds, RebuildFailures    uint64
	RebuildTime, LastRebuildTime time.Duration

	// Gossip has the counts of membership.
	Gossip membership.Stats
	// LastSync is when this member last exchanged the full list of members with another
	// one. It is zero if it never has.
	LastSync time.Time

	// Handoff is the state of moving partitions on this member. It is zero when the
	// cluster moves no data.
	Handoff api.HandoffState

	// HTTP has the counts of the handler, Guard the counts of refused requests, and
	// Server the present figures of the server. Server is zero when the program does not
	// serve HTTP with a [Server].
	HTTP   HandlerStats
	Guard  GuardCounts
	Server ServerStats
}
