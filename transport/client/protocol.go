package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// lane is one of the transports of a pool. They differ in protocol and bounds.
type lane int

const (
	// usual speaks HTTP/2 to https URLs whose server supports it, and HTTP/1.1 otherwise.
	usual lane = iota
	// clearHTTP1 speaks HTTP/1.1 to http URLs.
	clearHTTP1
	// upgrades speaks HTTP/1.1, for requests that keep their connection.
	upgrades
	// secureHTTP1 speaks HTTP/1.1 to https URLs.
	secureHTTP1
	// clearHTTP2 speaks HTTP/2 to http URLs.
	clearHTTP2
	lanes // the number of lanes
)

// laneOf chooses the lane of a request. A request that a server has received is sent on
// by the version of HTTP by which it came.
func (p *Pool) laneOf(r *http.Request) lane {
	received, secure := r.RequestURI != "", r.URL.Scheme == "https"
	switch {
	case wire.IsUpgrade(r):
		return upgrades
	case received && r.ProtoMajor == 2 && !secure && !p.onlyHTTP1.has(r.URL.Host):
		return clearHTTP2
	case !secure:
		return clearHTTP1
	case received && r.ProtoMajor == 1:
		return secureHTTP1
	default:
		return usual
	}
}

// errOnlyHTTP1 says that a server does not speak HTTP/2 in clear.
var errOnlyHTTP1 = errors.New("client: the server does not speak HTTP/2 in clear")

// preface begins a connection of HTTP/2 (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// greet begins HTTP/2 on a connection in clear, and returns errOnlyHTTP1 if the other
// side does not speak it. So a request is sent only to a server that understands it. The
// first frame of a server is SETTINGS.
func greet(ctx context.Context, conn net.Conn, within time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	g := &greeted{Conn: conn}
	_, err := io.WriteString(conn, preface)
	if err == nil {
		_, err = io.ReadFull(conn, g.head[:])
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	const typeOfSettings, ofStream, lengthOfSetting = 4, 5, 6
	h := g.head
	switch {
	case err == nil && h[3] == typeOfSettings && h[4] == 0 && [4]byte(h[ofStream:]) == [4]byte{} && int(h[2])%lengthOfSetting == 0:
		return g, nil
	case err == nil, errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errOnlyHTTP1
	default: // without a byte the server may not be running, behind a proxy of TCP connections
		return nil, fmt.Errorf("beginning HTTP/2 with %s: %w", conn.RemoteAddr(), err)
	}
}

// greeted is a connection on which greet has written the preface and read the head of
// the first frame.
type greeted struct {
	net.Conn
	head    [9]byte
	read    int // bytes of head that were read again
	written int // bytes of the preface that were written again
}

func (g *greeted) Read(b []byte) (int, error) {
	if g.read == len(g.head) {
		return g.Conn.Read(b)
	}
	n := copy(b, g.head[g.read:])
	g.read += n
	return n, nil
}

func (g *greeted) Write(b []byte) (int, error) {
	skip := min(len(preface)-g.written, len(b))
	g.written += skip
	if skip == len(b) {
		return skip, nil
	}
	n, err := g.Conn.Write(b[skip:])
	return skip + n, err
}

// heldBody is a body that is not closed before release: until then the request may be
// sent by another lane.
type heldBody struct {
	io.ReadCloser
	mu           sync.Mutex
	held, closed bool
}

func (b *heldBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held {
		b.closed = true
		return nil
	}
	return b.ReadCloser.Close()
}

func (b *heldBody) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = false
	if b.closed {
		_ = b.ReadCloser.Close()
	}
}

// addresses are those that are known for a while not to speak HTTP/2 in clear.
type addresses struct {
	mu    sync.Mutex
	until map[string]time.Time
}

const (
	// knownFor is how long an address is believed to speak HTTP/1.1 alone. Then its
	// member may have been upgraded.
	knownFor = time.Minute
	// mostKnown bounds the addresses that are remembered.
	mostKnown = 1024
)

func (a *addresses) has(addr string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, known := a.until[addr]
	return known && time.Now().Before(until)
}

func (a *addresses) add(addr string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.until == nil || len(a.until) >= mostKnown {
		a.until = make(map[string]time.Time)
	}
	a.until[addr] = time.Now().Add(knownFor)
}
