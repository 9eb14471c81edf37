package membership

import (
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
)

// Profile chooses the timings of gossip for the network between the members.
// All members of a cluster should use the same. The zero Profile is LAN.
type Profile uint8

// The profiles. Without tethers all others notice a crashed member within 15 probe intervals. About one
// crash in a thousand is noticed later, because the first probe is late by chance. The
// probe interval is one second for LAN and Local, and five seconds for WAN.
const (
	// LAN is for one region: round trips of a few milliseconds.
	LAN Profile = iota
	// WAN is for several regions: round trips of up to a second.
	WAN
	// Local is for one machine: tests and experiments.
	Local
)

// String returns the profile in lower case.
func (p Profile) String() string {
	switch p {
	case LAN:
		return "lan"
	case WAN:
		return "wan"
	case Local:
		return "local"
	default:
		return fmt.Sprintf("profile(%d)", uint8(p))
	}
}

// MarshalText returns the same as String.
func (p Profile) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText parses the output of MarshalText. Any other text is an error.
func (p *Profile) UnmarshalText(text []byte) error {
	for profile := LAN; profile <= Local; profile++ {
		if profile.String() == string(text) {
			*p = profile
			return nil
		}
	}
	return fmt.Errorf("membership: unknown gossip profile %q: must be lan, wan or local", text)
}

// timings are the times of memberlist, and of the functions on top of it.
type timings struct {
	probeInterval, probeTimeout   time.Duration
	gossipInterval, gossipToDead  time.Duration
	pushPullInterval, tcpTimeout  time.Duration
	gossipNodes, indirectChecks   int
	retransmitMult, suspicionMult int

	rejoinInterval time.Duration // the time between two searches for missing members
	settleQuiet    time.Duration // the list of members has settled when no member is new for this time
	settleMax      time.Duration // the longest time for which a joining member waits for its list to settle
	tailDelay      time.Duration // the age of a view at which members that have not confirmed it are asked
	leaveWait      time.Duration // the limit for each announcement of a leave to be sent
	firstRest      time.Duration // how long a member that was declared dead must be in touch before it owns again
	patience       time.Duration // the patience with one connection, which fails by itself only after tcpTimeout
}

func (p Profile) timings() timings {
	t := timings{
		probeInterval:    time.Second,
		probeTimeout:     500 * time.Millisecond,
		gossipInterval:   200 * time.Millisecond,
		gossipToDead:     30 * time.Second,
		pushPullInterval: 30 * time.Second,
		tcpTimeout:       5 * time.Second,
		gossipNodes:      3,
		indirectChecks:   3,
		retransmitMult:   8,
		suspicionMult:    3,
		rejoinInterval:   5 * time.Second,
		settleQuiet:      300 * time.Millisecond,
		settleMax:        2 * time.Second,
		tailDelay:        time.Second,
		leaveWait:        time.Second,
		firstRest:        30 * time.Second,
		patience:         time.Second,
	}
	switch p {
	case WAN:
		t.probeInterval = 5 * time.Second
		t.probeTimeout = 3 * time.Second
		t.gossipInterval = 500 * time.Millisecond
		t.gossipToDead = 60 * time.Second
		t.pushPullInterval = 60 * time.Second
		t.tcpTimeout = 10 * time.Second
		t.gossipNodes = 4
		t.suspicionMult = 4
		t.rejoinInterval = 15 * time.Second
		t.settleQuiet = time.Second
		t.settleMax = 5 * time.Second
		t.tailDelay = 3 * time.Second
		t.leaveWait = 3 * time.Second
		t.firstRest = time.Minute
		t.patience = 3 * time.Second
	case Local:
		t.probeTimeout = 200 * time.Millisecond
		t.gossipInterval = 100 * time.Millisecond
		t.gossipToDead = 15 * time.Second
		t.pushPullInterval = 15 * time.Second
		t.tcpTimeout = 2 * time.Second
		t.indirectChecks = 1
		t.rejoinInterval = 2 * time.Second
		t.settleQuiet = 150 * time.Millisecond
		t.settleMax = time.Second
		t.tailDelay = 500 * time.Millisecond
		t.leaveWait = 500 * time.Millisecond
		t.firstRest = 10 * time.Second
		t.patience = 500 * time.Millisecond
	}
	return t
}

// protocolVersion is the version of memberlist's protocol that all members use.
const protocolVersion = memberlist.ProtocolVersion2Compatible

// configure fills in memberlist's configuration. It does not use memberlist's defaults,
// because these read the name of the host.
func (t timings) configure(c *memberlist.Config) {
	c.ProtocolVersion = protocolVersion
	c.TCPTimeout = t.tcpTimeout
	c.IndirectChecks = t.indirectChecks
	// The news of a death must reach every member. A member that missed it learns of it
	// in no other way, because after an exchange of members it only suspects the member
	// itself, with the longest suspicion timeout. So it is sent twice as often as by
	// default, which matters most in a small cluster with some dead members. And the
	// longest suspicion timeout is twice the shortest one instead of six times.
	c.RetransmitMult = t.retransmitMult
	c.SuspicionMult = t.suspicionMult
	c.SuspicionMaxTimeoutMult = 2
	// memberlist makes a member probe more rarely when its probes fail. That is right if the
	// member itself is slow. But while a part of the cluster cannot be reached, rarer probes delay
	// the detection of a crash in the rest. isolation.go distinguishes the two cases.
	c.AwarenessMaxMultiplier = 2
	c.PushPullInterval = t.pushPullInterval
	c.ProbeInterval = t.probeInterval
	c.ProbeTimeout = t.probeTimeout
	c.GossipNodes = t.gossipNodes
	c.GossipInterval = t.gossipInterval
	c.GossipToTheDeadTime = t.gossipToDead
	c.GossipVerifyIncoming = true
	c.GossipVerifyOutgoing = true
	c.HandoffQueueDepth = 4096
	c.UDPBufferSize = 1400
	c.QueueCheckInterval = 30 * time.Second
	c.DNSConfigPath = "/etc/resolv.conf"
	// Each start has its own name, so the name of a dead member is never used again.
	c.DeadNodeReclaimTime = time.Second
}
