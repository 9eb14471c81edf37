package api

import "github.com/clusterkit/clusterkit/ring"

// Ring describes the ring of one member, in numbers. It is the answer of GET /v1/ring.
type Ring struct {
	// ClusterName and NodeID say which member answered.
	ClusterName string `json:"clusterName"`
	NodeID      string `json:"nodeId"`
	// Version is the number of views that this process has published so far. Versions
	// of different members cannot be compared.
	Version uint64 `json:"version"`
	// Fingerprint identifies the view. Members with equal views have equal
	// fingerprints.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Configuration names the replication factor and strategy in use.
	Configuration string `json:"configuration"`
	// PartitionCount is the number of partitions.
	PartitionCount int `json:"partitionCount"`
	// Moving says whether there is a Target.
	Moving bool `json:"moving"`
	Table
	// Target describes the target of the ring. It is nil when there is none.
	Target *Table `json:"target,omitempty"`
}

// Table describes the table of a ring, in numbers.
type Table struct {
	// ReplicationFactor is how many owners a partition should have.
	ReplicationFactor int `json:"replicationFactor"`
	// Replicas is how many owners a partition has: fewer than ReplicationFactor when
	// there are fewer nodes.
	Replicas int `json:"replicas"`
	// Strategy is the name of the strategy.
	Strategy string `json:"strategy"`
	// Spread counts the partitions with too few owners, or with owners in too few
	// zones.
	Spread ring.Spread `json:"spread"`
	// Nodes are the nodes, in ascending order of ID.
	Nodes []Node `json:"nodes"`
}

// Node is a node of a ring with its load.
type Node struct {
	// ID is the member's NodeID.
	ID string `json:"id"`
	// Region and Zone say where the node runs. They are empty if it names none.
	Region string `json:"region"`
	Zone   string `json:"zone"`
	// Weight is the share of partitions that the node should own, 1 or more.
	Weight int `json:"weight"`
	// Owned counts the partitions that it owns. Primary counts the partitions of which
	// it is the first owner.
	Owned   int `json:"owned"`
	Primary int `json:"primary"`
}
