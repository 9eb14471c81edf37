package membership

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/membership/hostport"
	"github.com/clusterkit/clusterkit/membership/printable"
	"github.com/clusterkit/clusterkit/ring/option"
)

// Defaults and bounds of [Options].
const (
	// defaultPort is the port of a seed without a port, when this member itself listens on any
	// free port.
	defaultPort = 7946
	// defaultBootstrapTimeout is how long Start looks for a cluster unless the options say
	// otherwise.
	defaultBootstrapTimeout = 5 * time.Second
	// MaxConfigurations is the largest number of configurations that a member may announce.
	MaxConfigurations = 4

	maxBootstrapTimeout = time.Hour
	minForgetAfter      = time.Hour // an absence that ended must not begin again: see registry.left
	maxForgetAfter      = 365 * 24 * time.Hour
	maxNameLength       = 128 // bytes of ClusterName and NodeID
	maxPlaceLength      = 64  // bytes of Region and Zone
)

// Options configure a [Membership]. A field is required unless its documentation says what
// zero means.
type Options struct {
	// ClusterName is the identity of the cluster. It has 1 to 128 bytes, of letters, digits and
	// these characters: . _ : / @ -. Members of other clusters are refused.
	ClusterName string
	// NodeID is the identity of this member. It is unique in the cluster and stays the same across
	// restarts. Its bounds are those of ClusterName.
	NodeID string
	// GossipAddr is the address to listen on for UDP and TCP, IP:port. Port 0 means any free port.
	// An empty IP means 0.0.0.0.
	GossipAddr string

	// Region and Zone say where this member runs, at most 64 bytes
	// each. Empty is a place like any other.
	Region, Zone string
	// Weight is the share of partitions that this member asks for, 1 to 2^20.
	// Zero means 1.
	Weight int
	// HTTPAddr is the address announced for HTTP, host:port, with a host that other members can
	// reach and a port from 1 to 65535. Empty means that none is announced.
	HTTPAddr string
	// Version is the version of the program, for people, at most 64 bytes. Empty means the version
	// of the program's main module, as the go command recorded it, if there is one. It is left out
	// when there is no room for it beside the other announced fields; [Options.Validate] returns an
	// error for a version of your own that does not fit.
	Version string
	// Services are addresses by the name of the service, with the bounds of HTTPAddr. Metadata is
	// any text. This member announces both to the other members. All announced fields together
	// must fit in 448 bytes. Nil means none.
	Services, Metadata map[string]string

	// PartitionCount is the number of partitions, 1 to 2^20. Members with another number are
	// refused.
	PartitionCount int
	// Configurations are the names of the configurations that this member can run, 1 to
	// [MaxConfigurations], with the preferred one last. Members without a common configuration are
	// refused.
	Configurations []string

	// Origin is the [Start.Nonce] of the earlier start of this NodeID whose data this start has.
	// Zero means that this start begins without data.
	Origin uint64

	// RestartGrace is how long this member keeps its place after [Membership.Stop], so that it can
	// restart: see [Away]. It is 1 ms to 1 hour, and applies to a member that is Active. Zero
	// means that Stop leaves for good.
	RestartGrace time.Duration
	// ZoneGrace is how long this member keeps its place when its zone is lost as a whole: when all
	// members of the zone that own have failed within a minute. It is 1 ms to 1 hour, and needs a
	// Zone. Until then the members of the zone are [Away]. Zero means that other members take over
	// from this one as soon as it has failed, whatever happens to its zone.
	ZoneGrace time.Duration

	// Discovery finds addresses to join through. Every attempt to join asks it again. Nil means
	// that this member dials no address: it waits until other members join through it.
	// [Options.Validate] checks the fields of [DNS], [SRV], [File] and [Static], also inside
	// [Join].
	Discovery Discovery
	// BootstrapTimeout is how long Start looks for a cluster before this member goes ahead alone,
	// at most 1 hour. Zero means 5 seconds.
	BootstrapTimeout time.Duration

	// Gossip configures how members exchange what they know.
	Gossip GossipOptions
	// Logger receives the log lines for operators. Nil means slog.Default().
	Logger *slog.Logger

	now func() time.Time // nil: time.Now
}

