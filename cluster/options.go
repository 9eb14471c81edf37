package cluster

import (
	"log/slog"
	"net"
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
)

// Options configure a [Cluster]. Only ClusterName, NodeID and GossipAddr are required. For
// every other field the zero value has the meaning that the field's doc gives.
type Options struct {
	// ClusterName is the identity of the cluster, 1 to 128 bytes of letters, digits and
	// . _ : / @ -. Members of a cluster refuse members of other clusters.
	ClusterName string
	// NodeID is the identity of this member: unique in the cluster, and the same across
	// restarts. The bounds are those of ClusterName.
	NodeID string

	// Region and Zone say where this member runs, up to 64 bytes each. The owners of a
	// partition are spread over zones first, then over regions. Members with an empty zone
	// are in one zone, named "".
	Region, Zone string
	// Weight is the share of partitions that this member should own, relative to the other
	// members, 1 to 2^20. Zero means 1.
	Weight int
	// Observer makes a member that knows and routes to owners, and owns no partitions
	// itself. False means that this member owns partitions.
	Observer bool

	// GossipAddr is the address to gossip on, UDP and TCP, as IP:port. Port 0 takes any free
	// port. An empty IP means 0.0.0.0.
	GossipAddr string
	// HTTPAddr is the address to serve HTTP on, host:port, as net.Listen takes it. Port 0
	// takes any free port; [Cluster.HTTPAddr] then returns it. Empty means that HTTP is
	// served on HTTP.Listener. Where that is nil too, HTTP is not served, and
	// [Cluster.Handler] can be mounted in another server.
	HTTPAddr string

	// Seeds are addresses of members to join through, host:port or host. Without a port the
	// port of GossipAddr is used, or 7946 where that is 0. This member's own address may be
	// among them, and the address of a load balancer in front of the members. Without Seeds and
	// Discovery this member begins alone, and waits until other members join it.
	Seeds []string
	// Discovery finds more addresses to join through. This member asks it again for every
	// attempt to join. Nil means that only Seeds are used.
	Discovery membership.Discovery

	// PartitionCount is the number of partitions, 1 to 2^20. It must be the same on all
	// members, and stay the same for as long as the cluster lives. Zero means 4096, which
	// suits clusters of up to about a hundred members.
	PartitionCount int
	// ReplicationFactor is the number of owners of a partition, 1 to 16. Zero means 3.
	ReplicationFactor int
	// Strategy picks the owners of each partition. Nil means [rebalance.Balanced].
	Strategy ring.RebalanceStrategy
	// AlsoRuns are other configurations that this member can run, at most 3. The main
	// configuration is that of ReplicationFactor, Strategy and Handoff.WriteQuorum. This
	// member prefers the main configuration, then the last one of AlsoRuns, then the one
	// before it. The cluster runs the first configuration in this order that all its active,
	// draining and leaving members can run. Where members have different orders, that of the
	// member with the lowest NodeID counts.
	//
	// To change the replication factor or the strategy of a running cluster, restart every
	// member twice. First use the new configuration as the main one, with the old one in
	// AlsoRuns. Then remove AlsoRuns. Nil means that this member can run the main configuration
	// alone.
	AlsoRuns []Configuration

	// Version is the version of the service, for people: it is announced to the other members,
	// which show it in lists of members, and no decision depends on it. It has at most 64 bytes.
	// Empty means the version of the program's main module, as the go command recorded it, if
	// there is one. A version that does not fit beside the other announced attributes is left
	// out by [Cluster.Update], and is an error in [New].
	Version string
	// Services are addresses at which this process offers services, by the name of the
	// service. An address is host:port, with a host that the other members can reach and a
	// port from 1 to 65535. Metadata holds further values for the other members. Both are
	// announced with the other attributes of this member, and all of them together must fit
	// in 448 bytes. [Cluster.Update] changes them. Nil means none.
	Services, Metadata map[string]string

	// RestartGrace is how long this member stays an owner after [Cluster.Stop] without a
	// [Cluster.Drain] before it, 1 ms to an hour, so that it can restart. Meanwhile it is away: an
	// owner that does not answer. No partitions move, and its acknowledgement of writes is
	// missing. When a process with the same NodeID starts in time, it takes the place at once, and
	// receives the data that it lacks. Otherwise this member counts as failed, and other members
	// take over. Zero means that Stop leaves for good.
	RestartGrace time.Duration
	// ZoneGrace is how long this member stays an owner when its zone is lost as a whole, 1 ms to an
	// hour: when all members of the zone that own have failed within a minute, because its power
	// or its network is gone. Meanwhile the members of the zone are away: no partitions move to the
	// other zones, which would have to carry them in addition. Members that come back in time take
	// their places at once. Otherwise they count as failed, and other members take over. A zone with
	// one member is lost when that member fails.
	//
	// The members that remain follow what each lost member has announced, so give all members one
	// value. It needs a Zone. Zero means that others take over from this member as soon as
	// it has failed.
	ZoneGrace time.Duration

	// Gossip configures the exchange of news between members, and its encryption.
	Gossip membership.GossipOptions
	// HTTP configures the HTTP interface of this member, and which requests it admits.
	HTTP HTTPOptions
	// Bootstrap configures how a new cluster begins.
	Bootstrap BootstrapOptions
	// Handoff configures how the data of the service moves when partitions change
	// owners.
	Handoff HandoffOptions

	// Logger takes messages for operators. Nil means slog.Default().
	Logger *slog.Logger
}

