package transport

import (
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// MetricsSource is what a [NewCollector] reads. A cluster.Cluster is one.
type MetricsSource interface {
	// Metrics returns the values of now. It is called for every scrape,
	// concurrently; it must be cheap and must not block. ClusterName must be
	// the same each time.
	Metrics() Metrics
}

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

	// Members counts the members believed alive, this one included, by place
	// and state. Those not listed count zero.
	Members []MemberCount

	// Partitions is the number of partitions, ReplicationFactor how many owners
	// each should have; zero before the first ring.
	Partitions, ReplicationFactor int
	// Primaries is how many partitions this member is the primary of, Replicas
	// of how many it is an owner that is not the primary.
	Primaries, Replicas int
	// Incoming is how many partitions it owns in the ring that is the target
	// and not in the one that serves; Outgoing is the opposite. Both are zero
	// unless somebody joins or drains.
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
	// view, Differing counts those that have not, or hold another one.
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
	Handoff HandoffMetrics

	// HTTP is what the handler has counted, Guard what was turned away.
	HTTP  HandlerStats
	Guard GuardCounts
}

// HandoffMetrics is how far a member is with moving partitions.
type HandoffMetrics struct {
	// Receiving counts the partitions that the member owns and does not have
	// all of yet, Releasing those it still holds for others, Sharing those that
	// it has and that other owners are yet to merge from it. The handoffs of the
	// cluster are complete when all three are zero on all members.
	Receiving, Releasing, Sharing int
	// Lost counts those it is receiving that may have lost a write, Kept those
	// it goes on owning, though it drains or leaves, because nobody is there to
	// take them over, Overdue those that have been on their way for long.
	Lost, Kept, Overdue int
	// Received and Released count the calls of the user's code that succeeded,
	// Failed those that did not, Messages what was sent to others about it.
	Received, Released, Failed, Messages uint64
}

// MemberCount is a number of members in one place and one state.
type MemberCount struct {
	Region, Zone string
	State        membership.State
	Count        int
}

// CountMembers counts members by place and state.
func CountMembers(members []membership.Member) []MemberCount {
	var counts []MemberCount
	index := make(map[MemberCount]int)
	for _, m := range members {
		key := MemberCount{Region: m.Region, Zone: m.Zone, State: m.State}
		i, known := index[key]
		if !known {
			i = len(counts)
			index[key] = i
			counts = append(counts, key)
		}
		counts[i].Count++
	}
	return counts
}
