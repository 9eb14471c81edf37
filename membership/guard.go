package membership

import (
	"cmp"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// guardOptions are the bounds of a guard; zero values mean the defaults.
type guardOptions struct {
	label        string        // the name of our cluster, as memberlist has it
	maxStreams   int           // inbound streams at a time, 256
	maxPerSource int           // of them from one IP address, 64
	maxBytes     int64         // read from one stream, 32 MiB
	headTimeout  time.Duration // from accepting a stream to its label, and again for refusing it, 5 s
	encrypted    bool          // packets and streams are, or must be
	logger       *log.Logger   // lines with memberlist's levels; nil: none
}

// guardCounts are what a guard turned away, by reason: inbound streams, unless
// said otherwise.
type guardCounts struct {
	overTotal  uint64 // more than maxStreams
	overSource uint64 // more than maxPerSource
	otherLabel uint64 // of another cluster
	badHead    uint64 // no label in time, or a malformed one
	badCipher  uint64 // packets and streams of another version of encryption
}

// guard is a Transport around another that takes what a hostile or lost
// stranger can do with streams: it caps them, bounds what they carry, answers
// streams of another cluster with a reason, and closes every stream, of either
// direction, on Shutdown. Packets pass untouched, but for those of a version of
// encryption that is not in use; those sent are counted.
type guard struct {
	Transport // addresses, and what is sent

	opts    guardOptions
	streams chan net.Conn           // what memberlist accepts from
	packets chan *memberlist.Packet // what it receives, when encrypted
	closing chan struct{}           // no new streams
	stopped chan struct{}           // the inner transport is down
	done    chan struct{}           // nothing of ours runs any more
	err     error                   // of the inner Shutdown; read it after done
	wg      sync.WaitGroup

	overTotal, overSource, otherLabel, badHead, badCipher atomic.Uint64
	traffic                                               traffic

	mu        sync.Mutex
	closed    bool
	open      map[io.Closer]struct{} // streams of both directions
	inbound   int
	perSource map[netip.Addr]int
	refusals  map[netip.AddrPort]*RefusedError
}

var _ Transport = (*guard)(nil)

// newGuard wraps a transport and owns it from then on: its streams come out of
// the guard's StreamCh, and Shutdown of the guard shuts it down.
func newGuard(inner Transport, o guardOptions) *guard {
	o.maxStreams = cmp.Or(o.maxStreams, 256)
	o.maxPerSource = cmp.Or(o.maxPerSource, 64)
	o.maxBytes = cmp.Or(o.maxBytes, 32<<20)
	o.headTimeout = cmp.Or(o.headTimeout, 5*time.Second)
	g := &guard{
		Transport: inner,
		opts:      o,
		streams:   make(chan net.Conn),
		closing:   make(chan struct{}),
		stopped:   make(chan struct{}),
		done:      make(chan struct{}),
		open:      make(map[io.Closer]struct{}),
		perSource: make(map[netip.Addr]int),
		refusals:  make(map[netip.AddrPort]*RefusedError),
	}
	g.wg.Go(g.accept)
	if o.encrypted {
		g.packets = make(chan *memberlist.Packet)
		g.wg.Go(g.passPackets)
	}
	return g
}

// PacketCh returns the packets that memberlist may look at.
func (g *guard) PacketCh() <-chan *memberlist.Packet {
	if g.opts.encrypted {
		return g.packets
	}
	return g.Transport.PacketCh()
}

// StreamCh returns the streams of our cluster. It is never closed.
func (g *guard) StreamCh() <-chan net.Conn { return g.streams }

// counts returns how many inbound streams were turned away so far.
func (g *guard) counts() guardCounts {
	return guardCounts{
		overTotal:  g.overTotal.Load(),
		overSource: g.overSource.Load(),
		otherLabel: g.otherLabel.Load(),
		badHead:    g.badHead.Load(),
		badCipher:  g.badCipher.Load(),
	}
}

// DialTimeout is DialAddressTimeout for an address without a name.
func (g *guard) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return g.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a stream whose Read returns a *RefusedError when a
// guard on the other side refuses it. After Shutdown it returns net.ErrClosed.
func (g *guard) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if g.isClosing() {
		return nil, fmt.Errorf("membership: dialing %s: %w", a.Addr, net.ErrClosed)
	}
	conn, err := g.Transport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	// memberlist sets deadlines on every stream but those of messages.
	_ = conn.SetDeadline(time.Now().Add(timeout))
	out := newOutbound(g, conn, a.Addr)
	if !g.track(out) {
		_ = conn.Close()
		return nil, fmt.Errorf("membership: dialing %s: %w", a.Addr, net.ErrClosed)
	}
	g.traffic.streamsDialed.Add(1)
	return out, nil
}

// maxRefusals bounds what is remembered of refusals nobody asked about.
const maxRefusals = 1024

// refused returns how the last answer from an address that the guard dialed
// refused us, and forgets it; nil when it did not. The *RefusedError is the
// caller's own.
func (g *guard) refused(addr netip.AddrPort) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	addr = unmapped(addr)
	refusal := g.refusals[addr]
	if refusal == nil {
		return nil
	}
	delete(g.refusals, addr)
	own := *refusal // memberlist may still be reading the one that Read returned
	return &own
}

// answered notes how the stream to addr was answered: refusal nil is an
// ordinary answer. Dialed names are not remembered.
func (g *guard) answered(addr string, refusal *RefusedError) {
	dialed, err := netip.ParseAddrPort(addr)
	if err != nil {
		return
	}
	dialed = unmapped(dialed)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.refusals, dialed)
	if refusal == nil {
		return
	}
	if len(g.refusals) >= maxRefusals {
		for some := range g.refusals {
			delete(g.refusals, some)
			break
		}
	}
	g.refusals[dialed] = refusal
}

func unmapped(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// track takes an outbound stream into those that Shutdown closes, unless that
// has begun.
func (g *guard) track(out *outbound) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.open[out] = struct{}{}
	return true
}

func (g *guard) untrack(out *outbound) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, out)
}

// Shutdown closes all streams and the inner transport and waits for everything
// the guard started. Calls after the first wait for it and return the same.
func (g *guard) Shutdown() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		<-g.done
		return g.err
	}
	g.closed = true
	open := g.open
	g.open = make(map[io.Closer]struct{})
	g.mu.Unlock()

	close(g.closing)
	for stream := range open {
		_ = stream.Close()
	}
	// The inner transport waits for its loops, and those for somebody to take
	// what they received.
	g.wg.Go(g.drainPackets)
	g.err = g.Transport.Shutdown()
	close(g.stopped)
	g.wg.Wait()
	close(g.done)
	return g.err
}

func (g *guard) drainPackets() {
	for {
		select {
		case _, ok := <-g.Transport.PacketCh():
			if !ok {
				return
			}
		case <-g.stopped:
			return
		}
	}
}
