package tether

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// A tether begins with a handshake, after the beginning that the guard of the gossip port reads:
//
//	holder  version, challenge
//	served  challenge, frame of its name
//	holder  frame of its name
//
// After it, the served side writes beats, either side writes claims, and the side that ends the
// tether on purpose writes a parting. A frame has its length before it and is sealed. The seal
// covers both challenges, the direction and the number of the frame. So a recorded frame fits no
// other tether.
const (
	wireVersion   = 1
	challengeSize = 16
	maxName       = 255
	maxFrame      = 512

	beatMessage    = 1
	partingMessage = 2
	claimMessage   = 3
)

var (
	errVersion = errors.New("membership: tether of another version")
	errFrame   = errors.New("membership: malformed frame of a tether")
)

// Sealer encrypts with the keys of gossip, and authenticates data with the result.
type Sealer interface {
	Seal(plain, data []byte) ([]byte, error)
	Open(sealed, data []byte) (plain []byte, ok bool)
}

// Session is one end of a tether after the handshake. Its methods for writing are safe for
// concurrent use, beside one reader.
type Session struct {
	conn     net.Conn
	sealer   Sealer
	holder   bool // this end has dialed
	binding  []byte
	received uint64 // frames

	mu   sync.Mutex // orders writes
	sent uint64     // frames
}

// OtherError says that another start than the one that was meant answered.
type OtherError struct{ Name string }

// Error names that start.
func (e *OtherError) Error() string { return fmt.Sprintf("membership: %q answered", e.Name) }

// Hold begins a tether from self to the start with a name. It returns an [OtherError] when another
// start answers. The deadline of the connection bounds the handshake.
func Hold(conn net.Conn, sealer Sealer, self, name string) (*Session, error) {
	s := &Session{conn: conn, sealer: sealer, holder: true}
	hello := make([]byte, 1+challengeSize)
	hello[0] = wireVersion
	_, _ = rand.Read(hello[1:]) // never fails
	if _, err := conn.Write(hello); err != nil {
		return nil, err
	}
	theirs := make([]byte, challengeSize)
	if _, err := io.ReadFull(conn, theirs); err != nil {
		return nil, err
	}
	s.binding = slices.Concat(hello[1:], theirs)
	other, err := s.readFrame()
	if err != nil {
		return nil, err
	}
	if string(other) != name {
		return nil, &OtherError{string(other)}
	}
	return s, s.writeFrame(nil, []byte(self))
}

// Serve answers a holder, and returns the name that it gives. The deadline of the connection bounds
// the handshake.
func Serve(conn net.Conn, sealer Sealer, self string) (s *Session, from string, err error) {
	s = &Session{conn: conn, sealer: sealer}
	hello := make([]byte, 1+challengeSize)
	if _, err := io.ReadFull(conn, hello); err != nil {
		return nil, "", err
	}
	if hello[0] != wireVersion {
		return nil, "", fmt.Errorf("%w: %d", errVersion, hello[0])
	}
	own := make([]byte, challengeSize)
	_, _ = rand.Read(own) // never fails
	s.binding = slices.Concat(hello[1:], own)
	if err := s.writeFrame(own, []byte(self)); err != nil {
		return nil, "", err
	}
	name, err := s.readFrame()
	return s, string(name), err
}

// data returns what the seal of a frame covers besides its content.
func (s *Session) data(fromHolder bool, number uint64) []byte {
	data := append([]byte("clusterkit tether"), wireVersion, 0)
	if fromHolder {
		data[len(data)-1] = 1
	}
	return binary.BigEndian.AppendUint64(append(data, s.binding...), number)
}

// writeFrame writes a frame with some bytes before it.
func (s *Session) writeFrame(before, content []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sealed, err := s.sealer.Seal(content, s.data(s.holder, s.sent))
	if err != nil {
		return err
	}
	s.sent++
	b := binary.BigEndian.AppendUint16(append(make([]byte, 0, len(before)+2+len(sealed)), before...), uint16(len(sealed)))
	_, err = s.conn.Write(append(b, sealed...))
	return err
}

func (s *Session) readFrame() ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(s.conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(size[:])
	if n == 0 || n > maxFrame {
		return nil, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	sealed := make([]byte, n)
	if _, err := io.ReadFull(s.conn, sealed); err != nil {
		return nil, err
	}
	content, ok := s.sealer.Open(sealed, s.data(!s.holder, s.received))
	if !ok || len(content) == 0 || len(content) > maxName+1 {
		return nil, fmt.Errorf("%w: no key decrypts it", errFrame)
	}
	s.received++
	return content, nil
}

// Message is what the other side of a tether says.
type Message struct {
	Parting bool    // the sender ends the tether on purpose
	About   string  // with a claim: the name of the start that it is about
	Finding Finding // with a claim: its finding; zero: the message is no claim
}

// Read returns the next message. A message without a value is a beat.
func (s *Session) Read() (Message, error) {
	var kind [1]byte
	if _, err := io.ReadFull(s.conn, kind[:]); err != nil {
		return Message{}, err
	}
	switch kind[0] {
	case beatMessage:
		return Message{}, nil
	case partingMessage:
		return Message{Parting: true}, nil
	case claimMessage:
		content, err := s.readFrame()
		if err != nil {
			return Message{}, err
		}
		f := Finding(content[0])
		if f < Gone || f > Doubt || len(content) < 2 {
			return Message{}, fmt.Errorf("%w: finding %d", errFrame, content[0])
		}
		return Message{About: string(content[1:]), Finding: f}, nil
	}
	return Message{}, fmt.Errorf("%w: kind %d", errFrame, kind[0])
}

// Beat writes a beat. It returns after the patience at the latest.
func (s *Session) Beat(patience time.Duration) error { return s.write(beatMessage, patience) }

// Part writes a parting. It returns after the patience at the latest.
func (s *Session) Part(patience time.Duration) error { return s.write(partingMessage, patience) }

func (s *Session) write(kind byte, patience time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(patience)) // Write fails too
	_, err := s.conn.Write([]byte{kind})
	return err
}

// Claim writes a claim. It returns after the patience at the latest.
func (s *Session) Claim(about string, f Finding, patience time.Duration) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(patience)) // Write fails too
	return s.writeFrame([]byte{claimMessage}, append([]byte{byte(f)}, about...))
}
