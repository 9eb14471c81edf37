package api

import "github.com/clusterkit/clusterkit/ring"

// Placements is the whole table of one view: the owners of every partition, and where the
// members are. It is the answer of GET /v1/table. A process that has it finds the owners
// of a key without asking a member; docs/protocol.md says how. It has nothing that is
// local to the member that answers.
type Placements struct {
	// ClusterName is the name of the cluster.
	ClusterName string `json:"clusterName"`
	// Fingerprint identifies the view.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Configuration names the replication factor and the strategy in use.
	Configuration string `json:"configuration"`
	// Members are all members of the view, in ascending order of ID; never null.
	Members []Endpoint `json:"members"`
	// Serving is the table from which lookups are answered.
	Serving PlacementTable `json:"serving"`
	// Target is the table after the joins and drains under way. It is nil without them.
	Target *PlacementTable `json:"target,omitempty"`
}

// Endpoint says where a member is.
type Endpoint struct {
	// ID is its NodeID.
	ID string `json:"id"`
	// State is the name of a membership.State. Owners in the state "away" come last in
	// the answers of lookups.
	State string `json:"state"`
	// HTTPAddr is the address of its HTTP interface, host:port. It is empty if the
	// member announces none.
	HTTPAddr string `json:"httpAddr,omitempty"`
	// Services are the addresses of its services, by name; nil if it announces none.
	Services map[string]string `json:"services,omitempty"`
}

// PlacementTable is the table of a ring.
type PlacementTable struct {
	// Fingerprint is that of the table alone: [ring.Ring.Fingerprint] without a target.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Strategy is the name of the strategy that placed the partitions.
	Strategy string `json:"strategy"`
	// PartitionCount is the number of partitions, 1 to [ring.MaxPartitionCount].
	PartitionCount int `json:"partitionCount"`
	// ReplicationFactor and WriteQuorum are those of [ring.Config]. Tokens cover both if
	// WriteQuorum is not zero.
	ReplicationFactor int `json:"replicationFactor"`
	WriteQuorum       int `json:"writeQuorum"`
	// Replicas is how many owners each partition has, 1 to 16.
	Replicas int `json:"replicas"`
	// Nodes are the members that can own, in ascending order of ID.
	Nodes []PlacementNode `json:"nodes"`
	// Owners has Replicas entries for each partition, the primary first: the owners of
	// partition p begin at p times Replicas. An entry is an index into Nodes.
	Owners []uint16 `json:"owners"`
}

// PlacementNode is a node of a table.
type PlacementNode struct {
	// ID is the member's NodeID.
	ID string `json:"id"`
	// Region and Zone say where the node runs. They are empty if it names none.
	Region string `json:"region"`
	Zone   string `json:"zone"`
	// Weight is the share of partitions that the node should own, 1 or more.
	Weight int `json:"weight"`
	// Start is that of [ring.Node], in decimal digits. Tokens cover it. Zero means that
	// starts are not distinguished.
	Start uint64 `json:"start,string,omitempty"`
}