// HTTPOptions configure a member's HTTP interface. The zero value of every field is usable.
type HTTPOptions struct {
	// AdvertiseAddr is the address at which other members reach this member's HTTP interface,
	// host:port. Empty means the address on which HTTP is served. Where that address has no
	// IP, the IP of the gossip address is taken.
	AdvertiseAddr string
	// Listener is an open listener to serve HTTP on, in place of HTTPAddr. With it the
	// service knows the port before it calls [New]. It must have a TCP address, and HTTPAddr
	// must be empty. The cluster owns the listener from [New] on. It closes the listener when
	// New or Start returns an error, and in Stop. Nil means that HTTPAddr is used.
	Listener net.Listener
	// Server configures TLS, and the limits on connections and requests. Its zero value
	// serves in clear text, within default limits. It applies to HTTPAddr and Listener, and
	// not to a server of yours in which [Cluster.Handler] is mounted. A nil Logger means
	// Options.Logger.
	Server transport.ServerOptions
	// Guard says which requests are admitted, and how often, wherever [Cluster.Handler] is
	// mounted. Its zero value admits all requests. [New] refuses tokens where the address is
	// neither loopback nor encrypted, unless Guard.TokensInClear is set. A nil Logger means
	// Options.Logger. [Cluster.Guard] guards other routes in the same way.
	Guard transport.GuardOptions
	// Handler limits the sizes of requests and responses, and adds middleware. The guard
	// runs before Handler.Middleware, so middleware sees only requests that the guard
	// admits. A nil Logger means Options.Logger.
	Handler transport.HandlerOptions
}

// BootstrapOptions configure how a new cluster begins. The zero value of every field is
// usable.
type BootstrapOptions struct {
	// Timeout is how long Start looks for a cluster, up to an hour. Then Start returns, and
	// this member continues to look in the background. Zero means 5 seconds.
	Timeout time.Duration
	// MinMembers is how many members must be there, this one included, before any member owns
	// partitions, up to 65535. Until then all members are unready. MinMembers applies only to
	// the first start of a cluster. A member that finds a running cluster joins it. Zero means
	// the smallest number that is more than half of ExpectedMembers. Where that is zero too, it
	// depends on Handoff.Mover. Without a mover any member may begin alone. With a mover a
	// member begins alone only when Seeds names no address but its own, Discovery is nil, and
	// Gossip.AddressFile has no address. A group of members begins once Timeout has passed since
	// Start.
	MinMembers int
	// Alone lets this member begin once it has waited for Timeout, with fewer than MinMembers,
	// and also when it has a handoff and no seed has led to another member. Members that cannot
	// see each other may then begin one cluster each. False means that this member goes on
	// waiting.
	Alone bool
	// ExpectedMembers is how many members there should be, up to 65535. With fewer members,
	// health reports a problem. With half of them or fewer, health says that this member may
	// be on the smaller side of a split network. The default of MinMembers is a majority of
	// ExpectedMembers. Zero means that the number is not known.
	ExpectedMembers int
}

// Validate returns an [option.Error] for every option that is out of bounds or contradicts
// another one, and a [membership.MetadataSizeError] when the attributes to announce do not
// fit. The errors are joined; [option.All] takes them apart. Validate opens no file and no
// socket.
func (o Options) Validate() error {
	_, err := o.parse()
	return err
}
