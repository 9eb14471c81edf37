package guard

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"net/netip"

	"github.com/hashicorp/memberlist"
)

const (
	// maxPacket bounds the bytes of a packet. Members send at most 1400, and as few more as
	// encryption and the label need.
	maxPacket = 2048
	// maxInflated bounds the bytes of the messages of a packet after they were decompressed.
	maxInflated = 4096
	// maxNested bounds how deep messages of a packet contain each other.
	maxNested = 4
	// relayRate is the number of requests to probe another member that are served in a second. Of senders that
	// are not known, strayRate bounds them.
	// Each costs a goroutine and a timer.
	relayRate = 500
)

var errPacketSize = errors.New("longer than a member sends")

// passPacket passes a packet of the inner transport to memberlist, or drops it.
func (g *Guard) passPacket(p *memberlist.Packet) {
	if p == nil || !g.checkPacket(p) {
		return
	}
	select {
	case g.packets <- p:
	case <-g.closing:
	}
}

// checkPacket reports whether memberlist may process a packet. It replaces the buffer of the
// packet, which may be much larger than the packet: memberlist keeps parts of it in queues.
func (g *Guard) checkPacket(p *memberlist.Packet) bool {
	switch {
	case len(p.Buf) > maxPacket:
		g.refused.badPacket.Add(1)
		g.warnf("dropped a packet of %d bytes: %v from=%v", len(p.Buf), errPacketSize, p.From)
		return false
	case g.opts.Keys == nil:
		b, err := g.clearPacket(p.Buf, p.From)
		if err != nil {
			g.refused.badPacket.Add(1)
			g.warnf("dropped messages of a packet: %v from=%v", err, p.From)
		}
		if head, ours := g.labelled(b); ours {
			if message, changed := g.doubted(b[head:]); changed {
				b = g.resealed(b[:head], message)
			}
		}
		p.Buf = b
		return len(b) > 0
	case !soundPacket(p.Buf):
		g.refused.badCipher.Add(1)
		g.warnf("dropped a packet of another version of encryption from=%v", p.From)
		return false
	}
	p.Buf = bytes.Clone(p.Buf)
	if head, plain, ours := g.content(p.Buf); ours {
		plain, fewer := g.withoutProbes(plain, p.From)
		plain, answers := g.shown(plain)
		g.packetNews(plain, maxNested)
		message, changed := g.doubted(plain)
		if fewer {
			g.refused.badPacket.Add(1)
		}
		if changed || fewer || answers {
			p.Buf = g.resealed(head, message)
		}
	}
	return len(p.Buf) > 0
}

// clearPacket returns those messages of a packet that a member may send, and an error for the
// others. A packet with the label of another cluster is returned unchanged: memberlist logs it.
func (g *Guard) clearPacket(b []byte, from net.Addr) ([]byte, error) {
	head, ours := g.labelled(b)
	if !ours {
		return bytes.Clone(b), nil
	}
	command := b[head:]
	if len(command) >= 5 && command[0] == crcMessage {
		if crc32.ChecksumIEEE(command[5:]) != binary.BigEndian.Uint32(command[1:]) {
			return nil, errors.New("the checksum is wrong")
		}
		command = command[5:]
	}
	kept, err := g.command(command, maxNested, g.sender(from))
	if len(kept) == 0 {
		return nil, err
	}
	return append(bytes.Clone(b[:head]), kept...), err
}

// sender says what the messages of one packet may contain. The counts are those of the packet.
type sender struct {
	source   netip.Addr // not valid when the transport has no addresses
	known    bool       // the sender has the address of a known member
	inflate  bool       // the sender may send compressed messages
	room     int        // how many bytes they may have in all, decompressed
	most     uint64     // the largest incarnation
	requests int        // probes, and requests to probe other members
}

// labelled reports whether a packet has the label of this cluster, and the length of its head.
func (g *Guard) labelled(b []byte) (head int, ours bool) {
	label, missing, err := peekLabel(b)
	if len(label) > 0 {
		head = 2 + len(label)
	}
	return head, err == nil && missing == 0 && string(label) == g.opts.Label
}

// command returns what a member may send of one message, with a copy of the bytes.
func (g *Guard) command(b []byte, nested int, from *sender) ([]byte, error) {
	if len(b) == 0 || nested == 0 {
		return nil, errNotGossip
	}
	r := &reader{buf: b, at: 1, most: from.most}
	var err error
	switch b[0] {
	case compoundMessage:
		return g.compound(b[1:], nested-1, from)
	case compressMessage:
		if !from.inflate {
			return nil, errCompressed
		}
		plain, err := inflatePacket(r, from.room)
		if err != nil {
			return nil, err
		}
		from.room -= len(plain)
		from.inflate = false
		defer func() { from.inflate = true }()
		return g.command(plain, nested-1, from)
	case pingMessage, indirectPingMessage:
		err = g.mayProbe(b, from)
	case ackMessage, nackMessage:
		if answer, ok := renumbered(b, g.numbers.show); ok {
			return answer, nil
		}
		err = errNotGossip
	case suspectMessage, aliveMessage, deadMessage:
		if _, err = r.about("Node"); err == nil {
			g.hear(b)
		}
	case userMessage:
	default:
		err = errNotGossip
	}
	if err != nil {
		return nil, err
	}
	return bytes.Clone(b), nil
}

// compound returns those of several messages that a member may send.
func (g *Guard) compound(b []byte, nested int, from *sender) ([]byte, error) {
	all, short := parts(b)
	var kept [][]byte
	var bad error
	for _, part := range all {
		part, err := g.command(part, nested, from)
		if err != nil {
			bad = err
		} else {
			kept = append(kept, part)
		}
	}
	if short != nil {
		bad = short
	}
	switch len(kept) {
	case 0:
		return nil, bad
	case 1:
		return kept[0], bad
	}
	return putCompound(kept), bad
}

// parts splits the content of a compound message into the messages in it. It returns an error
// with those that are complete when the content ends early.
func parts(b []byte) (all [][]byte, err error) {
	if len(b) == 0 || len(b) < 1+2*int(b[0]) {
		return nil, errNotGossip
	}
	lengths, rest := b[1:1+2*int(b[0])], b[1+2*int(b[0]):]
	for ; len(lengths) > 0; lengths = lengths[2:] {
		n := int(binary.BigEndian.Uint16(lengths))
		if n > len(rest) {
			return all, io.ErrUnexpectedEOF
		}
		all, rest = append(all, rest[:n]), rest[n:]
	}
	return all, nil
}

// inflate returns a reader of bytes that memberlist has compressed.
func inflate(compressed []byte) io.ReadCloser {
	return lzw.NewReader(bytes.NewReader(compressed), lzw.LSB, lzwLitWidth)
}

// inflatePacket returns the bytes of a compressed message in a packet. Longer ones are an error.
func inflatePacket(r *reader, most int) ([]byte, error) {
	compressed, err := r.compressed(maxPacket)
	if err != nil {
		return nil, err
	}
	from := inflate(compressed)
	defer func() { _ = from.Close() }()
	plain, err := io.ReadAll(io.LimitReader(from, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(plain) > most {
		return nil, errTooLong
	}
	return plain, nil
}
