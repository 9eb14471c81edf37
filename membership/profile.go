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
	probeInterval, probeTimeout  time.Duration
	gossipInterval, gossipToDead time.Duration
	pushPullInterval, tcpTimeout time.Duration
	gossipNodes, indirectChecks  int
	retransmitMult               int
	suspicion                    suspicionTimings

	rejoinInterval time.Duration // the time between two searches for missing members
	settleQuiet    time.Duration // the list of members has settled when no member is new for this time
	settleMax      time.Duration // the longest time for which a joining member waits for its list to settle
	tailDelay      time.Duration // the age of a view at which members that have not confirmed it are asked
	leaveWait      time.Duration // the limit for each announcement of a leave to be sent
	firstRest      time.Duration // how long a member that was declared dead must be in touch before it owns again
	patience       time.Duration // the patience with one connection, which fails by itself only after tcpTimeout
}

// suspicionTimings are multipliers of memberlist.
type suspicionTimings struct {
	shortest  int // the shortest suspicion, in probe intervals times the logarithm of the number of members
	longest   int // the longest suspicion, in shortest suspicions
	awareness int // the largest factor of the probe interval, at a member whose probes fail
}

// patient returns the multipliers of a member with tethers. Tethers find most deaths, so a suspicion of
// gossip can be as long as memberlist's own (Dadgar, Phillips and Currey, Lifeguard, 2018). A member that
// stalls for some seconds then has the time to refute it.
func (p Profile) patient() suspicionTimings {
	if p == WAN {
		return suspicionTimings{shortest: 6, longest: 6, awareness: 8}
	}
	return suspicionTimings{shortest: 4, longest: 6, awareness: 8}
}

// timings returns the times of a profile, for a member without tethers.
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
		// Without tethers a death must be found soon. A member that missed the news of a death waits for
		// its own suspicion, and that for the longest time. So the longest suspicion is short. Probes stay
		// frequent even if they fail: rarer ones are right if this member is slow, but not while it cannot
		// reach a part of the cluster. isolation.go distinguishes the two cases.
		suspicion:      suspicionTimings{shortest: 3, longest: 2, awareness: 2},
		rejoinInterval: 5 * time.Second,
		settleQuiet:    300 * time.Millisecond,
		settleMax:      2 * time.Second,
		tailDelay:      time.Second,
		leaveWait:      time.Second,
		firstRest:      30 * time.Second,
		patience:       time.Second,
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
		t.suspicion.shortest = 4
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
	// The news of a death must reach every member. A member that missed it only suspects the
	// member itself, after an exchange of members. So the news is sent twice as often as by default,
	// which matters most in a small cluster with some dead members. With tethers, the member that
	// missed it examines the dead one: see hooks.NotifyMerge.
	c.RetransmitMult = t.retransmitMult
	c.SuspicionMult = t.suspicion.shortest
	c.SuspicionMaxTimeoutMult = t.suspicion.longest
	c.AwarenessMaxMultiplier = t.suspicion.awareness
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
