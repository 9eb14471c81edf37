package memnet

// Stats are the counts of a [Network] since it was made. What is sent and
// neither delivered nor dropped is under way, and so are dials that neither
// connected nor failed.
type Stats struct {
	// PacketsSent counts every packet a transport accepted, whatever became
	// of it, and PacketBytesSent their payload in bytes.
	PacketsSent, PacketBytesSent uint64
	// PacketsDelivered counts the packets that reached an inbox, and
	// PacketBytesDelivered their payload in bytes.
	PacketsDelivered, PacketBytesDelivered uint64
	// PacketsDropped counts the others, by reason.
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
	// StreamBytesWritten is what was written to streams, in bytes, in both
	// directions together.
	StreamBytesWritten uint64
}

// PacketDrops counts packets that were not delivered, by reason.
type PacketDrops struct {
	// Lost fell to chance: [Options.PacketLoss].
	Lost uint64
	// Cut were sent across a partition, a block or an isolation.
	Cut uint64
	// Crashed were sent by or to a transport that crashed.
	Crashed uint64
	// NoListener were sent to an address without a transport.
	NoListener uint64
	// InboxFull found the receiver's inbox full, because it reads too slowly.
	InboxFull uint64
}

// Total is the sum over all reasons.
func (d PacketDrops) Total() uint64 {
	return d.Lost + d.Cut + d.Crashed + d.NoListener + d.InboxFull
}

// DialFailures counts dials that failed, by reason. All but Refused and Aborted
// looked like a timeout to the dialler.
type DialFailures struct {
	// Refused found no transport at the address.
	Refused uint64
	// Lost fell to chance: [Options.StreamLoss].
	Lost uint64
	// Cut went across a partition, a block or an isolation.
	Cut uint64
	// Crashed were made by or to a transport that crashed.
	Crashed uint64
	// BacklogFull found too many streams waiting to be accepted.
	BacklogFull uint64
	// TooSlow had a timeout shorter than the round trip.
	TooSlow uint64
	// Aborted ended because the dialler's transport was shut down.
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
	dropReasons // their number
)

// counters are the live form of Stats, guarded by Network.mu.
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
