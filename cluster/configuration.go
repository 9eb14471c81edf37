package cluster

import "github.com/clusterkit/clusterkit/ring"

// Configuration is what members must have in common to place keys alike, beside the partition
// count.
type Configuration struct {
	// ReplicationFactor is the number of owners of a partition, 1 to 16. Zero means 3.
	ReplicationFactor int
	// WriteQuorum is how many owners acknowledge a write, 1 to ReplicationFactor, where there is
	// a [Mover]. Zero means more than half of ReplicationFactor. Without a Mover, and with
	// HandoffOff, it must be zero.
	WriteQuorum int
	// HandoffOff says that under this configuration this member owns as one without a [Mover]
	// does: as soon as it has joined, and nothing is moved. Members without a Mover have such
	// configurations alone. False means that there is a handoff where this member has a Mover.
	//
	// To turn handoff on in a running cluster, restart every member with the Mover and
	// AlsoRuns: {{HandoffOff: true}}, then every member without AlsoRuns.
	HandoffOff bool
	// Strategy picks the owners. Nil means [rebalance.Balanced].
	Strategy ring.RebalanceStrategy
}
