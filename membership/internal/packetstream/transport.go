// Package packetstream carries the packets of gossip over streams, for networks that pass TCP
// alone. A [Transport] is a transport around another one. Packets to an address go over one stream
// to it, which stays open while it is in use. All other streams pass unchanged in both directions.
//
// A packet may be lost, as over UDP: a sender never waits for a slow receiver. Packets wait in a
// bounded queue until the stream is there, and are dropped when it cannot be opened.
//
// The package knows no keys. memberlist encrypts and labels each packet, and the guard above a
// Transport checks packets as it checks those of UDP. A Transport itself bounds the number of
// streams, what they hold in memory, and how long they may be silent.
package packetstream

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

// Options are the limits of a [Transport]. A limit of zero means its default.
type Options struct {
	// Label is the name of the cluster, 1 to 255 bytes. A stream of packets begins with it.
	Label string
	// Patience is how long a dial may take, and how long a receiver may take to confirm packets
	// before the stream is replaced. Zero means 1 second.
	Patience time.Duration
	// HeadTimeout is how long the beginning of a stream, and the rest of a packet, may take. Zero
	// means 5 seconds.
	HeadTimeout time.Duration
	// Idle is how long a stream stays open without packets. The receiver waits for three times as
	// long. Zero means 1 minute.
	Idle time.Duration
	// MaxHeads and MaxHeadsPerSource are the largest numbers of inbound streams whose beginning is
	// not read yet, in all and from one IPv4 address or IPv6 /64. A further one replaces the oldest one. Zero
	// means 256 and 64.
	MaxHeads, MaxHeadsPerSource int
	// MaxStreams and MaxPerSource are the largest numbers of inbound streams of packets, in all and from
	// one source. A further one replaces the one that has been silent for longest. Zero means 1024 and 256.
	MaxStreams, MaxPerSource int
	// Known reports whether a known member has this address. Known members have all four numbers for themselves.
	// It must not block. Nil means that no address is known.
	Known func(netip.Addr) bool
	// MaxPeers is the largest number of addresses to which packets wait or a stream is open. A
	// further one replaces the one that has been unused for longest. Zero means 1024.
	MaxPeers int
	// QueueBytes is the largest number of bytes that wait for one address. Zero means 64 KiB.
	QueueBytes int
	// Logger takes lines with memberlist's levels. Nil means none.
	Logger *log.Logger
}

func (o Options) withDefaults() Options {
	o.Patience = cmp.Or(o.Patience, time.Second)
	o.HeadTimeout = cmp.Or(o.HeadTimeout, 5*time.Second)
	o.Idle = cmp.Or(o.Idle, time.Minute)
	o.MaxHeads = cmp.Or(o.MaxHeads, 256)
	o.MaxHeadsPerSource = cmp.Or(o.MaxHeadsPerSource, 64)
	o.MaxStreams = cmp.Or(o.MaxStreams, 1024)
	o.MaxPerSource = cmp.Or(o.MaxPerSource, 256)
	o.MaxPeers = cmp.Or(o.MaxPeers, 1024)
	o.QueueBytes = cmp.Or(o.QueueBytes, 64<<10)
	return o
}

// Transport carries packets over streams of another transport. All methods are safe for concurrent
// use.
type Transport struct {
	memberlist.NodeAwareTransport // the inner transport: addresses, and streams

	opts    Options
	hello   []byte                  // the beginning of each outbound stream of packets
	packets chan *memberlist.Packet // for memberlist
	streams chan net.Conn           // for memberlist
	closing chan struct{}           // Shutdown has begun
	stopped chan struct{}           // the inner transport is down
	done    chan struct{}           // no goroutine of the transport runs any more
	err     error                   // the error of the inner Shutdown; read it after done
	wg      sync.WaitGroup
	counts  counts

	mu               sync.Mutex
	closed           bool
	peers            map[string]*peer
	known, strangers door
}

// door has the inbound streams of one class of senders.
type door struct {
	heads  population // streams whose first bytes are not read yet
	within population // streams that carry packets
}

