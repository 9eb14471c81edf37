package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport"
)

// Defaults and bounds of [Options].
const (
	// DefaultPartitionCount suits clusters of up to about a hundred members.
	DefaultPartitionCount = 4096
	// DefaultReplicationFactor is how many owners a partition has.
	DefaultReplicationFactor = 3
)

// Options configure a [Cluster]. Only ClusterName, NodeID and GossipAddr are
// required; every other field says what its zero value means.
type Options struct {
	// ClusterName is the identity of the cluster, 1 to 128 bytes of letters,
	// digits and . _ : / @ -. Members of other clusters are refused.
	ClusterName string
	// NodeID is the identity of this member: unique in the cluster and the
	// same across restarts. The same bounds as ClusterName.
	NodeID string

	// GossipAddr is the address to gossip on, UDP and TCP, IP:port. Port 0
	// takes any free one; no IP stands for 0.0.0.0.
	GossipAddr string
	// AdvertiseAddr is where the others reach this member's gossip, IP or
	// IP:port. Empty: GossipAddr, or the first private address of the host
	// when that is 0.0.0.0.
	AdvertiseAddr string
	// HTTPAddr is the address to serve HTTP on, host:port, as net.Listen
	// takes it. Empty: no listener; mount [Cluster.Handler] yourself.
	HTTPAddr string
	// AdvertiseHTTPAddr is where the others reach this member's HTTP,
	// host:port. Empty: HTTPAddr, with the gossip address's IP when that
	// names none.
	AdvertiseHTTPAddr string
	// HTTP encrypts what is served on HTTPAddr and bounds what callers can
	// cost. Its zero value serves in clear, within default bounds. Its Logger,
	// when nil, is Logger.
	HTTP transport.ServerOptions
	// Guard says who may ask over HTTP, and how often, on HTTPAddr and where
	// [Cluster.Handler] is mounted. Its zero value lets everybody ask. Tokens are
	// refused when HTTPAddr is neither loopback nor encrypted, unless
	// Guard.TokensInClear is set. Its Logger, when nil, is Logger.
	Guard transport.GuardOptions

	// Seeds are addresses to join through, host:port, port 7946 when none is
	// given. This member's own address may be among them. Without Seeds and
	// Discovery it begins alone, and waits for others to come.
	Seeds []string
	// Discovery finds more of them. It is asked again for every attempt. Nil:
	// Seeds alone.
	Discovery membership.Discovery
	// Resolver looks up host names among them. Nil: the system's.
	Resolver membership.Resolver
	// BootstrapTimeout is how long Start looks for a cluster before it goes
	// ahead alone and looks on in the background, up to an hour. Zero means 5
	// seconds.
	BootstrapTimeout time.Duration
	// MinMembers is how many members, this one included, there must be before
	// the first of them begin to own. Until then all are unready. It is about
	// the beginning alone: who finds a cluster that owns joins it. Up to 65535.
	// Zero means 1.
	MinMembers int
	// BootstrapAlone lets this member begin with fewer than MinMembers once
	// it has waited for BootstrapTimeout. Members that cannot see each other then
	// begin a cluster each.
	BootstrapAlone bool
	// ExpectedMembers is how many members there should be. With fewer health
	// says so, and when they are half or fewer, that this may be the smaller side
	// of a partition. Nothing else follows from it. Up to 65535; zero: not known.
	ExpectedMembers int

	// Handoff moves the user's data when partitions change owners. Nil: there is
	// none to move; members own as soon as they have joined. Either all members
	// of a cluster that own have one, or none.
	Handoff Handoff
	// HandoffOptions are for Handoff.
	HandoffOptions HandoffOptions

	// Region and Zone say where this member runs, up to 64 bytes each.
	// Replicas are spread over zones first, then regions. Empty is a place
	// like any other.
	Region, Zone string
	// Weight is the share of partitions this member should own, relative to
	// the others, 1 to 2^20. Zero means 1.
	Weight int
	// Observer makes a member that routes to owners and owns nothing. False: it
	// owns.
	Observer bool
	// Metadata and Services are announced to the others: what they should
	// know, and the addresses of what this process offers, by name. With the
	// rest of what is announced they must fit in 448 bytes. Nil: none.
	Metadata, Services map[string]string

	// PartitionCount is the number of partitions, 1 to 2^20, the same on all
	// members for as long as the cluster lives. Zero means
	// [DefaultPartitionCount].
	PartitionCount int
	// ReplicationFactor is how many owners a partition has, 1 to 16. Zero
	// means [DefaultReplicationFactor].
	ReplicationFactor int
	// Strategy picks the owners. Nil means [rebalance.Balanced].
	Strategy ring.RebalanceStrategy
	// Accept are configurations that this member can run beside the one
	// above, which it prefers to them; of these the last is preferred. The
	// cluster runs the last one that all its active members have in common.
	// To change the replication factor or the strategy of a running cluster,
	// restart every member with the new one and the old one accepted, then
	// every member without the old one. At most 3.
	Accept []Configuration

	// Gossip chooses the timings for the network between the members. Zero means
	// [membership.LAN].
	Gossip membership.Profile
	// GossipKeys encrypt gossip with AES-GCM: 16, 24 or 32 bytes each. The
	// first encrypts, all of them decrypt. Empty: gossip is in clear.
	GossipKeys membership.Keys
	// GossipCompression compresses gossip, at the price of CPU. False unless
	// bandwidth is dear.
	GossipCompression bool

	// Network opens the gossip transport. Nil: UDP and TCP.
	Network membership.Network
	// Logger takes what operators should know. Nil: slog.Default().
	Logger *slog.Logger
}

