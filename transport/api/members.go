package transport

import (
	"net/netip"
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// HealthAnswer says how a member is. It answers GET /v1/health, with status 200
// when Ready and 503 when not.
type HealthAnswer struct {
	// Ready says whether the member should be sent requests.
	Ready bool `json:"ready"`
	// Healthy is false while there is any problem.
	Healthy bool `json:"healthy"`
	// ClusterName and NodeID say which member this is.
	ClusterName string `json:"clusterName"`
	NodeID      string `json:"nodeId"`
	// State is the name of a [membership.State]; a later version may know
	// more of them.
	State string `json:"state"`
	// Problems are what is wrong, the gravest first.
	Problems []HealthProblem `json:"problems"`
	// Members counts the members believed alive.
	Members int `json:"members"`
	// UnderReplicated and ZoneViolations count partitions, as [ring.Spread]
	// defines them.
	UnderReplicated int `json:"underReplicated"`
	ZoneViolations  int `json:"zoneViolations"`
	// Agreed says whether every member believed alive has been seen to hold
	// Fingerprint.
	Agreed bool `json:"agreed"`
	// Differing are the members not seen to hold it.
	Differing []DifferingMember `json:"differing"`
	// Fingerprint identifies the member's view.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// LastSync is when state was last exchanged in full with another member;
	// zero when never.
	LastSync time.Time `json:"lastSync,omitzero"`
}

// HealthProblem is one thing that is wrong with a member.
type HealthProblem struct {
	// Code is a stable lower-case identifier.
	Code string `json:"code"`
	// Message says what is wrong and what to do about it.
	Message string `json:"message"`
	// Unready says that the member is not ready because of it.
	Unready bool `json:"unready"`
	// Critical says that somebody should look now: a split, or data that may be
	// gone or in one place alone.
	Critical bool `json:"critical"`
}

// DifferingMember is a member not seen to hold the answering member's view.
type DifferingMember struct {
	// ID is its NodeID.
	ID string `json:"id"`
	// Reason says in what it differs, or that it has not answered.
	Reason string `json:"reason"`
}

// MembersAnswer lists the members that one member believes alive. It answers
// GET /v1/members.
type MembersAnswer struct {
	// ClusterName and NodeID say whose belief it is.
	ClusterName string `json:"clusterName"`
	NodeID      string `json:"nodeId"`
	// Fingerprint identifies the member's view.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// Members are in ascending order of ID, the answering one included.
	Members []MemberInfo `json:"members"`
}

// MemberInfo is one member, as it describes itself.
type MemberInfo struct {
	// ID is its NodeID.
	ID string `json:"id"`
	// State is the name of a [membership.State]; a later version may know
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
}

// RingAnswer is the ring that one member answers from, in numbers. It answers
// GET /v1/ring.
type RingAnswer struct {
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
	TableInfo
	// Target is the ring that this one is about to give way to; nil when it
	// stays.
	Target *TableInfo `json:"target,omitempty"`
}

// TableInfo is a table in numbers.
type TableInfo struct {
	// ReplicationFactor is how many owners a partition should have.
	ReplicationFactor int `json:"replicationFactor"`
	// Replicas is how many it has: fewer when there are fewer nodes.
	Replicas int `json:"replicas"`
	// Strategy is the name of the strategy.
	Strategy string `json:"strategy"`
	// Spread says how well the table meets what replication asks for.
	Spread SpreadInfo `json:"spread"`
	// Nodes are the nodes, in ascending order of ID.
	Nodes []NodeInfo `json:"nodes"`
}

// SpreadInfo is a [ring.Spread].
type SpreadInfo struct {
	// UnderReplicated counts partitions with fewer owners than the
	// replication factor.
	UnderReplicated int `json:"underReplicated"`
	// Zones and Regions count those that have nodes.
	Zones   int `json:"zones"`
	Regions int `json:"regions"`
	// ZoneViolations and RegionViolations count partitions whose owners
	// stand in fewer zones, or regions, than they could.
	ZoneViolations   int `json:"zoneViolations"`
	RegionViolations int `json:"regionViolations"`
}

// NodeInfo is a node of a ring with its load.
type NodeInfo struct {
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
