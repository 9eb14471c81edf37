package guard

import "errors"

// memberlist writes one byte before each encrypted message that says how it was padded. It
// writes 1 and still reads 0, and the byte is not authenticated. An attacker can change
// the byte on its way, or send an old message again with another byte. Then memberlist
// removes a padding that does not exist, which panics when the last byte is larger than
// the length of the message. The attacker needs no key for that. So the guard lets only
// version 1 pass.
const (
	cipherVersion = 1
	// encryptedMark begins a stream that is encrypted; the length follows in
	// four bytes, then the version.
	encryptedMark   = 10
	cipherVersionAt = 5
)

var errCipherVersion = errors.New("membership: stream is encrypted in a version that no member writes")

// soundPacket reports whether the version of an encrypted packet is the one in use. The
// label before it is not checked here, and may be that of another cluster.
func soundPacket(b []byte) bool {
	label, missing, err := peekLabel(b)
	if err != nil || missing > 0 {
		return false
	}
	if label != nil {
		b = b[2+len(label):]
	}
	return len(b) > 0 && b[0] == cipherVersion
}

// cipherCheck checks the version in the bytes that are read from a stream. The zero
// value begins with the first byte.
type cipherCheck struct {
	skip   int // bytes to come before the message
	at     int // bytes of the message seen
	marked bool
}

// pass reports whether memberlist may read the next bytes.
func (c *cipherCheck) pass(b []byte) bool {
	n := min(c.skip, len(b))
	c.skip, b = c.skip-n, b[n:]
	for _, one := range b {
		if c.at > cipherVersionAt {
			break
		}
		if c.at == 0 {
			c.marked = one == encryptedMark
		}
		if c.at == cipherVersionAt && c.marked && one != cipherVersion {
			return false
		}
		c.at++
	}
	return true
}

// passPackets passes the sound packets of the inner transport to memberlist. It takes
// all packets until the inner transport has shut down.
func (g *Guard) passPackets() {
	for {
		select {
		case p, ok := <-g.transport.PacketCh():
			if !ok {
				return
			}
			if !soundPacket(p.Buf) {
				g.refused.badCipher.Add(1)
				g.warnf("dropped a packet of another version of encryption from=%v", p.From)
				continue
			}
			select {
			case g.packets <- p:
			case <-g.closing:
			}
		case <-g.stopped:
			return
		}
	}
}
