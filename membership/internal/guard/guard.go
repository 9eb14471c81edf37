// Package guard hardens the gossip port. A process outside the cluster can reach that
// port. memberlist alone lets it open any number of streams, allocates what a message only
// announces, and crashes at a packet of an old version of encryption. A [Guard] is a
// transport between memberlist and the network that prevents these attacks. It also tells
// a member of another cluster why its stream is refused.
//
// No byte of an unknown sender is kept or decompressed beyond a budget that all such senders
// share. Known members have a budget of their own.
//
// The package knows the format of memberlist's streams and packets, and does not depend on
// package membership. It defines its own errors and counts; membership shows them.
package guard

import (
	"cmp"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/internal/intake"
)

// Options are the limits of a [Guard]. A limit of zero means its default.
type Options struct {
	// Label is the name of the cluster, as memberlist writes it before each stream.
	Label string
	// MaxStreams is the largest number of open inbound streams from the addresses of known
	// members, and of those from all other addresses. Zero means 256.
	MaxStreams int
	// MaxPerSource is the largest number of them from one IPv4 address or IPv6 /64. Zero means 64.
	MaxPerSource int
	// MaxBytes is the largest number of bytes that messages of all senders that are not known
	// members may hold at a time. Known members have twice as many. Zero means 8 MiB.
	MaxBytes int
	// MaxMessage and MaxState are the largest numbers of bytes of a message of the delegate, and of
	// its state in an exchange of members. Zero means 20 MiB, which is memberlist's own limit.
	MaxMessage, MaxState int
	// HeadTimeout is the time from accepting a stream until its message is complete. A
	// refusal may take as long again. Zero means 5 seconds.
	HeadTimeout time.Duration
	// Known reports whether a known member has this address. It must not block. Nil means that no
	// address is known.
	Known func(netip.Addr) bool
	// Peer returns the address of a known member, all of them in turn, and false when there is none. It gets the news
	// that memberlist adds to packets for other addresses. It must not block. Nil means that there is none.
	Peer func() (memberlist.Address, bool)
	// Keys returns the keys that decrypt packets and streams, which must be encrypted. Nil means
	// that gossip is in clear.
	Keys func() [][]byte
	// Left is called with the name of a member that says, in a message that a key decrypts, that it
	// leaves. It must not block. Nil means that nothing is called.
	Left func(name string)
	// Heard is called for each message in a packet which says that a member is suspected or alive. It gets the name of
	// the member and the incarnation in the message. It is also called for messages and exchanges that say that Self
	// is dead, as for a suspicion, before memberlist has them. A message in clear may come from any process. Heard
	// must not block. Nil means that nothing is called.
	Heard func(name string, suspected bool, incarnation uint64)
	// Expected reports whether another member that a packet declares dead may be, with the incarnation in the
	// packet. Otherwise the packet counts as a suspicion. It must not block. Nil means that all may be.
	Expected func(name string, incarnation uint64) bool
	// Listed is called for members that an exchange in clear lists as alive. It must not block. Nil means
	// that nothing is called.
	Listed func(name string, incarnation uint64)
	// Deaf reports whether this member heard no other one lately. The dead messages of its memberlist that
	// others have failed are then not sent. They name Self, the gossip name of this member. Deaf is called
	// for each packet, and must not block. Nil means that all dead messages are sent.
	Deaf func() bool
	Self string
	// Withheld returns a channel that is closed when this member may say that it lives, or nil when it may. Until
	// then announcements of Self are not sent, exchanges that this member begins fail, and exchanges that others
	// begin wait, for half of HeadTimeout at most. Withheld is called when Deaf reports true, and for streams. It
	// must not block. Nil means that it always may.
	Withheld func() <-chan struct{}
	// Tether is called in a goroutine of its own with each inbound tether from the address of a known
	// member. It must call admit once it knows which member that is, and return when the tether has
	// ended. Nil means that tethers are refused.
	Tether func(t *Tether, admit func())
	// Reached is called when a stream was dialed. It must not block. Nil means that nothing is called.
	Reached func()
	// Compression says that members compress gossip. Without it, compressed messages in clear are
	// read only from the addresses of known members, and in answers.
	Compression bool
	// Logger takes lines with memberlist's levels. Nil means none.
	Logger *log.Logger
}

// transport is the interface of a guard, and of the transport that it wraps.
type transport = memberlist.NodeAwareTransport

// Guard is a transport around another one. It bounds the harm that a process outside
// the cluster can do:
//
//   - It reads the whole message of a stream before memberlist does, within a budget that all
//     senders share, so that memberlist allocates no more than was sent.
//   - It passes on an encrypted message only when it decrypts, and a compressed one decompressed.
//   - It drops packets, and messages in them, that no member sends.
//   - It gives probes numbers that nobody can guess.
//   - It answers a stream of another cluster with the reason.
//   - It closes every stream of both directions on Shutdown.
//
// It counts what is sent. All methods are safe for concurrent use.
type Guard struct {
	transport // the inner transport: addresses, and sending

	opts    Options
	streams chan net.Conn           // the streams for memberlist
	packets chan *memberlist.Packet // the packets for memberlist
	closing chan struct{}           // no new streams
	stopped chan struct{}           // the inner transport is down
	done    chan struct{}           // no goroutine of the guard runs any more
	err     error                   // the error of the inner Shutdown; read it after done
	wg      sync.WaitGroup

	refused refusedCounts
	traffic trafficCounts

	known, strangers budget
	relays           Bucket // requests to probe another member
	strays           Bucket // probes of senders that are not known, whose answers go elsewhere
	numbers          numbers

	mu       sync.Mutex
	closed   bool
	open     map[io.Closer]struct{} // streams of both directions
	refusals map[netip.AddrPort]*Refusal
}

