package api

import (
	"net/netip"
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// Members lists the members that one member believes alive, and those that are away. It answers
// GET /v1/members.
type Members struct {
	// ClusterName and NodeID say whose belief it is.
	ClusterName string `json:"clusterName"`
	NodeID      string `json:"nodeId"`
	// Fingerprint identifies the member's view.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Members are in ascending order of ID, the answering one included.
	Members []Member `json:"members"`
}

// Member is one member, as it describes itself.
type Member struct {
	// ID is its NodeID.
	ID string `json:"id"`
	// State is the name of a membership.State; a later version may know
	// more of them.
	State string `json:"state"`
	// Region and Zone say where it runs; empty when never named.
	Region string `json:"region"`
	Zone   string `json:"zone"`
	// Weight is the share of partitions it asks for, 1 or more.
	Weight int `json:"weight"`
	// Addr is where its gossip is reached.
	Addr netip.AddrPort `json:"addr"`
	// HTTPAddr is where its HTTP interface is reached, host:port; empty when
	// it announces none.
	HTTPAddr string `json:"httpAddr,omitempty"`
	// Services are the addresses it offers, by name; never null.
	Services map[string]string `json:"services"`
	// Metadata is what its user published; never null.
	Metadata map[string]string `json:"metadata"`
	// PartitionCount is the number of partitions it was started with.
	PartitionCount int `json:"partitionCount"`
	// Configurations name what it can run, the most wanted last; never null.
	Configurations []string `json:"configurations"`
	// Started is when its process started, by its own clock, in UTC; zero
	// when it does not say.
	Started time.Time `json:"started,omitzero"`
	// AwayUntil is, for a member that is away and has left, when it counts as failed, by the clock
	// of the member that answers, in UTC; zero for others.
	AwayUntil time.Time `json:"awayUntil,omitzero"`
}
