package route

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// deadlines is a connection of a caller that notes the deadlines of its reads.
type deadlines struct {
	net.Conn
	halfClosed bool
	last       time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error { d.last = at; return nil }
func (d *deadlines) Read([]byte) (int, error)           { return 1, nil }
func (d *deadlines) CloseWrite() error                  { d.halfClosed = true; return nil }

// TestACallerThatKeepsAnUpgradeThatHasEnded: when the owner has ended its half of an upgraded connection, its handler has most
// often returned. A caller that sends nothing for a while, and does not close its own half, loses the connection, as
// it does at the owner.
func TestACallerThatKeepsAnUpgradeThatHasEnded(t *testing.T) {
	d := &deadlines{}
	c := &upgraded{Conn: d}
	read := func() {
		_, err := c.Read(make([]byte, 1))
		require.NoError(t, err)
	}
	read()
	require.Zero(t, d.last, "an upgrade may be idle for as long as it likes")
	require.NoError(t, c.CloseWrite())
	require.True(t, d.halfClosed)
	require.WithinDuration(t, time.Now().Add(lingersFor), d.last, lingersFor/2)
	d.last = time.Time{}
	read()
	require.WithinDuration(t, time.Now().Add(lingersFor), d.last, lingersFor/2)

	plain, other := net.Pipe()
	defer func() { _ = other.Close() }()
	require.Error(t, (&upgraded{Conn: plain}).CloseWrite(), "the proxy closes a connection that has no halves")
}
