package direct

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/transport/internal/slot"
)

// Options configure a [Transport]. All are required.
type Options struct {
	// Dial makes a connection of the operating system. It limits its own time.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// MaxIdlePerHost and MaxIdle bound the idle connections that are kept, of one host and
	// of all.
	MaxIdlePerHost, MaxIdle int
	// IdleTimeout is how long an idle connection is kept.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds the header of an answer.
	MaxHeaderBytes int64
	// Slots bound the requests to a host. An exchange has a slot from its beginning to the
	// end of its answer.
	Slots *slot.Slots
}

// Transport sends requests, and holds connections for them by address. All methods are safe
// for concurrent use.
type Transport struct {
	options  Options
	underway atomic.Int32 // exchanges

	mu     sync.Mutex
	hosts  map[string]*host
	idle   int // connections of all hosts
	closed bool
	timer  *time.Timer // closes connections that are idle for too long; nil: there is none
}

// host holds the connections to one address.
type host struct {
	idle    []*conn // the one used last is the last
	waiting []*waiter
	dialing int
}

// waiter is an exchange that waits for a connection.
type waiter struct {
	got chan struct{} // closed when it has conn or err
	c   *conn
	err error
}

// New returns a transport without connections.
func New(o Options) *Transport { return &Transport{options: o, hosts: make(map[string]*host)} }

// Close closes the idle connections, and from now on every connection whose exchange ends.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.CloseIdle()
}

// CloseIdle closes the idle connections.
func (t *Transport) CloseIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(0)
}

// take returns an idle connection that is alive, or nil.
func (t *Transport) take(addr string) *conn {
	for {
		t.mu.Lock()
		h := t.hosts[addr]
		if h == nil || len(h.idle) == 0 {
			t.mu.Unlock()
			return nil
		}
		last := len(h.idle) - 1
		c := h.idle[last]
		h.idle[last] = nil
		h.idle = h.idle[:last]
		t.idle--
		t.mu.Unlock()
		if c.isAlive() {
			return c
		}
		_ = c.Close()
	}
}

// connect returns a connection: a new one, or one that another exchange gives back before.
// It waits until the attempt ends. A dial goes on without its exchange, for the next one.
func (t *Transport) connect(a *Attempt, addr string) (*conn, error) {
	w := &waiter{got: make(chan struct{})}
	t.mu.Lock()
	h := t.hosts[addr]
	if h == nil {
		h = new(host)
		t.hosts[addr] = h
	}
	h.waiting = append(h.waiting, w)
	if h.dialing < len(h.waiting) {
		h.dialing++
		go t.dial(h, addr)
	}
	t.mu.Unlock()
	select {
	case <-w.got:
		return w.c, w.err
	case <-a.Context.Done():
	case <-a.ended():
	}
	t.mu.Lock()
	i := slices.Index(h.waiting, w)
	if i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
	}
	t.mu.Unlock()
	if i < 0 && w.c != nil {
		t.put(addr, w.c)
	}
	return nil, a.end(context.Cause(a.Context))
}

// dial makes a connection for the exchange that has waited longest.
func (t *Transport) dial(h *host, addr string) {
	network, err := t.options.Dial(context.Background(), "tcp", addr)
	var c *conn
	if err == nil {
		if c, err = newConn(network); err != nil {
			_ = network.Close()
		}
	}
	t.mu.Lock()
	h.dialing--
	if err != nil {
		h.give(nil, err)
		t.mu.Unlock()
		return
	}
	t.mu.Unlock()
	t.put(addr, c)
}

// give hands a connection or an error to the exchange that has waited longest. It returns
// false when none waits. The caller holds the lock.
func (h *host) give(c *conn, err error) bool {
	if len(h.waiting) == 0 {
		return false
	}
	w := h.waiting[0]
	h.waiting = slices.Delete(h.waiting, 0, 1)
	w.c, w.err = c, err
	close(w.got)
	return true
}

// put takes back a connection that can carry another request.
func (t *Transport) put(addr string, c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.hosts[addr]
	if h == nil {
		h = new(host)
		t.hosts[addr] = h
	}
	if c.used && len(h.waiting) > 0 && !c.isAlive() {
		_ = c.Close() // each exchange that waits has a dial under way too
		return
	}
	if h.give(c, nil) {
		return
	}
	if t.closed || len(h.idle) >= t.options.MaxIdlePerHost {
		_ = c.Close()
		return
	}
	for t.idle >= t.options.MaxIdle {
		t.evict()
	}
	c.idle = time.Now()
	h.idle = append(h.idle, c)
	t.idle++
	if t.timer == nil {
		t.timer = time.AfterFunc(t.options.IdleTimeout/2, t.look)
	}
}

// evict closes an idle connection of any host. The caller holds the lock.
func (t *Transport) evict() {
	for _, h := range t.hosts {
		if len(h.idle) > 0 {
			_ = h.idle[0].Close()
			h.idle = slices.Delete(h.idle, 0, 1)
			t.idle--
			return
		}
	}
}

// look closes the connections that have been idle for too long.
func (t *Transport) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(t.options.IdleTimeout)
	if t.timer != nil {
		t.timer.Reset(t.options.IdleTimeout / 2)
	}
}

// expire closes the connections that have been idle for some time, and forgets hosts without
// connections. The caller holds the lock.
func (t *Transport) expire(after time.Duration) {
	for addr, h := range t.hosts {
		n := 0
		for n < len(h.idle) && time.Since(h.idle[n].idle) >= after {
			_ = h.idle[n].Close()
			n++
		}
		h.idle = slices.Delete(h.idle, 0, n)
		t.idle -= n
		if len(h.idle) == 0 && len(h.waiting) == 0 && h.dialing == 0 {
			delete(t.hosts, addr)
		}
	}
	if t.idle == 0 && t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// errEnded is the cause of an attempt that was ended without one.
var errEnded = errors.New("direct: the attempt was ended")
