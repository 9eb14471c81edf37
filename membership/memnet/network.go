package memnet

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// Ports picked by the network: the range that IANA leaves to ephemeral use.
const (
	firstEphemeralPort = 49152
	lastEphemeralPort  = 65535
)

// Network is a network in memory. Make one with [New]; the zero Network is not usable.
// Its methods are safe for concurrent use. None of them blocks for longer than the time
// to visit all open streams.
type Network struct {
	// mu guards everything up to the blank line. It is held for short,
	// non-blocking work only: in a synctest bubble waiting for a mutex keeps
	// time from advancing. It may be held while taking a link's mutex, never
	// the other way round.
	mu        sync.Mutex
	options   Options
	random    *rand.Rand
	listeners map[netip.AddrPort]*transport
	links     list.List // the elements are *link, in the order in which they were dialled
	flight    flightQueue
	landing   *time.Timer // fires when the first packet of flight is due
	lastPort  uint16
	faults    faults
	hostLoss  map[netip.AddrPort]hostLoss
	counters  counters

	streamBytes atomic.Uint64
}

// New returns a network without any transport. It returns an error that names every
// option out of bounds. To use the network in a synctest bubble, call New inside the
// bubble.
func New(options Options) (*Network, error) {
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("memnet: invalid options: %w", err)
	}
	return &Network{
		options: options,
		// The second word is arbitrary: only the seed distinguishes runs.
		random:    rand.New(rand.NewPCG(options.Seed, 0x636c75737465726b)),
		listeners: make(map[netip.AddrPort]*transport),
		lastPort:  lastEphemeralPort,
		faults:    newFaults(),
		hostLoss:  make(map[netip.AddrPort]hostLoss),
	}, nil
}

// Listen opens a transport on the address, which receives at once. It
// implements the Network interface of package membership.
//
// Any address is valid except an unspecified one such as 0.0.0.0: nothing is bound
// outside of this network, and each IP is a host of its own. Port 0 picks a free port
// from 49152 up; FinalAdvertiseAddr of the transport, called with an empty address,
// says which. An address that has a transport already is an error that wraps
// [syscall.EADDRINUSE]; it is free again after the transport's Shutdown, and after
// [Network.Crash] and [Network.Kill].
//
// The logger gets one line at Shutdown if packets or streams were lost because the
// transport's owner read too slowly. Nil means no log.
//
// The transport's methods are safe for concurrent use. Its writes of packets never
// block, unless [Network.Stall] stops the process; its dials block for a round trip, or until their timeout when no transport answers (2
// minutes for a timeout of zero), or until Shutdown. Shutdown may be called any number
// of times; it closes the transport's streams on this side, which the other side sees
// as the end of the stream, and releases every goroutine blocked in them. PacketCh and
// StreamCh stay open after it, and deliver nothing more. They hold 4096 packets and
// 1024 streams. When they are full, further ones are dropped, as by a kernel.
func (n *Network) Listen(addr netip.AddrPort, logger *log.Logger) (memberlist.NodeAwareTransport, error) {
	// The result has memberlist's type, which is the same as membership.Transport. This
	// package does not import membership, so that the tests of membership can use
	// memnet.
	addr = canonical(addr)
	fail := func(err error) (memberlist.NodeAwareTransport, error) {
		return nil, fmt.Errorf("memnet: listening on %q: %w", addr, err)
	}
	switch {
	case !addr.IsValid():
		return fail(errors.New("no address: give one such as 10.0.0.1:7946"))
	case addr.Addr().IsUnspecified():
		return fail(errors.New("an unspecified address names no host here: give one such as 10.0.0.1:7946"))
	}
	if logger == nil {
		logger = log.New(io.Discard, "", 0)
	}

	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		port, ok := n.freePort(addr.Addr())
		if !ok {
			return fail(fmt.Errorf("every port from %d to %d is taken: %w",
				firstEphemeralPort, lastEphemeralPort, syscall.EADDRINUSE))
		}
		addr = netip.AddrPortFrom(addr.Addr(), port)
	}
	if n.listeners[addr] != nil {
		return fail(syscall.EADDRINUSE)
	}
	t := newTransport(n, addr, logger)
	n.listeners[addr] = t
	delete(n.faults.silent, addr)
	return t, nil
}

// freePort returns a port on which no transport listens at this IP, and which no
// crashed transport had: a newcomer must not answer for it by accident. The
// caller holds n.mu.
func (n *Network) freePort(ip netip.Addr) (uint16, bool) {
	for range lastEphemeralPort - firstEphemeralPort + 1 {
		addr := netip.AddrPortFrom(ip, n.nextPort())
		if _, crashed := n.faults.silent[addr]; n.listeners[addr] == nil && !crashed {
			return addr.Port(), true
		}
	}
	return 0, false
}

// nextPort returns the ephemeral ports in turn. The caller holds n.mu.
func (n *Network) nextPort() uint16 {
	if n.lastPort == lastEphemeralPort {
		n.lastPort = firstEphemeralPort
	} else {
		n.lastPort++
	}
	return n.lastPort
}
