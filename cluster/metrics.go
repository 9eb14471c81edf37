package cluster

import (
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
)

// Metrics returns this member's present figures. It does not block, and takes about as long as
// [Cluster.Health]. It may be called at any time, also before Start and after Stop. For
// Prometheus, [Cluster.Handler] serves the figures at /metrics, and [transport.NewCollector]
// makes a collector of them.
func (c *Cluster) Metrics() transport.Metrics {
	v, h := c.view.Load(), c.Health()
	m := transport.Metrics{
		ClusterName: c.settings.ClusterName, NodeID: h.NodeID, Region: c.settings.Region, Zone: c.settings.Zone,
		Configuration: v.Configuration,
		Ready:         h.Ready, Healthy: h.Healthy, Isolated: membership.Drive(c.members).Isolated(),
		Problems: make(map[string]bool, len(problemCodes)+len(gossipProblems)),
		State:    c.members.Local().State,
		Members:  v.Members,

		Partitions: v.Ring.PartitionCount(), ReplicationFactor: v.Ring.Config().ReplicationFactor,
		Primaries: v.Holding.Primaries, Replicas: v.Holding.Replicas, Incoming: v.Holding.Incoming, Outgoing: v.Holding.Outgoing,
		Spread: v.Spread,

		ViewVersion: v.version, Fingerprint: v.Fingerprint,
		Agreed: h.Agreed, Differing: len(h.Differing),

		RingChanges: c.counts.ringChanges.Load(), Moves: c.counts.moves.Load(),
		Rebuilds: c.counts.rebuilds.Load(), RebuildFailures: c.counts.failures.Load(),
		RebuildTime: time.Duration(c.counts.spent.Load()), LastRebuildTime: time.Duration(c.counts.last.Load()),

		Gossip: membership.Drive(c.members).Stats(), LastSync: h.LastSync,
	}
	if v.version > 0 {
		m.ViewSince = membership.Drive(c.members).Agreement().Since
	}
	m.Handoff = c.Handoff().State()
	for _, code := range problemCodes {
		m.Problems[code] = false
	}
	for _, kind := range membership.Drive(c.members).TroubleKinds() {
		m.Problems[kind] = false
	}
	for _, p := range h.Problems {
		m.Problems[p.Code] = true
	}
	m.HTTP, m.Guard = c.handler.Stats(), c.guard.Counts()
	c.mu.Lock()
	server := c.server
	c.mu.Unlock()
	if server != nil {
		m.Server = server.Stats()
	}
	return m
}

// problemCodes are all codes of problems, so that metrics have a series of each, also
// while there is no such problem.
var problemCodes = [...]string{
	api.ProblemNotStarted, api.ProblemLeaving, api.ProblemSuperseded, api.ProblemConfiguration, api.ProblemIsolated, api.ProblemJoining,
	api.ProblemMinMembers, api.ProblemNoRing, api.ProblemStrategy, api.ProblemMisfit, api.ProblemDuplicate, api.ProblemDisagreement, api.ProblemUnderReplicated, api.ProblemZones,
	api.ProblemExpectedMembers, api.ProblemMinority, api.ProblemPossibleLoss, api.ProblemNotHandedOver, api.ProblemHandoffOverdue, problemAway, problemZoneLost,
}

// counts are counters that the loop increases and any goroutine may read.
type counts struct {
	ringChanges, moves, rebuilds, failures atomic.Uint64
	spent, last                            atomic.Int64 // nanoseconds that all rebuilds took, and the last one
}

// rebuilt counts a derivation for which a strategy computed a table.
func (c *counts) rebuilt(took time.Duration, failed bool) {
	c.rebuilds.Add(1)
	c.spent.Add(int64(took))
	c.last.Store(int64(took))
	if failed {
		c.failures.Add(1)
	}
}

// changed counts a new ring, and the slots that move from the ring before. Nothing
// counts as moved where either ring is empty.
func (c *counts) changed(before, after *ring.Ring) {
	c.ringChanges.Add(1)
	if before.Len() == 0 || after.Len() == 0 {
		return
	}
	// The partition count is fixed, so that rings can be compared.
	if plan, err := rebalance.Diff(before, after); err == nil {
		c.moves.Add(uint64(len(plan.Moves)))
	}
}