// GossipOptions configure how members exchange what they know. The zero value of
// every field is usable.
type GossipOptions struct {
	// AdvertiseAddr is the address that other members use to reach this one, as IP or IP:port.
	// Without a port, the port of the gossip address is used. Empty means the gossip address, or
	// the first private address of the host when the gossip address is 0.0.0.0. A warning is
	// logged when that host has several addresses. AdvertiseAddr or AdvertiseFrom is required when
	// the gossip address is [::].
	AdvertiseAddr string
	// AdvertiseFrom picks the address of this host that is announced: the name of an interface
	// such as "eth1", or a network such as "192.168.0.0/16". IPv4 comes before IPv6. AdvertiseFrom
	// may be set only when GossipAddr is 0.0.0.0 or [::] and AdvertiseAddr is empty. Empty means
	// that AdvertiseAddr decides.
	AdvertiseFrom string
	// Profile chooses the timings. Zero means [LAN]. All members of a cluster should
	// use the same profile.
	Profile Profile
	// Keys encrypt gossip with AES-GCM. A key has 16, 24 or 32 bytes. The first key
	// encrypts, and all of them decrypt. Empty means that gossip is not encrypted.
	Keys Keys
	// TrustedNetwork says that only members of this cluster can reach the gossip port. Without Keys
	// a stranger that reaches it can make members delete data, so handoff needs Keys or
	// TrustedNetwork. False means that strangers may reach the port.
	TrustedNetwork bool
	// Compression compresses gossip. It costs CPU time, and lets other processes send messages that
	// become larger when they are read, within the budget of the gossip port. Leave it false unless
	// bandwidth is expensive. Without Keys, a member without Compression reads compressed messages
	// only from the addresses of members that it knows.
	Compression bool
	// ForgetAfter is how long this member looks for a member that was lost, and counts it as lost,
	// from 1 hour to 1 year. The search becomes less frequent with time. Zero means 72 hours.
	ForgetAfter time.Duration
	// AddressFile is the path of a file in which this member keeps the addresses of other members,
	// at most 256. After a restart it dials them too, so that it finds the others when no address
	// that Discovery names answers. The file is replaced when the addresses have changed, at most
	// once a minute, and when this member stops. Addresses of members that left are removed, and
	// those of lost members after ForgetAfter. A file that is damaged or cannot be written is
	// logged, and is no error. Each member needs a file of its own, in a directory that exists.
	// Empty means that addresses are not kept.
	AddressFile string
	// TCPOnly sends packets of gossip over TCP streams too, for networks and service meshes that
	// pass no UDP. A stream to a member stays open while it is in use. All members of a cluster
	// must set it, or none: members that differ exchange members, and miss each other's packets.
	// False means that packets use UDP.
	TCPOnly bool
	// NoTethers switches tethers off. With tethers, this member keeps a stream open to each of three
	// other members and notices within half a second when the process of one of them dies. The other
	// members with tethers do the same. Without tethers, and about members without them, probes alone
	// show a death, after several seconds. False means tethers.
	NoTethers bool
	// Network opens the transport. Nil means UDP and TCP sockets.
	Network Network
	// Resolver looks up host names among the seed addresses. Nil means
	// net.DefaultResolver.
	Resolver Resolver
}

// Validate returns an [option.Error] for every option that is out of bounds, and a
// [MetadataSizeError] when the announced fields together are too large. The errors are joined;
// [option.All] takes them apart. Validate opens no address or file.
func (o Options) Validate() error {
	_, err := o.parse()
	return err
}

// settings are options that have been checked.
type settings struct {
	Options
	bind      netip.AddrPort
	advertise netip.AddrPort // invalid: the bound address; port 0: the bound port
	timings   timings
}

const identifierBound = "1 to 128 bytes of letters, digits and . _ : / @ -"

