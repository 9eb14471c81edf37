package api

import "github.com/clusterkit/clusterkit/ring"

// Owner is a member that owns a partition.
type Owner struct {
	// ID is the member's NodeID.
	ID string `json:"id"`
	// Region and Zone say where the member runs. They are empty if it names none.
	Region string `json:"region"`
	Zone   string `json:"zone"`
	// HTTPAddr is the address of the member's HTTP interface, host:port. It is empty if
	// the member announces none.
	HTTPAddr string `json:"httpAddr,omitempty"`
}

// Placement says which members own a partition. It is the answer of GET
// /v1/partitions/{id}, and of GET /v1/lookup, where it has the key too.
type Placement struct {
	// Key is the key of the request. It is empty if the request was for a partition.
	Key string `json:"key,omitempty"`
	// Partition is the partition, from 0.
	Partition int `json:"partition"`
	// Token identifies the owners and their order, in the ring and in its target.
	// Answers with equal tokens mean the same owners.
	Token ring.Token `json:"token"`
	// Primary is the ID of the first owner of the preference list that is not away,
	// whatever the order of Owners. Where all owners are away, it is the first one.
	Primary string `json:"primary"`
	// Owners are the owners, in the order of the preference list. If the request named
	// a region or zone, the nearest come first. Owners that are away come last.
	Owners []Owner `json:"owners"`
	// Target are the owners in the target of the ring, in the order of the preference list, with
	// owners that are away last. It is nil when the ring has no target. It is equal to Owners when
	// the ring has one and this partition does not move.
	Target []Owner `json:"target,omitempty"`
}

// Batch is the answer of POST /v1/lookup. All its results are of one ring. The request
// is an object whose field "keys" is a list of keys, each of 1 to [MaxKeyBytes] bytes,
// with at most as many keys as the server's MaxKeys allows. A repeated key is answered
// each time. A request without keys gets an empty answer.
type Batch struct {
	// Fingerprint identifies the view that answered.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Results are the answers, one for each key, in the order of the keys.
	Results []Placement `json:"results"`
	// Groups are the keys grouped by primary, in ascending order of its ID. A client
	// sends each group to its primary.
	Groups []Group `json:"groups"`
}

// BatchIDs is the answer of POST /v1/lookup with owners=ids. It is a [Batch] that names owners
// by their IDs alone, for callers that know the members, and is about half as long.
type BatchIDs struct {
	// Fingerprint identifies the view that answered.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Results are the answers, one for each key, in the order of the keys.
	Results []PlacementIDs `json:"results"`
	// Groups are as in Batch.
	Groups []Group `json:"groups"`
}

// PlacementIDs is a [Placement] of a key, with the IDs of the owners.
type PlacementIDs struct {
	// Key is the key of the request.
	Key string `json:"key"`
	// Partition, Token and Primary are as in Placement.
	Partition int        `json:"partition"`
	Token     ring.Token `json:"token"`
	Primary   string     `json:"primary"`
	// Owners and Target are the IDs of the owners, in the order of those in Placement.
	Owners []string `json:"owners"`
	Target []string `json:"target,omitempty"`
}

// Group holds the keys of a batch that have the same primary.
type Group struct {
	// Primary is the ID of the primary.
	Primary string `json:"primary"`
	// HTTPAddr is the address of the primary's HTTP interface, host:port. It is empty
	// if the primary announces none.
	HTTPAddr string `json:"httpAddr,omitempty"`
	// Indexes are the positions of the keys in the batch, from 0, ascending.
	Indexes []int `json:"indexes"`
}
