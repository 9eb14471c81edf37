package memnet

// Stats are the counts of a [Network] since it was made. Packets that are sent and
// neither delivered nor dropped are under way, and so are dials that neither connected
// nor failed.
type Stats struct {
	// PacketsSent counts every packet that a transport accepted, delivered or not, and
	// PacketBytesSent their payload in bytes.
	PacketsSent, PacketBytesSent uint64
	// PacketsDelivered counts the packets that reached an inbox, and
	// PacketBytesDelivered their payload in bytes.
	PacketsDelivered, PacketBytesDelivered uint64
	// PacketsDropped counts the dropped packets, by reason.
	PacketsDropped PacketDrops
	// LargestPacket is the largest payload sent, in bytes.
	LargestPacket int
	// Dials counts the attempts to open a stream. memberlist opens
	// one for each push/pull, each ping over TCP when probes by packet
	// failed, and each message sent reliably.
	Dials uint64
	// DialsConnected counts the dials that succeeded.
	DialsConnected uint64
	// DialsFailed counts the dials that failed, by reason, once they returned.
	DialsFailed DialFailures
	// StreamsOpen is the number of streams that are not yet closed by both
	// ends.
	StreamsOpen int
	// StreamBytesWritten counts the bytes written to streams, in both directions
	// together.
	StreamBytesWritten uint64
}

// PacketDrops counts packets that were not delivered, by reason.
type PacketDrops struct {
	// Lost counts random losses: [Options.PacketLoss] and [Network.SetHostLoss].
	Lost uint64
	// Cut counts packets across a partition, a block or an isolation.
	Cut uint64
	// Crashed counts packets by or to a transport that crashed, and by one that was
	// killed.
	Crashed uint64
	// NoListener counts packets to an address without a transport, also after a kill.
	NoListener uint64
	// InboxFull counts packets to a receiver whose inbox was full, because it reads too
	// slowly.
	InboxFull uint64
}

// Total is the sum over all reasons.
func (d PacketDrops) Total() uint64 {
	return d.Lost + d.Cut + d.Crashed + d.NoListener + d.InboxFull
}

// DialFailures counts dials that failed, by reason. For the dialler all except Refused
// and Aborted are timeouts.
type DialFailures struct {
	// Refused counts dials to an address without a transport, and those that
	// [Network.Refuse] stops.
	Refused uint64
	// Lost counts random losses: [Options.StreamLoss].
	Lost uint64
	// Cut counts dials across a partition, a block or an isolation.
	Cut uint64
	// Crashed counts dials by or to a transport that crashed, and by one that was killed.
	Crashed uint64
	// BacklogFull counts dials to a transport with too many streams that were not
	// accepted yet.
	BacklogFull uint64
	// TooSlow counts dials with a timeout shorter than the round trip, with the
	// retransmissions that [Network.SetHostLoss] causes.
	TooSlow uint64
	// Aborted counts dials that ended because the dialler's transport was shut down.
	Aborted uint64
}

// Total is the sum over all reasons.
func (f DialFailures) Total() uint64 {
	return f.Refused + f.Lost + f.Cut + f.Crashed + f.BacklogFull + f.TooSlow + f.Aborted
}

// Stats returns the counts so far. It is safe for concurrent use.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &n.counters
	return Stats{
		PacketsSent:          c.packetsSent,
		PacketBytesSent:      c.packetBytesSent,
		PacketsDelivered:     c.packetsDelivered,
		PacketBytesDelivered: c.packetBytesDelivered,
		PacketsDropped: PacketDrops{
			Lost:       c.drops[dropLost],
			Cut:        c.drops[dropCut],
			Crashed:    c.drops[dropCrashed],
			NoListener: c.drops[dropNoListener],
			InboxFull:  c.drops[dropInboxFull],
		},
		LargestPacket:  c.largestPacket,
		Dials:          c.dials,
		DialsConnected: c.dialled[dialConnected],
		DialsFailed: DialFailures{
			Refused:     c.dialled[dialRefused],
			Lost:        c.dialled[dialLost],
			Cut:         c.dialled[dialCut],
			Crashed:     c.dialled[dialCrashed],
			BacklogFull: c.dialled[dialBacklogFull],
			TooSlow:     c.dialled[dialTooSlow],
			Aborted:     c.dialled[dialAborted],
		},
		StreamsOpen:        n.links.Len(),
		StreamBytesWritten: n.streamBytes.Load(),
	}
}

// dropReason is why a packet was not delivered.
type dropReason int

const (
	dropLost dropReason = iota
	dropCut
	dropCrashed
	dropNoListener
	dropInboxFull
	dropReasons // the number of reasons
)

// counters hold the present values of Stats. Network.mu guards them.
type counters struct {
	packetsSent, packetBytesSent           uint64
	packetsDelivered, packetBytesDelivered uint64
	largestPacket                          int
	drops                                  [dropReasons]uint64
	dials                                  uint64
	dialled                                [dialResults]uint64
}

func (c *counters) sent(bytes int) {
	c.packetsSent++
	c.packetBytesSent += uint64(bytes)
	c.largestPacket = max(c.largestPacket, bytes)
}

func (c *counters) delivered(bytes int) {
	c.packetsDelivered++
	c.packetBytesDelivered += uint64(bytes)
}