func (o Options) parse() (settings, error) {
	s := settings{Options: o, timings: o.Gossip.Profile.timings()}
	if !o.Gossip.NoTethers {
		s.timings.suspicion = o.Gossip.Profile.patient()
	}
	var errs []error
	bad := func(field string, value any, bound string, args ...any) {
		errs = append(errs, &option.Error{Field: field, Value: value, Bound: fmt.Sprintf(bound, args...)})
	}
	if !validIdentifier(o.ClusterName) {
		bad("ClusterName", o.ClusterName, identifierBound)
	}
	if !validIdentifier(o.NodeID) {
		bad("NodeID", o.NodeID, identifierBound)
	}
	s.parseBind(bad)
	for _, place := range []struct{ field, name string }{{"Region", o.Region}, {"Zone", o.Zone}} {
		if len(place.name) > maxPlaceLength || !printable.Is(place.name) {
			bad(place.field, place.name, "at most %d bytes of printable UTF-8", maxPlaceLength)
		}
	}
	if checkVersion(o.Version) != nil {
		bad("Version", o.Version, versionBound)
	}
	if o.Weight < 0 || o.Weight > maxWeight {
		bad("Weight", o.Weight, "between 0 and %d", maxWeight)
	}
	if o.PartitionCount < 1 || o.PartitionCount > maxPartitionCount {
		bad("PartitionCount", o.PartitionCount, "between 1 and %d", maxPartitionCount)
	}
	if n := len(o.Configurations); n < 1 || n > MaxConfigurations {
		bad("Configurations", n, "between 1 and %d names", MaxConfigurations)
	}
	if o.BootstrapTimeout < 0 || o.BootstrapTimeout > maxBootstrapTimeout {
		bad("BootstrapTimeout", o.BootstrapTimeout, "between 0 and %v", maxBootstrapTimeout)
	}
	if g := o.RestartGrace; g != 0 && (g < time.Millisecond || g > maxGrace) {
		bad("RestartGrace", g, "0, or between %v and %v", time.Millisecond, maxGrace)
	}
	switch g := o.ZoneGrace; {
	case g != 0 && (g < time.Millisecond || g > maxGrace):
		bad("ZoneGrace", g, "0, or between %v and %v", time.Millisecond, maxGrace)
	case g != 0 && o.Zone == "":
		bad("ZoneGrace", g, "0 when Zone is empty")
	}
	errs = append(errs, checkAddresses(o.HTTPAddr, o.Services), option.Under("Discovery", checkDiscovery(o.Discovery)))
	errs = append(errs, option.Under("Gossip", s.parseGossip()))
	s.fill()
	errs = append(errs, checkPairs("Services", o.Services), checkPairs("Metadata", o.Metadata), checkMetaSize(s.member()))
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	s.Version = cmp.Or(s.Version, buildVersion())
	return s, checkMeta(s.member())
}

// fill sets the defaults, and copies the values that the caller could change later.
func (s *settings) fill() {
	if s.Weight == 0 {
		s.Weight = 1
	}
	if s.BootstrapTimeout == 0 {
		s.BootstrapTimeout = defaultBootstrapTimeout
	}
	if s.Gossip.ForgetAfter == 0 {
		s.Gossip.ForgetAfter = 72 * time.Hour
	}
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.Gossip.Network == nil {
		s.Gossip.Network = Sockets()
	}
	if s.Discovery == nil {
		s.Discovery = Static()
	}
	s.RestartGrace, s.ZoneGrace = wholeMilliseconds(s.RestartGrace), wholeMilliseconds(s.ZoneGrace) // rounded as in announcements
	s.Services, s.Metadata = maps.Clone(s.Services), maps.Clone(s.Metadata)
	s.Configurations = slices.Clone(s.Configurations)
	keys := make([][]byte, len(s.Gossip.Keys))
	for i, key := range s.Gossip.Keys {
		keys[i] = slices.Clone(key)
	}
	s.Gossip.Keys = keys
}

