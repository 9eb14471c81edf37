package transport

import (
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// Metrics are the figures of one member, for programs to watch: how it is, what
// it owns, and counts since the process started, which never go down. It is a
// value, taken at about one moment. docs/metrics.md says what the figures mean and
// what to do about them.
type Metrics struct {
	// ClusterName and NodeID say whose they are, Region and Zone where it runs.
	ClusterName, NodeID, Region, Zone string
	// Configuration names the replication factor and strategy in use; empty
	// before there is one.
	Configuration string

	// Ready and Healthy are those of health; Isolated says that most of the
	// members believed alive do not answer.
	Ready, Healthy, Isolated bool
	// Problems has every code that a problem of this member can have, and
	// whether it has it now.
	Problems map[string]bool
	// State is what the member announces.
	State membership.State

	// Members are the members believed alive, this one included. They must not be
	// modified.
	Members []membership.Member

	// Partitions is the number of partitions, ReplicationFactor how many owners
	// each should have; zero before the first ring.
	Partitions, ReplicationFactor int
	// Primaries is how many partitions this member is the primary of, Replicas
	// of how many it is an owner that is not the primary.
	Primaries, Replicas int
	// Incoming is how many partitions it owns in the ring that is the target
	// and not in the one that serves; Outgoing is the opposite. Both are zero
	// unless a member joins or drains.
	Incoming, Outgoing int
	// Spread is how well the ring meets what replication asks for.
	Spread ring.Spread

	// ViewVersion counts the views that this process has published, ViewSince
	// says when it took up the one of now; zero before the first.
	ViewVersion uint64
	ViewSince   time.Time
	// Fingerprint is equal on members whose views are equal.
	Fingerprint ring.Fingerprint
	// Agreed says that every member believed alive has been seen to hold the
	// view, Differing counts the members that have not, or hold another one.
	Agreed    bool
	Differing int

	// RingChanges counts how often lookups have begun to answer from another
	// ring, or it has got another target. Moves counts the replica slots
	// that have changed owner with it, the first ring's not included.
	RingChanges, Moves uint64
	// Rebuilds counts how often a strategy was asked for a table, or for two
	// at a time, RebuildFailures how often that failed, RebuildTime how long
	// it took in all, checks included, and LastRebuildTime the last time.
	Rebuilds, RebuildFailures    uint64
	RebuildTime, LastRebuildTime time.Duration

	// Gossip is what membership has counted.
	Gossip membership.Stats
	// LastSync is when all members were last exchanged with another member;
	// zero when never.
	LastSync time.Time

	// Handoff is how far this member is with moving partitions; zero when the
	// cluster moves no data.
	Handoff api.HandoffState

	// HTTP is what the handler has counted, Guard what was turned away.
	HTTP  HandlerStats
	Guard GuardCounts
}
