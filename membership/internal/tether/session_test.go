package tether

import (
	"crypto/sha256"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stamp is a Sealer that authenticates with a sum in place of a cipher.
type stamp string

func (s stamp) Seal(plain, data []byte) ([]byte, error) {
	sum := sha256.Sum256(append(append([]byte(s), data...), plain...))
	return append(sum[:], plain...), nil
}

func (s stamp) Open(sealed, data []byte) ([]byte, bool) {
	if len(sealed) < sha256.Size {
		return nil, false
	}
	again, _ := s.Seal(sealed[sha256.Size:], data)
	return sealed[sha256.Size:], string(again) == string(sealed)
}

// pair returns both ends of a tether after the handshake.
func pair(t *testing.T, holderKey, servedKey stamp, self, name string) (held, served *Session, from string, err error) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	done := make(chan struct{})
	var servedErr error
	go func() {
		defer close(done)
		if served, from, servedErr = Serve(far, servedKey, "b~1"); servedErr != nil {
			_ = far.Close()
		}
	}()
	if held, err = Hold(near, holderKey, self, name); err != nil {
		_ = near.Close()
	}
	<-done
	return held, served, from, errors.Join(err, servedErr)
}

func TestHandshake(t *testing.T) {
	held, served, from, err := pair(t, "key", "key", "a~1", "b~1")
	require.NoError(t, err)
	require.Equal(t, "a~1", from)
	go func() {
		_ = served.Beat(time.Second)
		_ = served.Claim("c~1", Silent, time.Second)
		_ = served.Part(time.Second)
	}()
	for _, want := range []Message{{}, {About: "c~1", Finding: Silent}, {Parting: true}} {
		got, err := held.Read()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	go func() { _ = held.Claim("d~1", Doubt, time.Second) }()
	got, err := served.Read()
	require.NoError(t, err)
	require.Equal(t, Message{About: "d~1", Finding: Doubt}, got)
}

func TestHandshakeWithAnotherStart(t *testing.T) {
	_, _, _, err := pair(t, "key", "key", "a~1", "b~2")
	other, is := errors.AsType[*OtherError](err)
	require.True(t, is, "%v", err)
	require.Equal(t, "b~1", other.Name)
	require.ErrorContains(t, err, `"b~1" answered`)
}

func TestHandshakeWithAnotherKey(t *testing.T) {
	_, _, _, err := pair(t, "key", "other", "a~1", "b~1")
	require.ErrorIs(t, err, errFrame)
}

// A frame that was recorded on one tether is not accepted on another one, nor a second time.
func TestRecordedFrames(t *testing.T) {
	record := func(s *Session, about string) []byte {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		conn := s.conn
		s.conn = near
		go func() { _ = s.Claim(about, Gone, time.Second); _ = near.Close() }()
		b := make([]byte, 1024)
		n, err := far.Read(b)
		require.NoError(t, err)
		s.conn = conn
		return b[:n]
	}
	_, first, _, err := pair(t, "key", "key", "a~1", "b~1")
	require.NoError(t, err)
	held, served, _, err := pair(t, "key", "key", "a~1", "b~1")
	require.NoError(t, err)
	own := record(served, "c~1")
	go func() { _, _ = served.conn.Write(append(own, own...)) }()
	_, err = held.Read()
	require.NoError(t, err)
	_, err = held.Read()
	require.ErrorIs(t, err, errFrame, "again")

	held, served, _, err = pair(t, "key", "key", "a~1", "b~1")
	require.NoError(t, err)
	go func() { _, _ = served.conn.Write(record(first, "c~1")) }()
	_, err = held.Read()
	require.ErrorIs(t, err, errFrame, "of another tether")
}

// fixed is a connection that reads given bytes and drops what is written.
type fixed struct {
	net.Conn
	rest []byte
}

func (f *fixed) Read(b []byte) (int, error) {
	if len(f.rest) == 0 {
		return 0, net.ErrClosed
	}
	n := copy(b, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}
func (f *fixed) Write(b []byte) (int, error)      { return len(b), nil }
func (f *fixed) SetWriteDeadline(time.Time) error { return nil }

// open is a Sealer that does nothing, as in a cluster without keys.
type open struct{}

func (open) Seal(plain, _ []byte) ([]byte, error) { return plain, nil }
func (open) Open(b, _ []byte) ([]byte, bool)      { return b, true }

// FuzzSession reads arbitrary bytes as the other side of a tether.
func FuzzSession(f *testing.F) {
	f.Add([]byte("\x010123456789abcdef\x00\x03a~1\x01\x03\x00\x04\x01c~1\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(s *Session, err error) {
			for err == nil {
				var msg Message
				if msg, err = s.Read(); err == nil {
					require.LessOrEqual(t, len(msg.About), maxName)
					require.Equal(t, msg.Finding == 0, msg.About == "")
					require.LessOrEqual(t, msg.Finding, Doubt)
				}
			}
		}
		s, from, err := Serve(&fixed{rest: b}, open{}, "b~1")
		require.LessOrEqual(t, len(from), maxName+1)
		read(s, err)
		read(Hold(&fixed{rest: b}, open{}, "a~1", "b~1"))
	})
}
