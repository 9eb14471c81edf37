package cluster

import "github.com/clusterkit/clusterkit/ring"

// Configuration is what members must have in common to compute the same owners, beside the
// partition count.
type Configuration struct {
	// ReplicationFactor is the number of owners of a partition, 1 to 16. Zero means 3.
	ReplicationFactor int
	// WriteQuorum is how many owners must acknowledge a write, 1 to ReplicationFactor, where
	// there is a [Mover]. Zero means the smallest number that is more than half of
	// ReplicationFactor. Without a Mover, and with HandoffOff, WriteQuorum must be zero.
	WriteQuorum int
	// HandoffOff says that no data is moved under this configuration: a member owns as soon as
	// it has joined, as a member without a [Mover] does. All configurations of a member
	// without a Mover are such. False means that handoff is on where this member has a Mover.
	//
	// To turn handoff on in a running cluster, restart every member with the Mover and
	// AlsoRuns: {{HandoffOff: true}}, then every member without AlsoRuns.
	HandoffOff bool
	// Strategy picks the owners. Nil means [rebalance.Balanced].
	Strategy ring.RebalanceStrategy
}
