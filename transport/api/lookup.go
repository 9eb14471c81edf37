package api

import "github.com/clusterkit/clusterkit/ring"

// Owner is a member that owns a partition.
type Owner struct {
	// ID is the member's NodeID.
	ID string `json:"id"`
	// Region and Zone say where it runs; empty when never named.
	Region string `json:"region"`
	Zone   string `json:"zone"`
	// HTTPAddr is where its HTTP interface is reached, host:port; empty when
	// it announces none.
	HTTPAddr string `json:"httpAddr,omitempty"`
}

// Placement says which members own a partition. It answers GET /v1/partitions/{id},
// and GET /v1/lookup, where it has the key too.
type Placement struct {
	// Key is the key that was asked for; empty where a partition was.
	Key string `json:"key,omitempty"`
	// Partition is the partition, from 0.
	Partition int `json:"partition"`
	// Token identifies the owners and their order, in the ring and in its target.
	// Answers with equal tokens mean the same owners.
	Token ring.Token `json:"token"`
	// Primary is the ID of the first owner of the preference list that is not away, in
	// whatever order Owners are. It is the first owner where all are away.
	Primary string `json:"primary"`
	// Owners are the owners, in the order of the preference list or, when a
	// region or zone was asked for, the nearest first. Owners that are away come last.
	Owners []Owner `json:"owners"`
	// Target are the owners in the ring that this one is about to give way to,
	// always in the order of the preference list, but those that are away last. Nil when the ring is not moving;
	// equal to Owners when it is but this partition stays.
	Target []Owner `json:"target,omitempty"`
}

// Batch answers POST /v1/lookup. All of it is true of one ring. The request is an
// object whose field "keys" is a list of keys, each of 1 to [MaxKeyBytes] bytes, at
// most as many as the server's MaxKeys allows. A repeated key is answered each time;
// no keys give an empty answer.
type Batch struct {
	// Fingerprint identifies the view that answered.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Results are the answers, one a key, in the order of the keys.
	Results []Placement `json:"results"`
	// Groups are the keys by primary, in ascending order of its ID: what to
	// send where.
	Groups []Group `json:"groups"`
}

// Group is the keys of a batch that have one primary.
type Group struct {
	// Primary is the ID of the primary.
	Primary string `json:"primary"`
	// HTTPAddr is where it is reached, host:port; empty when it announces
	// none.
	HTTPAddr string `json:"httpAddr,omitempty"`
	// Indexes are the positions of its keys in the batch, ascending from 0.
	Indexes []int `json:"indexes"`
}
