package membership

import (
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Stats counts what the membership has done and seen since it was made, and
// says how gossip is now. It is a value; each count is exact, and all are of
// about the same moment. Counts never go down, and stay after Stop.
type Stats struct {
	// Joined, Left, Failed and Rejoined count the events of these kinds about
	// other members, those folded included.
	Joined, Left, Failed, Rejoined uint64
	// Lost is how many members have failed and are not back. Up to 1,024
	// members that are gone are remembered, for as long as this process lives.
	Lost int

	// HealthScore is memberlist's own idea of how this member is doing: 0 is
	// well, and so is a member that does not run; 1 is one whose probes fail
	// or that had to say that it is alive, and it probes more slowly.
	HealthScore int
	// Syncs is the number of times that another member has told all its
	// members to this one.
	Syncs uint64
	// TailSyncs is the number of exchanges of all members with one whose view
	// differed, beside memberlist's own.
	TailSyncs uint64
	// MessagesDropped is the number of messages of [Membership.Send] that
	// nobody took from [Membership.Messages] in time.
	MessagesDropped uint64
	// Traffic is what gossip has cost the network.
	Traffic Traffic
	// Refused is what gossip has turned away.
	Refused Refused
}

// Traffic counts what gossip has sent and received. Received packets are not
// counted.
type Traffic struct {
	// PacketsSent and PacketBytesSent count packets and what they carry, the
	// headers of IP and UDP not included.
	PacketsSent, PacketBytesSent uint64
	// StreamsDialed counts streams to others, StreamsAccepted those from
	// others that were let in.
	StreamsDialed, StreamsAccepted uint64
	// StreamBytesSent and StreamBytesReceived count what streams of both
	// directions carry.
	StreamBytesSent, StreamBytesReceived uint64
}

// Refused counts what was turned away at the gossip port.
type Refused struct {
	// TooMany and TooManyFromOne count inbound streams beyond the number open
	// at a time, in all and from one address.
	TooMany, TooManyFromOne uint64
	// OtherCluster counts inbound streams of other clusters.
	OtherCluster uint64
	// Malformed counts inbound streams that did not begin like gossip, in time.
	Malformed uint64
	// OtherCipher counts packets and inbound streams whose encryption is not of
	// the version in use.
	OtherCipher uint64
	// Announcements counts messages about members that were not let in: of
	// an incompatible configuration, or not what a member would send. One that
	// is repeated is counted again.
	Announcements uint64
}

// Stats returns the counts. It does not block.
func (m *Membership) Stats() Stats {
	s := m.registry.stats()
	s.Syncs = m.exchanges.Load()
	s.TailSyncs = m.syncs.count.Load()
	s.MessagesDropped = m.dropped.Load()
	s.Refused.Announcements = m.refused.Load()
	gossip, g, running := m.live()
	if running {
		s.HealthScore = gossip.GetHealthScore()
	} else {
		g = m.lastGuard.Load()
	}
	if g != nil {
		s.Traffic = g.traffic.stats()
		c := g.counts()
		s.Refused.TooMany, s.Refused.TooManyFromOne = c.overTotal, c.overSource
		s.Refused.OtherCluster, s.Refused.Malformed = c.otherLabel, c.badHead
		s.Refused.OtherCipher = c.badCipher
	}
	return s
}

// tally counts events by their kind.
type tally [len(eventNames)]uint64

// stats returns what the registry has counted.
func (r *registry) stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{
		Joined: r.tally[Joined], Left: r.tally[Left], Failed: r.tally[Failed], Rejoined: r.tally[Rejoined],
		Lost: r.lost,
	}
}

// traffic is [Traffic] that many goroutines write.
type traffic struct {
	packetsSent, packetBytesSent         atomic.Uint64
	streamsDialed, streamsAccepted       atomic.Uint64
	streamBytesSent, streamBytesReceived atomic.Uint64
}

func (t *traffic) stats() Traffic {
	return Traffic{
		PacketsSent: t.packetsSent.Load(), PacketBytesSent: t.packetBytesSent.Load(),
		StreamsDialed: t.streamsDialed.Load(), StreamsAccepted: t.streamsAccepted.Load(),
		StreamBytesSent: t.streamBytesSent.Load(), StreamBytesReceived: t.streamBytesReceived.Load(),
	}
}

func (t *traffic) packet(b []byte) {
	t.packetsSent.Add(1)
	t.packetBytesSent.Add(uint64(len(b)))
}

// WriteTo is WriteToAddress for an address without a name.
func (g *guard) WriteTo(b []byte, addr string) (time.Time, error) {
	return g.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress sends a packet, and counts it when it went out.
func (g *guard) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	at, err := g.Transport.WriteToAddress(b, a)
	if err == nil {
		g.traffic.packet(b)
	}
	return at, err
}
