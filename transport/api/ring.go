package api

import "github.com/clusterkit/clusterkit/ring"

// Ring is the ring that one member answers from, in numbers. It answers
// GET /v1/ring.
type Ring struct {
	// ClusterName and NodeID say whose ring it is.
	ClusterName string `json:"clusterName"`
	NodeID      string `json:"nodeId"`
	// Version counts the views that this process has published. It says
	// nothing about other members.
	Version uint64 `json:"version"`
	// Fingerprint identifies the view; members whose views are equal have
	// the same.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Configuration names the replication factor and strategy in use.
	Configuration string `json:"configuration"`
	// PartitionCount is the number of partitions.
	PartitionCount int `json:"partitionCount"`
	// Moving says whether there is a Target.
	Moving bool `json:"moving"`
	Table
	// Target is the ring that this one is about to give way to; nil when it
	// stays.
	Target *Table `json:"target,omitempty"`
}

// Table is a table in numbers.
type Table struct {
	// ReplicationFactor is how many owners a partition should have.
	ReplicationFactor int `json:"replicationFactor"`
	// Replicas is how many it has: fewer when there are fewer nodes.
	Replicas int `json:"replicas"`
	// Strategy is the name of the strategy.
	Strategy string `json:"strategy"`
	// Spread says how well the table meets what replication asks for.
	Spread ring.Spread `json:"spread"`
	// Nodes are the nodes, in ascending order of ID.
	Nodes []Node `json:"nodes"`
}

// Node is a node of a ring with its load.
type Node struct {
	// ID is the member's NodeID.
	ID string `json:"id"`
	// Region and Zone say where it runs; empty when never named.
	Region string `json:"region"`
	Zone   string `json:"zone"`
	// Weight is the share of partitions it asks for, 1 or more.
	Weight int `json:"weight"`
	// Owned counts the partitions it owns, Primary those it is the first
	// owner of.
	Owned   int `json:"owned"`
	Primary int `json:"primary"`
}
