package packetstream

import (
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// peer is an address to which packets are sent. The lock of the transport guards its fields. One
// goroutine serves it while packets wait or its stream is open.
type peer struct {
	t    *Transport
	addr memberlist.Address

	queue   []byte        // frames that wait
	used    time.Time     // when a packet was last added
	running bool          // a goroutine serves this peer
	wake    chan struct{} // says that the queue or broken has changed
	conn    net.Conn      // nil: no stream
	broken  bool          // the stream has ended, or must be replaced
	evicted bool          // another address takes the place of this one

	unconfirmed time.Time // since when sent packets have not been confirmed; zero: all were
	confirmed   bool      // the stream has carried packets
	backoff     time.Duration
	retryAt     time.Time // no dial before
}

// peer returns the peer at an address. The caller holds the lock.
func (t *Transport) peer(a memberlist.Address, now time.Time) *peer {
	if p := t.peers[a.Addr]; p != nil {
		return p
	}
	if len(t.peers) >= t.opts.MaxPeers {
		var oldest *peer
		for _, p := range t.peers {
			if oldest == nil || p.used.Before(oldest.used) {
				oldest = p
			}
		}
		oldest.evicted = true
		delete(t.peers, oldest.addr.Addr)
		oldest.poke()
	}
	p := &peer{t: t, addr: a, used: now, wake: make(chan struct{}, 1)}
	t.peers[a.Addr] = p
	return p
}

// poke wakes the goroutine of the peer.
func (p *peer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// add queues a packet, or drops it where the queue is full or the address did not answer a moment
// ago. The caller holds the lock.
func (p *peer) add(b []byte, now time.Time) {
	p.used = now
	if len(p.queue)+len(b)+2 > p.t.opts.QueueBytes || p.conn == nil && now.Before(p.retryAt) {
		p.t.counts.dropped.Add(1)
		return
	}
	p.queue = appendFrame(p.queue, b)
	if !p.running {
		p.running = true
		p.t.wg.Go(p.run)
	}
	p.poke()
}

// run sends what is queued, until the stream has been idle, the address does not answer, or the
// transport shuts down.
func (p *peer) run() {
	idle := time.NewTimer(p.t.opts.Idle)
	defer idle.Stop()
	for {
		select {
		case <-p.wake:
		case <-idle.C:
		case <-p.t.closing:
		}
		frames, conn, goOn := p.next()
		if !goOn {
			return
		}
		if len(frames) > 0 {
			if conn == nil {
				conn, frames = p.dial(), append(slices.Clone(p.t.hello), frames...)
			}
			if conn != nil {
				p.send(conn, frames)
			}
			idle.Reset(p.t.opts.Idle)
		}
	}
}

// next takes what is queued. It closes a stream that must be replaced. It reports whether the
// goroutine goes on.
func (p *peer) next() (frames []byte, conn net.Conn, goOn bool) {
	t, now := p.t, time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	stalled := !p.unconfirmed.IsZero() && now.Sub(p.unconfirmed) > t.opts.Patience
	over := t.closed || p.evicted || len(p.queue) == 0 && now.Sub(p.used) >= t.opts.Idle
	if p.conn != nil && (p.broken || stalled || over) {
		_ = p.conn.Close()
		if p.conn = nil; !p.confirmed && !over {
			p.postpone(now) // the address gets the same pause as one that refuses
		}
	}
	frames, p.queue = p.queue, nil
	if over {
		p.running = false
		if t.peers[p.addr.Addr] == p {
			delete(t.peers, p.addr.Addr)
		}
		return nil, nil, false
	}
	if p.conn == nil && now.Before(p.retryAt) {
		if len(frames) > 0 {
			t.counts.dropped.Add(1)
		}
		p.running = false
		return nil, nil, false
	}
	return frames, p.conn, true
}

// dial opens a stream. When it cannot, it drops what is queued meanwhile, and returns nil.
func (p *peer) dial() net.Conn {
	t := p.t
	conn, err := t.DialAddressTimeout(p.addr, t.opts.Patience)
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && (t.closed || p.evicted) {
		_ = conn.Close()
		return nil
	}
	if err != nil {
		p.postpone(now)
		p.queue = nil
		t.counts.dropped.Add(1)
		p.poke()
		return nil
	}
	p.conn, p.broken, p.confirmed, p.unconfirmed = conn, false, false, time.Time{}
	t.wg.Go(func() { p.watch(conn) })
	return conn
}

// postpone plans the next dial. The caller holds the lock.
func (p *peer) postpone(now time.Time) {
	p.backoff = min(max(2*p.backoff, firstBackoff), maxBackoff)
	p.retryAt = now.Add(p.backoff/2 + rand.N(p.backoff)) //nolint:gosec // a time
}

// send writes frames to a stream.
func (p *peer) send(conn net.Conn, frames []byte) {
	t, now := p.t, time.Now()
	t.mu.Lock()
	if p.unconfirmed.IsZero() {
		p.unconfirmed = now
	}
	t.mu.Unlock()
	err := conn.SetWriteDeadline(now.Add(t.opts.Patience))
	if err == nil {
		_, err = conn.Write(frames)
	}
	if err != nil {
		p.lost(conn)
	}
}

// lost says that a stream must be replaced, when it is still the one in use.
func (p *peer) lost(conn net.Conn) {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.conn == conn {
		p.broken = true
		p.poke()
	}
}

// watch reads the confirmations of the receiver until the stream ends.
func (p *peer) watch(conn net.Conn) {
	var b [64]byte
	for {
		n, err := conn.Read(b[:])
		if n > 0 {
			p.t.mu.Lock()
			if p.conn == conn {
				p.confirmed, p.unconfirmed, p.backoff = true, time.Time{}, 0
			}
			p.t.mu.Unlock()
		}
		if err != nil {
			p.lost(conn)
			return
		}
	}
}