// OptionError says that an option is out of bounds: which, its value, and the
// bound.
type OptionError = option.Error

// Validate returns an [OptionError] for every option that is out of bounds,
// joined. It opens nothing.
func (o Options) Validate() error {
	_, err := o.parse()
	return err
}

// settings are options that have been checked and filled in.
type settings struct {
	Options
	membership membership.Options
	configs    map[string]ring.Config // by the name that is gossiped
	journal    *journalState          // nil without one
}

func (o Options) parse() (settings, error) {
	s := settings{Options: o, configs: make(map[string]ring.Config)}
	var errs []error
	bad := func(field string, value any, bound string) {
		errs = append(errs, &OptionError{Field: field, Value: value, Bound: bound})
	}
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	if s.HTTP.Logger == nil {
		s.HTTP.Logger = s.Logger
	}
	if s.Guard.Logger == nil {
		s.Guard.Logger = s.Logger
	}
	if s.PartitionCount == 0 {
		s.PartitionCount = DefaultPartitionCount
	}
	names, configErrs := s.parseConfigurations()
	errs = append(errs, configErrs...)
	errs = append(errs, s.parseHandoff()...)
	for i, seed := range o.Seeds {
		if err := membership.CheckSeed(seed); err != nil {
			bad(fmt.Sprintf("Seeds[%d]", i), seed, "host:port or host")
		}
	}
	if o.HTTPAddr != "" {
		if _, _, err := splitHostPort(o.HTTPAddr); err != nil {
			bad("HTTPAddr", o.HTTPAddr, "host:port, with a port from 0 to 65535")
		}
	}
	if o.AdvertiseHTTPAddr != "" {
		if host, port, err := splitHostPort(o.AdvertiseHTTPAddr); err != nil || host == "" || port == 0 {
			bad("AdvertiseHTTPAddr", o.AdvertiseHTTPAddr, "host:port that others can reach")
		}
	}
	errs = append(errs, o.checkHTTP()...)
	discovery := membership.Static(o.Seeds...)
	if o.Discovery != nil {
		discovery = membership.Join(discovery, o.Discovery)
	}
	s.membership = membership.Options{
		ClusterName: o.ClusterName, NodeID: o.NodeID,
		GossipAddr: o.GossipAddr, HTTPAddr: o.expectedHTTPAddr(),
		Region: o.Region, Zone: o.Zone, Weight: o.Weight,
		Services: o.Services, Metadata: o.Metadata,
		PartitionCount: s.PartitionCount, Configurations: names,
		Discovery: discovery, BootstrapTimeout: o.BootstrapTimeout,
		Gossip: membership.GossipOptions{
			AdvertiseAddr: o.AdvertiseAddr, Profile: o.Gossip, Keys: o.GossipKeys, Compression: o.GossipCompression,
			Network: o.Network, Resolver: o.Resolver,
		},
		Logger: s.Logger,
	}
	if err := s.membership.Validate(); err != nil {
		errs = append(errs, renamed(err)...)
	}
	if s.BootstrapTimeout == 0 {
		s.BootstrapTimeout = membership.DefaultBootstrapTimeout
	}
	return s, errors.Join(errs...)
}