var _ transport = (*Guard)(nil)

// New wraps a transport and owns it from then on: StreamCh of the guard delivers its
// streams, and Shutdown of the guard shuts it down.
func New(inner memberlist.NodeAwareTransport, o Options) *Guard {
	o.MaxStreams = cmp.Or(o.MaxStreams, 256)
	o.MaxPerSource = cmp.Or(o.MaxPerSource, 64)
	o.MaxBytes = cmp.Or(o.MaxBytes, 8<<20)
	o.MaxMessage, o.MaxState = cmp.Or(o.MaxMessage, maxSealed), cmp.Or(o.MaxState, maxSealed)
	o.HeadTimeout = cmp.Or(o.HeadTimeout, 5*time.Second)
	g := &Guard{
		transport: inner,
		opts:      o,
		streams:   make(chan net.Conn),
		packets:   make(chan *memberlist.Packet),
		closing:   make(chan struct{}),
		stopped:   make(chan struct{}),
		done:      make(chan struct{}),
		open:      make(map[io.Closer]struct{}),
		refusals:  make(map[netip.AddrPort]*Refusal),
		strangers: newBudget(o, o.MaxBytes),
		known:     newBudget(o, 2*o.MaxBytes),
		relays:    Bucket{Rate: relayRate, Burst: 2 * relayRate},
		strays:    Bucket{Rate: strayRate, Burst: 2 * strayRate},
		numbers:   newNumbers(),
	}
	g.strangers.paces, g.strangers.maxAnswers = make(map[netip.Prefix]*pace), maxAnswers
	g.wg.Go(func() { intake.Streams(g.transport.StreamCh(), g.stopped, g.acceptOne) })
	g.wg.Go(func() { intake.Each(g.transport.PacketCh(), g.stopped, g.passPacket) })
	return g
}

// FinalAdvertiseAddr returns the address that memberlist announces. An IPv4 address has 4 bytes: other
// members admit no other form.
func (g *Guard) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	addr, port, err := g.transport.FinalAdvertiseAddr(ip, port)
	if short := addr.To4(); short != nil {
		addr = short
	}
	return addr, port, err
}

// PacketCh returns the packets that memberlist may process.
func (g *Guard) PacketCh() <-chan *memberlist.Packet { return g.packets }

// StreamCh returns the streams of this cluster. It is never closed.
func (g *Guard) StreamCh() <-chan net.Conn { return g.streams }

// DialTimeout is DialAddressTimeout for an address without a name.
func (g *Guard) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return g.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a stream whose Read returns a *Refusal when a
// guard on the other side refuses it. After Shutdown it returns net.ErrClosed.
func (g *Guard) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if g.isClosing() {
		return nil, fmt.Errorf("membership: dialing %s: %w", a.Addr, net.ErrClosed)
	}
	conn, err := g.transport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	if g.opts.Reached != nil {
		g.opts.Reached()
	}
	// memberlist sets deadlines on every stream except those of single messages.
	_ = conn.SetDeadline(time.Now().Add(timeout))
	out := newOutbound(g, conn, a.Addr)
	if !g.track(out) {
		_ = conn.Close()
		return nil, fmt.Errorf("membership: dialing %s: %w", a.Addr, net.ErrClosed)
	}
	g.traffic.streamsDialed.Add(1)
	return out, nil
}

// maxRefusals is the largest number of stored refusals that were not taken.
const maxRefusals = 1024

// TakeRefusal returns the [Refusal] in the last answer from an address that the guard
// dialed, and removes it. It returns nil when that answer was no refusal. The caller
// may modify the error.
func (g *Guard) TakeRefusal(addr netip.AddrPort) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	addr = unmapped(addr)
	refusal := g.refusals[addr]
	if refusal == nil {
		return nil
	}
	delete(g.refusals, addr)
	own := *refusal // a copy, because memberlist may still read the error that Read returned
	return &own
}

// answered stores the answer to a stream to addr. A nil refusal means an ordinary
// answer. Answers of dialed host names are not stored.
func (g *Guard) answered(addr string, refusal *Refusal) {
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

// track adds an outbound stream to the streams that Shutdown closes, unless Shutdown
// has begun.
func (g *Guard) track(out *outbound) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.open[out] = struct{}{}
	_, _ = g.known.admit(out.charge) // a dialed stream is always admitted
	return true
}

func (g *Guard) untrack(out *outbound) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, out)
}

// Shutdown closes all streams and the inner transport, and waits for all goroutines of
// the guard. Later calls wait for the first one and return the same error.
func (g *Guard) Shutdown() error {
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
	g.err = g.transport.Shutdown() // what arrives is taken until it has ended
	close(g.stopped)
	g.wg.Wait()
	close(g.done)
	return g.err
}
