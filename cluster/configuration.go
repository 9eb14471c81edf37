package cluster

import "github.com/clusterkit/clusterkit/ring"

// Configuration is what members must have in common to place keys alike, beside the partition
// count.
type Configuration struct {
	// ReplicationFactor is the number of owners of a partition, 1 to 16. Zero means 3.
	ReplicationFactor int
	// WriteQuorum is how many owners acknowledge a write, 1 to ReplicationFactor, where there is
	// a [Mover]. Zero means more than half of ReplicationFactor. Without a Mover it must be zero.
	WriteQuorum int
	// Strategy picks the owners. Nil means [rebalance.Balanced].
	Strategy ring.RebalanceStrategy
}
