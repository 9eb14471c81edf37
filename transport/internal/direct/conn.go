package direct

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"net"
	"syscall"
	"time"
)

// conn is a connection to a server. One exchange uses it at a time.
type conn struct {
	net.Conn
	raw  syscall.RawConn
	look func(fd uintptr) bool // sets quiet
	// quiet says that the other side has sent nothing while the connection was idle.
	quiet bool
	r     *bufio.Reader
	w     *bufio.Writer
	left  int64 // bytes that may still be read
	// wrote and writeErr describe the present exchange: whether anything was written, and
	// the first error.
	wrote    bool
	writeErr error
	used     bool      // by an exchange before
	idle     time.Time // since then
}

// newConn returns a connection. It returns an error for one whose state cannot be seen while
// it is idle.
func newConn(c net.Conn) (*conn, error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("direct: a connection of type %T: must be one of the system", c)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	n := &conn{Conn: c, raw: raw}
	n.r, n.w = bufio.NewReader(n), bufio.NewWriter(writer{n})
	return n, nil
}

// isAlive reports whether an idle connection can carry another request.
func (c *conn) isAlive() bool { return c.r.Buffered() == 0 && c.isQuiet() }

// errLongHeader says that the header of an answer is longer than it may be.
var errLongHeader = errors.New("the header of the answer is too long")

// Read implements [io.Reader] for the buffer.
func (c *conn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errLongHeader
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}

// unlimited is for bodies.
const unlimited = math.MaxInt64

// writer writes to a connection, and notes what was written.
type writer struct{ *conn }

func (w writer) Write(b []byte) (int, error) {
	n, err := w.conn.Write(b)
	w.wrote = w.wrote || n > 0
	if err != nil && w.writeErr == nil {
		w.writeErr = err
	}
	return n, err
}
