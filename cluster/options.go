package cluster

import (
	"log/slog"
	"net"
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
)

// Options configure a [Cluster]. Only ClusterName, NodeID and GossipAddr are required. The
// doc of every other field says what its zero value means.
type Options struct {
	// ClusterName is the identity of the cluster, 1 to 128 bytes of letters, digits and
	// . _ : / @ -. Members of other clusters are refused.
	ClusterName string
	// NodeID is the identity of this member: unique in the cluster, and the same across
	// restarts. The bounds are those of ClusterName.
	NodeID string

	// Region and Zone say where this member runs, up to 64 bytes each. Replicas are spread
	// over zones first, then over regions. Empty is a place like any other.
	Region, Zone string
	// Weight is the share of partitions that this member should own, relative to the other
	// members, 1 to 2^20. Zero means 1.
	Weight int
	// Observer makes a member that routes to owners and owns nothing. False means that this
	// member owns partitions.
	Observer bool

	// GossipAddr is the address to gossip on, UDP and TCP, as IP:port. Port 0 takes any free
	// port. No IP means 0.0.0.0.
	GossipAddr string
	// HTTPAddr is the address to serve HTTP on, host:port, as net.Listen takes it. Port 0
	// takes any free port; [Cluster.HTTPAddr] then returns it. Empty means that the cluster
	// serves on HTTP.Listener if that is set. Without either it serves nothing, and
	// [Cluster.Handler] can be mounted in another server.
	HTTPAddr string

	// Seeds are addresses to join through, host:port. Without a port it is the port of
	// GossipAddr, or 7946 where that is 0. This member's own address may be among them, and the
	// address of a load balancer in front of the members. Without Seeds and Discovery this
	// member begins alone, and waits for other members to come.
	Seeds []string
	// Discovery finds more addresses to join through. It is asked again for every attempt.
	// Nil means Seeds alone.
	Discovery membership.Discovery

	// PartitionCount is the number of partitions, 1 to 2^20. It must be the same on all
	// members for as long as the cluster lives. Zero means 4096, which suits clusters of up to
	// about a hundred members.
	PartitionCount int
	// ReplicationFactor is the number of owners of a partition, 1 to 16. Zero means 3.
	ReplicationFactor int
	// Strategy picks the owners. Nil means [rebalance.Balanced].
	Strategy ring.RebalanceStrategy
	// AlsoRuns are the configurations that this member can run beside the one above, at most
	// 3. The last one is preferred among them, and the one above to all of them. The cluster
	// runs the last configuration that all its active, draining and leaving members have in
	// common.
	//
	// To change the replication factor or the strategy of a running cluster, restart every
	// member with the new one above and the old one here, then every member without the old
	// one. Nil means none.
	AlsoRuns []Configuration

	// Services are the addresses of what this process offers, by name: host:port, with a host
	// that others can reach and a port from 1 to 65535. Metadata is what the other members
	// should know beside. Both are announced, and with the rest of what is
	// announced they must fit in 448 bytes. [Cluster.Update] changes them. Nil means none.
	Services, Metadata map[string]string

	// RestartGrace is how long this member keeps its place after [Cluster.Stop] without a
	// [Cluster.Drain] before it, 1 ms to an hour, so that it can restart. Meanwhile it goes on
	// being an owner that does not answer: nothing moves, and a write lacks its acknowledgement.
	// A start under the same NodeID takes the place at once, and receives what it lacks. When none
	// comes in time, this member counts as failed, and other members take over. Zero means that
	// Stop leaves for good.
	RestartGrace time.Duration

	// Gossip configures how members exchange what they know.
	Gossip membership.GossipOptions
	// HTTP configures what is served over HTTP, and by whom it may be asked.
	HTTP HTTPOptions
	// Bootstrap says how a cluster begins.
	Bootstrap BootstrapOptions
	// Handoff moves the service's data when partitions change owners.
	Handoff HandoffOptions

	// Logger takes what operators should know. Nil means slog.Default().
	Logger *slog.Logger
}

// HTTPOptions configure a member's HTTP interface. The zero value of every field is usable.
type HTTPOptions struct {
	// AdvertiseAddr is the address that other members use to reach this member's HTTP,
	// host:port. Empty means the address that is served on, with the IP of the gossip address
	// where that names none.
	AdvertiseAddr string
	// Listener is what HTTP is served on in place of HTTPAddr, so that the service knows the
	// port before it calls [New]. It must have a TCP address, and HTTPAddr must be empty. The
	// cluster owns the listener from [New] on. It closes the listener when New or Start
	// returns an error, and in Stop. Nil means that HTTPAddr counts.
	Listener net.Listener
	// Server encrypts what is served, and bounds what callers can cost. Its zero value serves
	// in clear, within default bounds. It applies to HTTPAddr and Listener, and not to where
	// [Cluster.Handler] is mounted. A nil Logger means Options.Logger.
	Server transport.ServerOptions
	// Guard says which requests are admitted, and how often, wherever [Cluster.Handler] is
	// mounted. Its zero value admits all of them. Tokens are refused where the address is neither
	// loopback nor encrypted, unless Guard.TokensInClear is set. A nil Logger means
	// Options.Logger. [Cluster.Guard] guards other routes alike.
	Guard transport.GuardOptions
	// Handler bounds what the handler takes and gives, and adds middleware. The guard runs
	// before Handler.Middleware, which so sees only requests that the guard admits. A nil
	// Logger means Options.Logger.
	Handler transport.HandlerOptions
}

// BootstrapOptions say how a cluster begins. The zero value of every field is usable.
type BootstrapOptions struct {
	// Timeout is how long Start looks for a cluster before it goes ahead alone and looks on
	// in the background, up to an hour. Zero means 5 seconds.
	Timeout time.Duration
	// MinMembers is how many members must be there, this one included, before the first of
	// them own partitions, up to 65535. Until then all of them are unready. MinMembers applies
	// only to the first start of a cluster. A member that finds a running cluster joins it.
	// Zero means more than half of ExpectedMembers, or 1 where that number is not known.
	MinMembers int
	// Alone lets this member begin with fewer than MinMembers once it has waited for Timeout.
	// Members that cannot see each other then begin a cluster each. False means that this
	// member waits on.
	Alone bool
	// ExpectedMembers is how many members there should be, up to 65535. With fewer, health has
	// a problem; with half or fewer, health says that this may be the smaller side of a split
	// network. It is also what MinMembers defaults to the majority of. Zero means that the
	// number is not known.
	ExpectedMembers int
}

// Validate returns an [option.Error] for every option that is out of bounds or does not go
// with another one, and a [membership.MetadataSizeError] when what is announced does not fit.
// The errors are joined; [option.All] takes them apart. It opens nothing.
func (o Options) Validate() error {
	_, err := o.parse()
	return err
}
