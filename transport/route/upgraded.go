package route

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// lingersFor is how long a caller may keep an upgraded connection without sending anything after the owner has ended its half.
// Most often the handler has returned. Its system then forgets the connection after this time.
const lingersFor = time.Minute

// upgraded is the connection of a caller after an upgrade.
type upgraded struct {
	net.Conn
	early   []byte // was read before the upgrade
	lingers atomic.Bool
}

// Read is a method of net.Conn.
func (c *upgraded) Read(b []byte) (int, error) {
	if len(c.early) == 0 {
		n, err := c.Conn.Read(b)
		if c.lingers.Load() {
			c.linger()
		}
		return n, err
	}
	n := copy(b, c.early)
	c.early = c.early[n:]
	return n, nil
}

// CloseWrite ends the half that the owner has ended. An error, as where the connection cannot do
// that, lets the proxy close the connection.
func (c *upgraded) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	c.lingers.Store(true)
	c.linger()
	return half.CloseWrite()
}

func (c *upgraded) linger() { _ = c.SetReadDeadline(time.Now().Add(lingersFor)) }
