package membership

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/clusterkit/clusterkit/ring/option"
)

// Defaults and bounds of [Options].
const (
	// defaultPort is the port of a seed that names none, where this member listens on any free
	// port.
	defaultPort = 7946
	// defaultBootstrapTimeout is how long Start looks for a cluster.
	defaultBootstrapTimeout = 5 * time.Second
	// MaxConfigurations is the largest number of configurations.
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
	// ClusterName is the identity of the cluster: 1 to 128 bytes
	// of letters, digits and . _ : / @ -. Members of other clusters are
	// refused.
	ClusterName string
	// NodeID is the identity of this member, kept across restarts and unique
	// in the cluster. The same bounds as ClusterName.
	NodeID string
	// GossipAddr is the address to listen on for UDP and TCP, IP:port. Port 0
	// takes any free one. An empty IP stands for 0.0.0.0.
	GossipAddr string

	// Region and Zone say where this member runs, at most 64 bytes
	// each. Empty is a place like any other.
	Region, Zone string
	// Weight is the share of partitions this member asks for, 1 to 2^20.
	// Zero means 1.
	Weight int
	// HTTPAddr is the address announced for HTTP, host:port with a host that others can
	// reach and a port from 1 to 65535. Empty: none.
	HTTPAddr string
	// Services are addresses within the bounds of HTTPAddr, by the name of the service, and
	// Metadata is any text. Both are announced to the others. Together with the
	// other fields that are announced they must fit in 448 bytes. Nil: none.
	Services, Metadata map[string]string

	// PartitionCount is the number of partitions, 1 to 2^20. Members with
	// another one are refused.
	PartitionCount int
	// Configurations name what this member can run, 1 to [MaxConfigurations],
	// the most wanted last. Members with none in common are refused.
	Configurations []string

	// Origin is the [Start.Nonce] of the earlier start of this NodeID whose data this
	// start goes on with. Zero means that it begins without data.
	Origin uint64

	// RestartGrace is how long this member keeps its place after [Membership.Stop], 1 ms to an
	// hour, so that it can restart: see [Away]. It applies to a member that is Active. Zero means
	// that Stop leaves for good.
	RestartGrace time.Duration

	// Discovery finds addresses to join through. It is asked again for every attempt.
	// Nil means that this member waits until others join through it. The fields of [DNS],
	// [SRV], [File], [Static] and what [Join] made of them are checked with the options.
	Discovery Discovery
	// BootstrapTimeout is how long Start looks for a cluster before it goes
	// ahead alone, at most an hour. Zero means 5 seconds.
	BootstrapTimeout time.Duration

	// Gossip configures how the members talk to each other.
	Gossip GossipOptions
	// Logger takes what operators should know. Nil means slog.Default().
	Logger *slog.Logger

	now func() time.Time // nil: time.Now
}

// GossipOptions configure how members exchange what they know. The zero value of
// every field is usable.
type GossipOptions struct {
	// AdvertiseAddr is the address that other members use to reach this one, as IP
	// or IP:port. Without a port the port of the gossip address is used. Empty means
	// the gossip address; where that is 0.0.0.0, the first private address of the
	// host, with a warning in the log when there are several. It or AdvertiseFrom is required where
	// the gossip address is [::].
	AdvertiseAddr string
	// AdvertiseFrom picks the address of this host that is announced: the name of an interface
	// such as "eth1", or a network such as "192.168.0.0/16". IPv4 comes before IPv6. It applies
	// where GossipAddr is 0.0.0.0 or [::], and AdvertiseAddr is empty. Empty means that
	// AdvertiseAddr says which.
	AdvertiseFrom string
	// Profile chooses the timings. Zero means [LAN]. All members of a cluster should
	// use the same profile.
	Profile Profile
	// Keys encrypt gossip with AES-GCM. A key has 16, 24 or 32 bytes. The first key
	// encrypts, and all of them decrypt. Empty means that gossip is not encrypted.
	Keys Keys
	// Compression compresses gossip. It costs CPU time, and it accepts packets that
	// expand when they are read. False is right unless bandwidth is expensive.
	Compression bool
	// ForgetAfter is how long a member that was lost is looked for, ever more rarely, and counted
	// as lost, from an hour to a year. Zero means 72 hours.
	ForgetAfter time.Duration
	// Network opens the transport. Nil means UDP and TCP sockets.
	Network Network
	// Resolver looks up host names among the seed addresses. Nil means
	// net.DefaultResolver.
	Resolver Resolver
}

// Validate returns an [option.Error] for every option that is out of bounds, and a
// [MetadataSizeError] when what is announced does not fit. The errors are joined;
// [option.All] takes them apart. It opens nothing.
func (o Options) Validate() error {
	_, err := o.parse()
	return err
}

// settings are options that have been checked.
type settings struct {
	Options
	bind      netip.AddrPort
	advertise netip.AddrPort // invalid: as bound; port 0: that of bind
	timings   timings
}

const identifierBound = "1 to 128 bytes of letters, digits and . _ : / @ -"

func (o Options) parse() (settings, error) {
	s := settings{Options: o, timings: o.Gossip.Profile.timings()}
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
		if len(place.name) > maxPlaceLength || !printable(place.name) {
			bad(place.field, place.name, "at most %d bytes of printable UTF-8", maxPlaceLength)
		}
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
	if g := o.RestartGrace; g != 0 && (g < time.Millisecond || g > maxRestartGrace) {
		bad("RestartGrace", g, "0, or between %v and %v", time.Millisecond, maxRestartGrace)
	}
	errs = append(errs, checkAddresses(o.HTTPAddr, o.Services), option.Under("Discovery", checkDiscovery(o.Discovery)))
	errs = append(errs, option.Under("Gossip", s.parseGossip()))
	s.fill()
	errs = append(errs, checkPairs("Services", o.Services), checkPairs("Metadata", o.Metadata), checkMetaSize(s.member()))
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	return s, checkMeta(s.member())
}

// fill puts in the defaults, and copies what the caller could change later.
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
	s.RestartGrace = time.Duration(milliseconds(s.RestartGrace)) * time.Millisecond // as it is announced
	s.Services, s.Metadata = maps.Clone(s.Services), maps.Clone(s.Metadata)
	s.Configurations = slices.Clone(s.Configurations)
	keys := make([][]byte, len(s.Gossip.Keys))
	for i, key := range s.Gossip.Keys {
		keys[i] = slices.Clone(key)
	}
	s.Gossip.Keys = keys
}

// member is what this member announces of itself at the start of its life.
func (s *settings) member() Member {
	return Member{
		ID: s.NodeID, Region: s.Region, Zone: s.Zone, Weight: s.Weight,
		HTTPAddr: s.HTTPAddr, Services: s.Services, Metadata: s.Metadata,
		PartitionCount: s.PartitionCount, Configurations: s.Configurations,
		State: Joining, Origin: s.Origin,
	}
}

// parseBind reads the address to listen on.
func (s *settings) parseBind(bad func(field string, value any, bound string, args ...any)) {
	const form = "IP:port, with a port from 0 to 65535"
	host, port, err := splitHostPort(s.GossipAddr)
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
	if err != nil || ip.Zone() != "" || checkReachable(ip.Unmap()) != nil {
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
		if s, err := parseSeed(addr); err != nil || s.port == 0 {
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

func splitHostPort(s string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, uint16(n), err
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