func newDoor(o Options) door {
	return door{newPopulation(o.MaxHeads, o.MaxHeadsPerSource), newPopulation(o.MaxStreams, o.MaxPerSource)}
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// New wraps a transport and owns it from then on. Packets of the inner transport are dropped. port
// is the gossip port of this process, which receivers take as the source of its packets.
func New(inner memberlist.NodeAwareTransport, port uint16, o Options) *Transport {
	t := &Transport{
		NodeAwareTransport: inner,

		opts:    o.withDefaults(),
		hello:   hello(port, o.Label),
		packets: make(chan *memberlist.Packet),
		streams: make(chan net.Conn),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
		done:    make(chan struct{}),
		peers:   make(map[string]*peer),
	}
	t.known, t.strangers = newDoor(t.opts), newDoor(t.opts)
	t.wg.Go(func() { intake.Streams(inner.StreamCh(), t.stopped, t.acceptOne) })
	t.wg.Go(func() { intake.Each(inner.PacketCh(), t.stopped, func(*memberlist.Packet) {}) })
	return t
}

// PacketCh returns the packets that arrived over streams. It is never closed.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh returns the inbound streams that carry no packets. It is never closed.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streams }

// WriteTo is WriteToAddress for an address without a name.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress queues a packet and returns the time. It copies the bytes and never blocks. It
// returns an error for a packet that cannot be sent: an empty one, one of more than 16 KiB, or any
// after Shutdown. It returns none for a packet that is lost.
func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if len(b) == 0 || len(b) > maxPacket {
		return time.Time{}, fmt.Errorf("membership: packet to %s has %d bytes: must be between 1 and %d", a.Addr, len(b), maxPacket)
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return time.Time{}, fmt.Errorf("membership: packet to %s: %w", a.Addr, net.ErrClosed)
	}
	t.peer(a, now).add(b, now)
	return now, nil
}

// Shutdown closes all streams of packets and the inner transport, and waits for all goroutines of
// the transport. Later calls wait for the first one and return the same error.
func (t *Transport) Shutdown() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		<-t.done
		return t.err
	}
	t.closed = true
	var open []io.Closer
	for _, p := range t.peers {
		if p.conn != nil {
			open = append(open, p.conn)
		}
	}
	for _, d := range []*door{&t.known, &t.strangers} {
		open = append(append(open, d.heads.all()...), d.within.all()...)
	}
	t.mu.Unlock()

	close(t.closing)
	for _, conn := range open {
		_ = conn.Close()
	}
	t.err = t.NodeAwareTransport.Shutdown() // packets and streams are still received until it returns
	close(t.stopped)
	t.wg.Wait()
	close(t.done)
	return t.err
}

func (t *Transport) warnf(format string, args ...any) {
	if t.opts.Logger != nil {
		t.opts.Logger.Printf("[WARN] "+format, args...)
	}
}

// population is a set of inbound streams, counted by their network. The lock of the transport
// guards it.
type population struct {
	most, mostOfOne int
	members         map[*inbound]struct{}
	perNetwork      map[netip.Prefix]int
}

func newPopulation(most, mostOfOne int) population {
	return population{most, mostOfOne, make(map[*inbound]struct{}), make(map[netip.Prefix]int)}
}

func (p *population) add(in *inbound) {
	p.members[in] = struct{}{}
	p.perNetwork[in.network]++
}

// remove removes a stream, if it is there.
func (p *population) remove(in *inbound) {
	if _, there := p.members[in]; !there {
		return
	}
	delete(p.members, in)
	if p.perNetwork[in.network]--; p.perNetwork[in.network] == 0 {
		delete(p.perNetwork, in.network)
	}
}

// isFull reports whether a network has as many streams as it may have, and whether all networks have.
func (p *population) isFull(network netip.Prefix) (ofOne, ofAll bool) {
	return p.perNetwork[network] >= p.mostOfOne, len(p.members) >= p.most
}

// quietest returns the stream that has been silent for longest: of the network where it is full, or else of
// the networks that have the most streams.
func (p *population) quietest(network netip.Prefix) (found *inbound) {
	full, _ := p.isFull(network)
	most := 0
	for _, n := range p.perNetwork {
		most = max(most, n)
	}
	for in := range p.members {
		may := in.network == network
		if !full {
			may = p.perNetwork[in.network] == most
		}
		if may && (found == nil || in.heard.Before(found.heard)) {
			found = in
		}
	}
	return found
}

func (p *population) all() (open []io.Closer) {
	for in := range p.members {
		open = append(open, in.Conn)
	}
	return open
}
