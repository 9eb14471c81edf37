package membership

import "time"

// Stats are the counts of a Membership since it was made, and the present health of
// gossip. Each count is exact. They are read one after the other, so they may be of
// slightly different moments. Counts never decrease, and stay after Stop.
type Stats struct {
	// Joined, Left, Failed and Rejoined count the events of these kinds about other
	// members, with folded ones.
	Joined, Left, Failed, Rejoined uint64
	// Lost is the number of members that have failed and have not come back. This
	// process remembers up to 1,024 members that are gone.
	Lost int
	// LostLately is the number of them that failed within the last 6 hours.
	LostLately int

	// HealthScore is memberlist's own measure of this member: 0 when gossip works, or
	// when the member does not run. It is 1 when its probes fail, or when it had to
	// refute its own death; then it probes more slowly.
	HealthScore int
	// Keys is the number of gossip keys that this member decrypts with. It is 0 when gossip is
	// not encrypted. While a key is replaced it is more than 1.
	Keys int
	// Syncs is the number of times that another member has sent its full list of
	// members to this one.
	Syncs uint64
	// TailSyncs is the number of additional exchanges of members that this member began
	// because views differed.
	TailSyncs uint64
	// MessagesDropped is the number of messages from other members that were dropped
	// because too many waited already.
	MessagesDropped uint64
	// PacketsDropped is the number of times that packets were dropped with
	// [GossipOptions.TCPOnly], because a member was slow or could not be dialled.
	PacketsDropped uint64
	// Tethers counts streams that are open to show at once that a process has died. See
	// [GossipOptions.NoTethers].
	Tethers struct {
		// Held and Served are the open tethers to other members, and of other members.
		Held, Served int
		// Examined counts the members that this member examined because a tether ended, because
		// nothing arrived on it, or because another member asked for that.
		Examined uint64
		// Declared counts the members that this member declared dead, together with other holders.
		Declared uint64
		// Back counts the starts that came back after they had been declared dead in any way.
		Back uint64
	}
	// Traffic counts the packets, streams and bytes of gossip. Received packets are not counted.
	Traffic struct {
		// PacketsSent and PacketBytesSent count packets and their payloads. The
		// headers of IP and UDP are not included.
		PacketsSent, PacketBytesSent uint64
		// StreamsDialed counts streams to other members, and StreamsAccepted accepted
		// inbound streams.
		StreamsDialed, StreamsAccepted uint64
		// StreamBytesSent and StreamBytesReceived count the payloads of streams of
		// both directions.
		StreamBytesSent, StreamBytesReceived uint64
	}
	// Refused counts the streams, packets and messages that were refused at the gossip
	// port.
	Refused struct {
		// TooMany and TooManyFromOne count inbound streams beyond the number that
		// may be open at a time, in all and from one IPv4 address or IPv6 /64. A new
		// stream may take the place of one whose message is not complete. TooMany also
		// counts messages beyond the number of bytes that may wait at a time.
		TooMany, TooManyFromOne uint64
		// OtherCluster counts inbound streams of other clusters.
		OtherCluster uint64
		// Malformed counts inbound streams without a valid message of gossip in time, and
		// packets with content that no member sends.
		Malformed uint64
		// OtherCipher counts packets and streams whose encryption is not of the
		// version in use.
		OtherCipher uint64
		// Announcements counts refused messages about members, because of an
		// incompatible configuration or invalid content. A repeated message is counted
		// again.
		Announcements uint64
	}
}

func (m *Membership) stats() Stats {
	s := m.registry.stats()
	s.Keys = m.keys.count()
	s.Syncs = m.counts.exchanges.Load()
	s.TailSyncs = m.tail.syncs.count.Load()
	s.MessagesDropped = m.counts.dropped.Load()
	s.Refused.Announcements = m.counts.refused.Load()
	t := &m.tethers
	t.mu.Lock()
	s.Tethers.Held, s.Tethers.Served = t.open, len(t.served)
	s.Tethers.Examined, s.Tethers.Declared, s.Tethers.Back = t.counts.Examined, t.counts.Declared, t.counts.Back
	t.mu.Unlock()
	gossip, g, running := m.live()
	if running {
		s.HealthScore = gossip.GetHealthScore()
	} else {
		g = m.counts.guard.Load()
	}
	if g != nil {
		s.Traffic = g.Traffic()
		c := g.Counts()
		s.Refused.TooMany, s.Refused.TooManyFromOne = c.OverTotal, c.OverSource
		s.Refused.OtherCluster, s.Refused.Malformed = c.OtherLabel, c.BadHead+c.BadPacket
		s.Refused.OtherCipher = c.BadCipher
	}
	if t := m.counts.streams.Load(); t != nil {
		c := t.Counts()
		s.PacketsDropped = c.Dropped
		s.Refused.TooMany += c.TooMany
		s.Refused.TooManyFromOne += c.TooManyFromOne
		s.Refused.OtherCluster += c.OtherLabel
		s.Refused.Malformed += c.Malformed
	}
	return s
}

// lostLately is how long a loss is news to an operator. A member that is gone for longer was
// replaced, or is not needed.
const lostLately = 6 * time.Hour

// tally counts events by their kind.
type tally [len(eventNames)]uint64

// stats returns the counts of the registry.
func (r *registry) stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	lately := 0
	for _, d := range r.departed {
		if d.failed && r.now().Sub(d.at) < lostLately {
			lately++
		}
	}
	return Stats{
		Joined: r.tally[eventJoined], Left: r.tally[eventLeft], Failed: r.tally[eventFailed], Rejoined: r.tally[eventRejoined],
		Lost: r.lost, LostLately: lately,
	}
}
