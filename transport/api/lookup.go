package transport

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

// PlacementAnswer says who owns a partition. It answers
// GET /v1/partitions/{id}.
type PlacementAnswer struct {
	// Partition is the partition, from 0.
	Partition int `json:"partition"`
	// Token identifies the owners and their order, in the ring and in its
	// target: answers of one token mean the same owners.
	Token ring.Token `json:"token"`
	// Primary is the ID of the first owner of the preference list, in
	// whatever order Owners are.
	Primary string `json:"primary"`
	// Owners are the owners, in the order of the preference list or, when a
	// region or zone was asked for, the nearest first.
	Owners []Owner `json:"owners"`
	// Target are the owners in the ring that this one is about to give way
	// to, always in the order of the preference list. Nil when the ring is
	// not moving; equal to Owners when it is but this partition stays.
	Target []Owner `json:"target,omitempty"`
}

// LookupAnswer says who owns a key. It answers GET /v1/lookup.
type LookupAnswer struct {
	// Key is the key that was asked for.
	Key string `json:"key"`
	PlacementAnswer
}

// BatchRequest is the body of POST /v1/lookup.
type BatchRequest struct {
	// Keys are the keys to look up, each of 1 to [MaxKeyBytes] bytes, as many
	// as [HandlerOptions.MaxKeys] allows. Repeated keys are answered each
	// time; no keys give an empty answer.
	Keys []string `json:"keys"`
}

// BatchAnswer answers POST /v1/lookup. All of it is true of one ring.
type BatchAnswer struct {
	// Fingerprint identifies the view that answered.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Results are the answers, one a key, in the order of the keys.
	Results []LookupAnswer `json:"results"`
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