// parseHandoff fills in how handoff works and how a cluster begins.
func (s *settings) parseHandoff() (errs []error) {
	h := &s.HandoffOptions
	factor := DefaultReplicationFactor
	if s.ReplicationFactor != 0 {
		factor = s.ReplicationFactor
	}
	h.WriteQuorum = cmp.Or(h.WriteQuorum, factor/2+1)
	h.Parallel = cmp.Or(h.Parallel, 8)
	h.RetryAfter = cmp.Or(h.RetryAfter, time.Second)
	h.CallLimit = cmp.Or(h.CallLimit, 10*time.Minute)
	h.OverdueAfter = cmp.Or(h.OverdueAfter, time.Minute)
	if h.Journal != nil && s.Handoff == nil {
		errs = append(errs, &OptionError{Field: "Handoff", Value: nil, Bound: "set where HandoffOptions.Journal is"})
	}
	const week = 7 * 24 * time.Hour
	for _, n := range []struct {
		field              string
		value, least, most int
	}{
		{"HandoffOptions.WriteQuorum", h.WriteQuorum, 1, max(factor, 1)},
		{"HandoffOptions.Parallel", h.Parallel, 1, 1024},
		{"MinMembers", s.MinMembers, 0, ring.MaxNodes},
		{"ExpectedMembers", s.ExpectedMembers, 0, ring.MaxNodes},
	} {
		if n.value < n.least || n.value > n.most {
			errs = append(errs, &OptionError{Field: n.field, Value: n.value, Bound: fmt.Sprintf("between %d and %d", n.least, n.most)})
		}
	}
	for _, d := range []struct {
		field       string
		value, most time.Duration
	}{
		{"HandoffOptions.RetryAfter", h.RetryAfter, time.Hour},
		{"HandoffOptions.CallLimit", h.CallLimit, week},
		{"HandoffOptions.OverdueAfter", h.OverdueAfter, week},
	} {
		if d.value < time.Millisecond || d.value > d.most {
			errs = append(errs, &OptionError{Field: d.field, Value: d.value, Bound: fmt.Sprintf("between 1ms and %v", d.most)})
		}
	}
	return errs
}

// parseConfigurations fills in the configurations, the preferred one last.
func (s *settings) parseConfigurations() (names []string, errs []error) {
	all := append(slices.Clone(s.Accept), Configuration{s.ReplicationFactor, s.Strategy})
	if len(all) > membership.MaxConfigurations {
		errs = append(errs, &OptionError{Field: "len(Accept)", Value: len(s.Accept), Bound: fmt.Sprintf("at most %d", membership.MaxConfigurations-1)})
	}
	place := make(map[string]int) // where a name stands in all
	for i, c := range all {
		prefix := fmt.Sprintf("Accept[%d].", i)
		if i == len(s.Accept) {
			prefix = ""
		}
		if c.ReplicationFactor == 0 {
			c.ReplicationFactor = DefaultReplicationFactor
		}
		if c.Strategy == nil {
			c.Strategy = rebalance.Balanced{}
		}
		config := ring.Config{PartitionCount: s.PartitionCount, ReplicationFactor: c.ReplicationFactor, Strategy: c.Strategy}
		if err := config.Validate(); err != nil {
			errs = append(errs, prefixed(err, c.Strategy, prefix, i == len(s.Accept))...)
			continue
		}
		name := view.Name(config)
		if first, twice := place[name]; twice {
			errs = append(errs, &OptionError{Field: fmt.Sprintf("Accept[%d]", first), Value: name, Bound: "another configuration than the rest"})
			continue
		}
		place[name], s.configs[name] = i, config
		names = append(names, name)
	}
	return names, errs
}

// prefixed turns the ring's complaints into ours. The partition count is common
// to all configurations: only the first to complain of it is heard.
func prefixed(err error, strategy ring.RebalanceStrategy, prefix string, main bool) (errs []error) {
	for _, err := range option.All(err) {
		c, ok := errors.AsType[*option.Error](err)
		switch {
		case !ok:
			for _, err := range unjoin(err) {
				errs = append(errs, &OptionError{Field: prefix + "Strategy", Value: fmt.Sprintf("%T", strategy), Bound: "sound: " + err.Error()})
			}
		case c.Field != "PartitionCount":
			errs = append(errs, &OptionError{Field: prefix + c.Field, Value: c.Value, Bound: c.Bound})
		case main:
			errs = append(errs, &OptionError{Field: c.Field, Value: c.Value, Bound: c.Bound})
		}
	}
	return errs
}

// renamed gives membership's complaints the names our options have. Those that
// parseConfigurations has made already are left out.
func renamed(err error) (errs []error) {
	names := strings.NewReplacer("Gossip.Profile", "Gossip", "Gossip.Keys", "GossipKeys", "Gossip.", "")
	for _, err := range option.All(err) {
		if o, ok := errors.AsType[*option.Error](err); ok {
			if o.Field == "PartitionCount" || o.Field == "Configurations" {
				continue
			}
			err = &OptionError{Field: names.Replace(o.Field), Value: o.Value, Bound: o.Bound}
		}
		errs = append(errs, err)
	}
	return errs
}

func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// expectedHTTPAddr is the address to announce for HTTP as far as the options
// tell; port and host may be known only once the addresses are bound.
func (o Options) expectedHTTPAddr() string {
	if o.AdvertiseHTTPAddr != "" || o.HTTPAddr == "" {
		return o.AdvertiseHTTPAddr
	}
	host, port, err := splitHostPort(o.HTTPAddr)
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		// The longest it can become, so that what is announced fits then too.
		host = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	}
	if port == 0 {
		port = 65535
	}
	return joinHostPort(host, port)
}

func joinHostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

func splitHostPort(s string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, uint16(n), err
}
