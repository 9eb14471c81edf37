package membership

// Stats counts what the membership has done and seen since it was made, and
// says how gossip is now. It is a value; each count is exact, and all are of
// about the same moment. Counts never go down, and stay after Stop.
type Stats struct {
	// Joined, Left, Failed and Rejoined count the events of these kinds about other
	// members, folded ones included.
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
	// MessagesDropped is the number of messages from other members that were dropped
	// because too many waited already.
	MessagesDropped uint64
	// Traffic counts what gossip has sent and received. Received packets are not
	// counted.
	Traffic struct {
		// PacketsSent and PacketBytesSent count packets and their payloads. The
		// headers of IP and UDP are not included.
		PacketsSent, PacketBytesSent uint64
		// StreamsDialed counts streams to other members, StreamsAccepted inbound
		// streams that were let in.
		StreamsDialed, StreamsAccepted uint64
		// StreamBytesSent and StreamBytesReceived count the payloads of streams of
		// both directions.
		StreamBytesSent, StreamBytesReceived uint64
	}
	// Refused counts what the gossip port has turned away.
	Refused struct {
		// TooMany and TooManyFromOne count inbound streams beyond the number that
		// may be open at a time, in all and from one IP address.
		TooMany, TooManyFromOne uint64
		// OtherCluster counts inbound streams of other clusters.
		OtherCluster uint64
		// Malformed counts inbound streams that did not begin like gossip in time.
		Malformed uint64
		// OtherCipher counts packets and streams whose encryption is not of the
		// version in use.
		OtherCipher uint64
		// Announcements counts messages about members that were refused: their
		// configuration is incompatible, or no member sends such a message. A
		// message that is repeated is counted again.
		Announcements uint64
	}
}

func (m *Membership) stats() Stats {
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
		s.Traffic = g.Traffic()
		c := g.Counts()
		s.Refused.TooMany, s.Refused.TooManyFromOne = c.OverTotal, c.OverSource
		s.Refused.OtherCluster, s.Refused.Malformed = c.OtherLabel, c.BadHead
		s.Refused.OtherCipher = c.BadCipher
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
		Joined: r.tally[eventJoined], Left: r.tally[eventLeft], Failed: r.tally[eventFailed], Rejoined: r.tally[eventRejoined],
		Lost: r.lost,
	}
}
