package guard

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// A tether is a stream that stays open between two members and carries no message of memberlist.
// After the label it begins with a byte that begins no message. The guard passes an inbound tether
// to a function of its owner when it comes from the address of a known member, and closes it
// otherwise.

// tetherMark follows the label of a tether. Messages of memberlist begin with 0 to 13 or 244, the
// refusal of a guard with 0xC1 and a stream of packets with 0xC2.
const tetherMark = 0xC3

var errTether = errors.New("a tether from an address of no known member")

// Tether is an open stream between two members. Shutdown of the guard closes it.
type Tether struct {
	net.Conn
	guard   *Guard
	release func() // once

	mu     sync.Mutex
	replay []byte // bytes that arrived with the beginning
}

// Read returns what the other side has written.
func (t *Tether) Read(p []byte) (int, error) {
	t.mu.Lock()
	if len(t.replay) > 0 {
		n := copy(p, t.replay)
		t.replay = t.replay[n:]
		t.mu.Unlock()
		return n, nil
	}
	t.mu.Unlock()
	n, err := t.Conn.Read(p)
	t.guard.traffic.streamBytesReceived.add(n)
	return n, err
}

// Write counts what is sent.
func (t *Tether) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.guard.traffic.streamBytesSent.add(n)
	return n, err
}

// Close closes the stream. Further calls have no effect.
func (t *Tether) Close() error {
	err := t.Conn.Close()
	t.release()
	return err
}

// DialTether opens a tether and sends its beginning. After Shutdown it returns net.ErrClosed. The
// timeout covers the dial and the beginning. The tether has no deadline afterwards.
func (g *Guard) DialTether(a memberlist.Address, timeout time.Duration) (*Tether, error) {
	until := time.Now().Add(timeout)
	conn, err := g.transport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	t := &Tether{Conn: conn, guard: g}
	t.release = sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.open, t)
	})
	g.mu.Lock()
	closed := g.closed
	if !closed {
		g.open[t] = struct{}{}
	}
	g.mu.Unlock()
	if closed {
		_ = conn.Close()
		return nil, fmt.Errorf("membership: dialing %s: %w", a.Addr, net.ErrClosed)
	}
	g.traffic.streamsDialed.Add(1)
	_ = conn.SetDeadline(until)
	if _, err := t.Write(append(g.labelHead(), tetherMark)); err != nil {
		_ = t.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return t, nil
}

// isTether reads the next byte of a stream, and reports whether the stream is a tether.
func (g *Guard) isTether(in *inbound) (bool, error) {
	if in.reader.at == len(in.reader.buf) {
		if err := in.reader.more(1); err != nil {
			return false, unexpected(err)
		}
	}
	return in.reader.buf[in.reader.at] == tetherMark, nil
}

// receiveTether passes an inbound tether to the owner of the guard. The owner must call Admit soon:
// until then the stream counts to the budget, and may be closed to make room for others.
func (g *Guard) receiveTether(in *inbound) {
	if g.opts.Tether == nil || in.charge.budget != &g.known {
		g.refused.badHead.Add(1)
		g.warnf("dropped a stream: %v from=%v", errTether, in.RemoteAddr())
		_ = in.Close()
		return
	}
	t := &Tether{Conn: in.Conn, guard: g, release: in.release, replay: in.reader.buf[in.reader.at+1:]}
	g.opts.Tether(t, in.charge.release)
	_ = t.Close()
}

func (g *Guard) labelHead() []byte {
	if g.opts.Label == "" {
		return nil
	}
	return append([]byte{labelMark, byte(len(g.opts.Label))}, g.opts.Label...)
}

// Seal encrypts with the first key, and authenticates data with the result. Without keys it returns
// the message itself.
func (g *Guard) Seal(plain, data []byte) ([]byte, error) {
	if g.opts.Keys == nil {
		return plain, nil
	}
	block, err := aes.NewCipher(g.opts.Keys()[0])
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 1+nonceSize, minSealed+len(plain))
	b[0] = cipherVersion
	_, _ = rand.Read(b[1:]) // never fails
	return gcm.Seal(b, b[1:], plain, data), nil
}

// Open reverses Seal with any key.
func (g *Guard) Open(message, data []byte) (plain []byte, ok bool) {
	if g.opts.Keys == nil {
		return message, true
	}
	if len(message) < minSealed || message[0] != cipherVersion {
		return nil, false
	}
	return g.decrypt(message, data)
}

// DeadPacket returns a packet which says that a member is dead, as members send it.
func (g *Guard) DeadPacket(name, from string, incarnation uint32) ([]byte, error) {
	return g.newsPacket(deadMessage, name, from, incarnation)
}

// SuspectPacket returns a packet which says that a member is suspected, as members send it.
func (g *Guard) SuspectPacket(name, from string, incarnation uint32) ([]byte, error) {
	return g.newsPacket(suspectMessage, name, from, incarnation)
}

func (g *Guard) newsPacket(kind byte, name, from string, incarnation uint32) ([]byte, error) {
	b := []byte{kind, 0x83}
	b = appendText(b, "Incarnation")
	b = binary.BigEndian.AppendUint32(append(b, 0xce), incarnation)
	b = appendText(appendText(b, "Node"), name)
	b = appendText(appendText(b, "From"), from)
	sealed, err := g.Seal(b, []byte(g.opts.Label))
	return append(g.labelHead(), sealed...), err
}

// appendText appends a text of at most maxName bytes as msgpack.
func appendText(b []byte, text string) []byte {
	if n := len(text); n < 32 {
		b = append(b, 0xa0|byte(n))
	} else if n < 256 {
		b = append(b, 0xd9, byte(n))
	}
	return append(b, text...)
}

// Inject passes a packet to memberlist as if it had arrived from this member itself. It blocks until
// memberlist takes the packet, or Shutdown begins.
func (g *Guard) Inject(packet []byte) {
	ip, port, err := g.FinalAdvertiseAddr("", 0)
	if err != nil {
		ip = net.IPv4zero // for the log alone
	}
	select {
	case g.packets <- &memberlist.Packet{Buf: packet, From: &net.UDPAddr{IP: ip, Port: port}, Timestamp: time.Now()}:
	case <-g.closing:
	}
}
