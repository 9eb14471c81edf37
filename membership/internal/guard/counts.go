package guard

import (
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Counts are the counts of refusals of a guard since it was made, by reason. They count
// inbound streams unless they name something else.
type Counts struct {
	// OverTotal counts streams beyond Options.MaxStreams, and messages beyond Options.MaxBytes. A
	// stream that was closed to make room counts in place of the new one.
	OverTotal uint64
	// OverSource counts streams beyond Options.MaxPerSource in the same way.
	OverSource uint64
	// OtherLabel counts streams of another cluster.
	OtherLabel uint64
	// BadHead counts streams without a valid label and message in time.
	BadHead uint64
	// BadPacket counts packets with content that no member sends.
	BadPacket uint64
	// BadCipher counts packets, and streams of both directions, of another version of
	// encryption.
	BadCipher uint64
}

// Traffic counts the packets, streams and bytes that passed a guard since it was made.
type Traffic struct {
	PacketsSent, PacketBytesSent         uint64
	StreamsDialed, StreamsAccepted       uint64
	StreamBytesSent, StreamBytesReceived uint64
}

type refusedCounts struct {
	overTotal, overSource, otherLabel, badHead, badPacket, badCipher atomic.Uint64
}

type trafficCounts struct {
	packetsSent, packetBytesSent         atomic.Uint64
	streamsDialed, streamsAccepted       atomic.Uint64
	streamBytesSent, streamBytesReceived byteCount
}

type byteCount struct{ atomic.Uint64 }

func (c *byteCount) add(n int) { c.Add(uint64(max(n, 0))) }

// Counts returns the refusals so far.
func (g *Guard) Counts() Counts {
	c := &g.refused
	return Counts{
		OverTotal: c.overTotal.Load(), OverSource: c.overSource.Load(), OtherLabel: c.otherLabel.Load(),
		BadHead: c.badHead.Load(), BadPacket: c.badPacket.Load(), BadCipher: c.badCipher.Load(),
	}
}

// Traffic returns the passed traffic so far.
func (g *Guard) Traffic() Traffic {
	t := &g.traffic
	return Traffic{
		PacketsSent: t.packetsSent.Load(), PacketBytesSent: t.packetBytesSent.Load(),
		StreamsDialed: t.streamsDialed.Load(), StreamsAccepted: t.streamsAccepted.Load(),
		StreamBytesSent: t.streamBytesSent.Load(), StreamBytesReceived: t.streamBytesReceived.Load(),
	}
}

// WriteTo is WriteToAddress for an address without a name.
func (g *Guard) WriteTo(b []byte, addr string) (time.Time, error) {
	return g.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress sends a packet, and counts it if it was sent.
func (g *Guard) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if g.opts.Deaf != nil && g.opts.Deaf() {
		if b = g.withoutDeaths(b); b == nil {
			return time.Now(), nil
		}
	}
	return g.write(g.hidden(b), a)
}

// send sends a packet as it is, and counts it if it was sent.
func (g *Guard) send(b []byte, a memberlist.Address) (time.Time, error) {
	at, err := g.transport.WriteToAddress(b, a)
	if err == nil {
		g.traffic.packetsSent.Add(1)
		g.traffic.packetBytesSent.Add(uint64(len(b)))
	}
	return at, err
}
