package api

import (
	"net/netip"
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// Members lists the members that one member believes alive, and the members that are away. It
// is the answer of GET /v1/members.
type Members struct {
	// ClusterName and NodeID say which member answered.
	ClusterName string `json:"clusterName"`
	NodeID      string `json:"nodeId"`
	// Fingerprint identifies the member's view.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Members are in ascending order of ID, and include the member that answered.
	Members []Member `json:"members"`
	// Lost are the members that have failed and have not come back, in ascending order of
	// ID, for as long as the member looks for them; never null. It may know fewer of them
	// than others do.
	Lost []LostMember `json:"lost"`
}

// LostMember is a member that has failed.
type LostMember struct {
	// ID is its NodeID.
	ID string `json:"id"`
	// Region, Zone and Addr are what it announced last.
	Region string         `json:"region"`
	Zone   string         `json:"zone"`
	Addr   netip.AddrPort `json:"addr"`
	// Since is when the member that answers counted it as failed, by its own clock, in UTC.
	Since time.Time `json:"since"`
}

// Member is one member, as it announces itself.
type Member struct {
	// ID is its NodeID.
	ID string `json:"id"`
	// Version is the version of its program. It is empty if the member announces none.
	Version string `json:"version,omitempty"`
	// State is the name of a membership.State. Later versions may have further states.
	State string `json:"state"`
	// Region and Zone say where the member runs. They are empty if it names none.
	Region string `json:"region"`
	Zone   string `json:"zone"`
	// Weight is the share of partitions that the member should own, 1 or more.
	Weight int `json:"weight"`
	// Addr is its gossip address.
	Addr netip.AddrPort `json:"addr"`
	// HTTPAddr is the address of its HTTP interface, host:port. It is empty if the
	// member announces none.
	HTTPAddr string `json:"httpAddr,omitempty"`
	// Services are the addresses of its services, by name; never null.
	Services map[string]string `json:"services"`
	// Metadata are its further announced values; never null.
	Metadata map[string]string `json:"metadata"`
	// PartitionCount is the number of partitions with which it was started.
	PartitionCount int `json:"partitionCount"`
	// Configurations are the names of the configurations that it can run, the preferred
	// one last; never null.
	Configurations []string `json:"configurations"`
	// Started is when its process started, by its own clock, in UTC. It is zero if the
	// member does not say.
	Started time.Time `json:"started,omitzero"`
	// AwayUntil is when a member that is away and has left will count as failed, by the clock of
	// the member that answers, in UTC. It is zero for all other members.
	AwayUntil time.Time `json:"awayUntil,omitzero"`
}
