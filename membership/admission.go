package membership

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/hostport"
)

// admission decides which members this one accepts. It is a pure function of the
// message and of the configuration with which this member was started. If two members
// decided differently about a message, or one member decided differently later, they
// would disagree for ever, because a dropped message is not sent again. It is safe for
// concurrent use.
//
// There is one exception: the largest start number that is admitted grows with the time. It is
// years away from all numbers of members, so that only forged numbers and clocks that are years ahead can reach it.
type admission struct {
	partitionCount int
	configurations []string
	now            func() time.Time
	born           time.Time // when this process began, by its own clock; zero: not checked
}

// newAdmission returns the admission for a member with this configuration.
func newAdmission(partitionCount int, configurations []string) *admission {
	return &admission{partitionCount: partitionCount, configurations: slices.Clone(configurations), now: time.Now}
}

// maxClockError is how far the clock of a process may be ahead of the clock of this one. The clock
// gives the process its start number.
const maxClockError = 10 * 365 * 24 * time.Hour

// release is before every correct clock of a process of this release. A clock that was never set shows 1970.
var release = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// clockLimit returns the latest start that a process admits whose clock shows a time.
func clockLimit(now time.Time) time.Time {
	if now.Before(release) {
		now = release
	}
	return now.Add(maxClockError)
}

// maxClock is the largest start number that is a time of four-digit years.
const maxClock = 253_402_300_799_999

// checkClock returns an error when the clock of one of the two processes is years ahead of that of the other one. Both
// refuse each other then, because of the start number of the one. The other one must not see itself in a cluster
// that does not list it.
func (a *admission) checkClock(peer Member) error {
	// The next start of the NodeID takes a higher number. If this one were the highest that is
	// admitted, the next start would be admitted a millisecond later.
	limit := clockLimit(a.now())
	switch {
	case peer.Start.Number > maxClock:
		return fmt.Errorf("membership: start %d of %q is years ahead of the clock of this member", peer.Start.Number, peer.ID)
	case peer.Start.Number > uint64(limit.UnixMilli()):
		return clockError(peer, a.now(), time.UnixMilli(int64(peer.Start.Number)))
	case !a.born.IsZero() && a.born.After(clockLimit(peer.Started)):
		return clockError(peer, a.born, peer.Started)
	}
	return nil
}

func clockError(peer Member, ours, theirs time.Time) error {
	return &ConfigurationError{
		NodeID: peer.ID, Addr: peer.Addr, Field: "Clock",
		Ours: ours.UTC().Format(time.RFC3339), Theirs: theirs.UTC().Format(time.RFC3339),
	}
}

// admit returns the member in a message, or the reason to ignore the message. The reason is a
// *ConfigurationError when the message is valid but the member cannot work with this one, and
// another error when the message is not valid. For its own message, with an address that others
// can reach, a member gets itself.
func (a *admission) admit(n *memberlist.Node) (Member, error) {
	addr, err := gossipAddr(n.Addr, n.Port)
	if err != nil {
		return Member{}, err
	}
	m, err := decodeMeta(n.Name, addr, n.Meta)
	if err != nil {
		return Member{}, err
	}
	if err := checkAddresses(m.HTTPAddr, m.Services); err != nil {
		return Member{}, fmt.Errorf("membership: member %q: %w", m.ID, err)
	}
	if err := a.checkClock(m); err != nil {
		return Member{}, err
	}
	if err := a.check(m); err != nil {
		return Member{}, err
	}
	return m, nil
}

// checkVersions refuses a member that does not use the versions of memberlist's protocol and of the
// delegate protocol that all members use. memberlist refuses every exchange of members in which
// the versions of any two members do not fit together.
func checkVersions(n *memberlist.Node) error {
	if p := uint8(protocolVersion); n.PMin > p || n.PMax < p || n.PCur != p || n.DMin != 0 || n.DCur != 0 {
		return fmt.Errorf("membership: %q uses protocol versions that no member uses: %d in [%d, %d] and %d in [%d, %d]",
			n.Name, n.PCur, n.PMin, n.PMax, n.DCur, n.DMin, n.DMax)
	}
	return nil
}

// check returns a *ConfigurationError when the peer cannot work with this member. It is
// symmetric: two members refuse each other, or neither does.
func (a *admission) check(peer Member) error {
	refusal := &ConfigurationError{NodeID: peer.ID, Addr: peer.Addr}
	if peer.PartitionCount != a.partitionCount {
		refusal.Field = "PartitionCount"
		refusal.Ours, refusal.Theirs = strconv.Itoa(a.partitionCount), strconv.Itoa(peer.PartitionCount)
		return refusal
	}
	for _, c := range peer.Configurations {
		if slices.Contains(a.configurations, c) {
			return nil
		}
	}
	refusal.Field = "Configurations"
	refusal.Ours, refusal.Theirs = fmt.Sprintf("%q", a.configurations), fmt.Sprintf("%q", peer.Configurations)
	return refusal
}

// gossipAddr checks an address as gossip carries it. With an address of the wrong
// length every probe would look up a name. With a multicast address each probe would go
// to a group of hosts.
//
// An IPv4 address has one form, of 4 bytes. memberlist compares bytes. If a stranger could announce a
// member's own address in the form of 16 bytes, memberlist would ignore later announcements of the
// member, as if they came from another address.
func gossipAddr(ip net.IP, port uint16) (netip.AddrPort, error) {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("membership: gossip address has %d bytes, not 4 or 16", len(ip))
	}
	if err := hostport.CheckReachable(addr.Unmap()); err != nil {
		return netip.AddrPort{}, fmt.Errorf("membership: gossip address: %w", err)
	}
	if addr.Is4In6() {
		return netip.AddrPort{}, fmt.Errorf("membership: gossip address %s is of IPv4, and has 16 bytes, not 4", addr.Unmap())
	}
	if port == 0 {
		return netip.AddrPort{}, errors.New("membership: gossip address has port 0")
	}
	return netip.AddrPortFrom(addr, port), nil
}

// ConfigurationError says that two members cannot be in one cluster because of their
// configurations. errors.Is(err, ErrConfiguration) is true for it.
type ConfigurationError struct {
	// NodeID and Addr name the other member and its gossip address.
	NodeID string
	Addr   netip.AddrPort
	// Field is what differs: "PartitionCount", "Configurations", or "Clock" when one of the two clocks is years
	// ahead of the other one.
	Field string
	// Ours and Theirs are the two values, as text for people.
	Ours, Theirs string
}

// Error says what differs, and how to change one into the other.
func (e *ConfigurationError) Error() string {
	cure := "none in common; to change it, first accept both everywhere by a rolling restart, then drop the old one by another"
	switch e.Field {
	case "PartitionCount":
		cure = "it is fixed for a cluster's life, start every member with the same"
	case "Clock":
		cure = "set the one that is wrong, and restart its process"
	}
	return fmt.Sprintf("membership: member %q at %s: %v: %s is %s there and %s here: %s",
		e.NodeID, e.Addr, ErrConfiguration, e.Field, e.Theirs, e.Ours, cure)
}

// Unwrap returns ErrConfiguration.
func (e *ConfigurationError) Unwrap() error { return ErrConfiguration }
