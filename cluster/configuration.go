package cluster

import "github.com/clusterkit/clusterkit/ring"

// Configuration is what members must have in common to place keys alike,
// beside the partition count: how many owners a partition has, and who picks
// them.
type Configuration struct {
	// ReplicationFactor is the number of owners, 1 to 16. Zero means 3.
	ReplicationFactor int
	// Strategy picks them. Nil means [rebalance.Balanced].
	Strategy ring.RebalanceStrategy
}
