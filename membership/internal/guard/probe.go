package guard

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/internal/intake"
)

// A process that is no member can send probes. memberlist adds news of members to each answer, and sends
// each piece of news a limited number of times. So a process that probes often would get all the news, and
// the members would get none until their next exchange. The guard prevents this: see WriteToAddress and
// mayProbe. One answer costs more than the request, so it also admits one request a packet.

const (
	// strayRate is the number of probes in a second that are served to unknown senders whose answer, or
	// whose requested probe, goes to another address than the sender's.
	strayRate = 20
	// maxRequests bounds the probes, and requests to probe other members, of one packet. Members send one.
	maxRequests = 1
)

var (
	errManyProbes  = errors.New("more than one probe")
	errStray       = errors.New("too many probes for other addresses than that of the sender")
	errRelays      = errors.New("too many requests to probe other members")
	errProbeTarget = errors.New("probe for an address of no process")
)

// probe is a probe, or a request to probe another member.
type probe struct {
	source, target netip.Addr // where the answer goes; whom to probe. Not valid when there is none
}

// readProbe reads a probe or a request to probe another member. It returns an error for addresses to which
// a member must not send: memberlist would look a wrong length up as a name.
func readProbe(b []byte) (p probe, err error) {
	r := &reader{buf: b, at: 1}
	addr := func() (netip.Addr, error) {
		raw, err := r.bounded(maxAddr)
		if err != nil || len(raw) == 0 {
			return netip.Addr{}, err
		}
		addr, ok := netip.AddrFromSlice(raw)
		if addr = addr.Unmap(); !ok || addr.IsUnspecified() || addr.IsMulticast() || addr == broadcast {
			return netip.Addr{}, errProbeTarget
		}
		return addr, nil
	}
	err = r.fields(maxFields, func(key string) (err error) {
		switch key {
		case "SourceAddr":
			p.source, err = addr()
		case "Target":
			p.target, err = addr()
		default:
			err = r.skip()
		}
		return err
	})
	if err == nil && b[0] == indirectPingMessage && !p.target.IsValid() {
		err = errProbeTarget
	}
	return p, err
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// mayProbe returns an error when memberlist must not serve a probe or a request to probe another member.
func (g *Guard) mayProbe(b []byte, from *sender) error {
	p, err := readProbe(b)
	if err != nil {
		return err
	}
	if from.requests++; from.requests > maxRequests {
		return errManyProbes
	}
	elsewhere := b[0] == indirectPingMessage || p.source.IsValid() && p.source != from.source
	switch {
	case !from.known && elsewhere && !g.strays.Take(1, time.Now()):
		return errStray
	case b[0] == indirectPingMessage && !g.relays.Take(1, time.Now()):
		return errRelays
	}
	return nil
}

// withoutProbes returns a message that was decrypted without the probes that memberlist must not serve, and
// reports whether there are any.
func (g *Guard) withoutProbes(b []byte, from net.Addr) (kept []byte, changed bool) {
	sender := g.sender(from)
	return rewrite(b, maxNested, func(b []byte) ([]byte, bool) {
		return nil, (b[0] == pingMessage || b[0] == indirectPingMessage) && g.mayProbe(b, sender) != nil
	})
}

// write sends a packet. News that memberlist has added to a probe, or to the answer to one, goes to a member in
// place of an address that is of no member.
func (g *Guard) write(b []byte, a memberlist.Address) (time.Time, error) {
	if to, err := netip.ParseAddrPort(a.Addr); err == nil && g.opts.Peer != nil && !g.isKnown(to.Addr().Unmap()) {
		if own, added := g.split(b); added != nil {
			if peer, ok := g.opts.Peer(); ok {
				if _, err := g.send(added, peer); err != nil {
					return time.Time{}, err
				}
				b = own
			}
		}
	}
	return g.send(b, a)
}

// split splits a packet into a probe, or the answer to one, and the news that memberlist has added. Without such
// news, added is nil.
func (g *Guard) split(b []byte) (own, added []byte) {
	head, plain, ours := g.content(b)
	if !ours {
		return b, nil
	}
	if len(plain) >= 5 && plain[0] == crcMessage {
		plain = plain[5:]
	}
	if len(plain) > 0 && plain[0] == compressMessage {
		var err error
		if plain, err = inflatePacket(&reader{buf: plain, at: 1}, maxInflated); err != nil {
			return b, nil
		}
	}
	if len(plain) == 0 || plain[0] != compoundMessage {
		return b, nil
	}
	all, err := parts(plain[1:])
	if err != nil || len(all) < 2 || len(all[0]) == 0 {
		return b, nil
	}
	switch all[0][0] {
	case pingMessage, indirectPingMessage, ackMessage, nackMessage:
	default:
		return b, nil
	}
	own, added = g.resealed(head, all[0]), g.resealed(head, putCompound(all[1:]))
	if own == nil || added == nil {
		return b, nil
	}
	return own, added
}

func (g *Guard) sender(from net.Addr) *sender {
	source := intake.SourceOf(from)
	known := g.isKnown(source)
	return &sender{
		source: source, known: known, inflate: known || g.opts.Compression, room: maxInflated, most: mostIncarnation(known),
	}
}