// member returns the values that this member announces first.
func (s *settings) member() Member {
	return Member{
		ID: s.NodeID, Region: s.Region, Zone: s.Zone, Weight: s.Weight,
		HTTPAddr: s.HTTPAddr, Services: s.Services, Metadata: s.Metadata,
		PartitionCount: s.PartitionCount, Configurations: s.Configurations,
		State: Joining, Origin: s.Origin, Version: s.Version, ZoneGrace: s.ZoneGrace,
	}
}

// parseBind reads the address to listen on.
func (s *settings) parseBind(bad func(field string, value any, bound string, args ...any)) {
	const form = "IP:port, with a port from 0 to 65535"
	host, port, err := hostport.Split(s.GossipAddr)
	switch {
	case err != nil:
		bad("GossipAddr", s.GossipAddr, form)
	case host == "":
		s.bind = netip.AddrPortFrom(netip.IPv4Unspecified(), port)
	default:
		ip, err := netip.ParseAddr(host)
		if err != nil || ip.Zone() != "" || ip.IsMulticast() {
			bad("GossipAddr", s.GossipAddr, form+"; names cannot be listened on")
			break
		}
		s.bind = netip.AddrPortFrom(ip.Unmap(), port)
	}
}

// parseGossip checks the gossip options and reads the address to announce. The
// fields in its errors are paths inside [GossipOptions].
func (s *settings) parseGossip() error {
	o := s.Gossip
	errs := []error{s.parseAdvertise()}
	if o.Profile > Local {
		errs = append(errs, &option.Error{Field: "Profile", Value: o.Profile, Bound: "LAN, WAN or Local"})
	}
	if f := o.ForgetAfter; f != 0 && (f < minForgetAfter || f > maxForgetAfter) {
		errs = append(errs, &option.Error{Field: "ForgetAfter", Value: f, Bound: fmt.Sprintf("0, or between %v and %v", minForgetAfter, maxForgetAfter)})
	}
	for i, key := range o.Keys {
		if n := len(key); n != 16 && n != 24 && n != 32 {
			errs = append(errs, &option.Error{Field: fmt.Sprintf("Keys[%d]", i), Value: fmt.Sprintf("%d bytes", n), Bound: "16, 24 or 32 bytes"})
		}
	}
	return errors.Join(errs...)
}

func (s *settings) parseAdvertise() error {
	text := s.Gossip.AdvertiseAddr
	if from := s.Gossip.AdvertiseFrom; from != "" && (text != "" || s.bind.IsValid() && !s.bind.Addr().IsUnspecified()) {
		return &option.Error{Field: "AdvertiseFrom", Value: from, Bound: "empty when GossipAddr or AdvertiseAddr names an address"}
	}
	if text == "" {
		if s.Gossip.AdvertiseFrom == "" && s.bind.IsValid() && s.bind.Addr().Is6() && s.bind.Addr().IsUnspecified() {
			return &option.Error{Field: "AdvertiseAddr", Value: "", Bound: "set when GossipAddr is every IPv6 address"}
		}
		return nil
	}
	ip, err := netip.ParseAddr(text)
	port := s.bind.Port()
	if err != nil {
		var both netip.AddrPort
		both, err = netip.ParseAddrPort(text)
		ip, port = both.Addr(), both.Port()
		if port == 0 {
			err = errors.New("no port")
		}
	}
	if err != nil || ip.Zone() != "" || hostport.CheckReachable(ip.Unmap()) != nil {
		return &option.Error{Field: "AdvertiseAddr", Value: text, Bound: "IP or IP:port that others can reach"}
	}
	s.advertise = netip.AddrPortFrom(ip.Unmap(), port)
	return nil
}

// checkAddresses returns an [option.Error] for every address to be announced that no other
// member could dial.
func checkAddresses(http string, services map[string]string) error {
	var errs []error
	check := func(field, addr string) {
		if s, err := parseSeed(addr); err != nil || s.Port == 0 {
			errs = append(errs, &option.Error{Field: field, Value: addr, Bound: "host:port that others can reach"})
		}
	}
	if http != "" {
		check("HTTPAddr", http)
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		check(fmt.Sprintf("Services[%q]", name), services[name])
	}
	return errors.Join(errs...)
}
