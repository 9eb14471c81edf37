package membership

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
	"github.com/clusterkit/clusterkit/membership/internal/packetstream"
)

// instance is memberlist with its guard, while it runs. A Membership has one in its life.
type instance struct {
	opened  time.Time   // when Start opened the address
	closed  atomic.Bool // callbacks of memberlist are ignored from here on
	workers sync.WaitGroup

	mu     sync.Mutex // guards the fields below; never held while waiting
	gossip *memberlist.Memberlist
	guard  *guard.Guard
	local  netip.AddrPort // the address that this member announces
	cancel context.CancelFunc
}

// begin records what runs, and returns the context of the workers.
func (i *instance) begin(gossip *memberlist.Memberlist, g *guard.Guard, local netip.AddrPort) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	i.mu.Lock()
	defer i.mu.Unlock()
	i.gossip, i.guard, i.local, i.cancel = gossip, g, local, cancel
	return ctx
}

// end lets nothing new begin, and ends the context of the workers. It returns what the caller must
// shut down, or nil when nothing runs.
func (i *instance) end() *memberlist.Memberlist {
	i.mu.Lock()
	gossip, cancel := i.gossip, i.cancel
	i.gossip, i.guard, i.cancel = nil, nil, nil
	i.mu.Unlock()
	if gossip != nil {
		i.closed.Store(true)
		cancel()
	}
	return gossip
}

// address returns the address that this member announces. It is not valid before Start.
func (i *instance) address() netip.AddrPort {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.local
}

// open binds the address and starts gossip and the workers.
func (m *Membership) open() error {
	logger := newGossipLogger(m.log, lineHooks{undecryptable: m.suspect, doubted: m.reach.want, refuting: m.refutes, correcting: m.repeatNews, unanswered: m.pairs.doubt, suspects: m.suspects, tcpOnly: m.settings.Gossip.TCPOnly})
	inner, err := m.settings.Gossip.Network.Listen(m.settings.bind, logger)
	if err != nil {
		return fmt.Errorf("membership: listening on %v: %w", m.settings.bind, err)
	}
	if m.settings.Gossip.TCPOnly {
		inner = m.packetsOverStreams(inner, logger)
	}
	g := guard.New(inner, m.guardOptions(logger))
	m.counts.guard.Store(g)
	local, err := m.advertised(g)
	if err != nil {
		_ = g.Shutdown() // err says what is wrong
		return err
	}
	config := &memberlist.Config{
		Name:              m.name,
		Label:             m.settings.ClusterName,
		Transport:         g,
		BindPort:          int(local.Port()),
		AdvertiseAddr:     local.Addr().String(),
		AdvertisePort:     int(local.Port()),
		EnableCompression: m.settings.Gossip.Compression,
		Keyring:           m.keys.ring,
		Logger:            logger,

		DelegateProtocolMax: m.tethers.delegateVersion(), // members of earlier releases announce less
	}
	m.settings.timings.configure(config)
	hooks := &hooks{m: m}
	config.Delegate, config.Events, config.Alive, config.Ping, config.Merge = hooks, hooks, hooks, hooks, hooks

	m.instance.opened = m.settings.now()
	m.isolation.heardAt.Store(m.instance.opened.UnixNano())
	gossip, err := memberlist.Create(config)
	if err != nil {
		_ = g.Shutdown()
		return fmt.Errorf("membership: starting gossip on %v: %w", local, err)
	}
	ctx := m.instance.begin(gossip, g, local)
	m.announcer.attach(gossip)
	workers := []func(context.Context){m.keepJoining, m.keepAgreeing, m.watchIsolation, m.watchReach, m.watchPairs, m.watchDeaths, m.watchRest}
	if !m.tethers.off {
		workers = append(workers, m.keepTethers)
	}
	for _, worker := range workers {
		m.background(func() { worker(ctx) })
	}
	return nil
}

// guardOptions returns the limits of the gossip port.
func (m *Membership) guardOptions(logger *log.Logger) guard.Options {
	o := guard.Options{
		Label: m.settings.ClusterName, Logger: logger, Compression: m.settings.Gossip.Compression,
		HeadTimeout: m.settings.timings.tcpTimeout, Known: m.registry.knows, Peer: m.registry.nextPeer,
		MaxMessage: directHeader + maxNameLength + maxMessage, MaxState: maxAbsenceMessage,
		Heard: m.heard, Expected: m.expects, Listed: m.listed, Deaf: m.deaf, Withheld: m.withheld, Reached: m.touched, Self: m.name,
	}
	if !m.tethers.off {
		o.Tether = m.serveTether
	}
	if m.keys.ring != nil {
		o.Keys = m.keys.ring.GetKeys
		o.Left = func(name string) {
			if _, _, err := splitName(name); err == nil && name != m.name {
				m.newcomers.leave(name, m.settings.now())
			}
		}
	}
	return o
}

// packetsOverStreams wraps a transport, so that packets go over its streams.
func (m *Membership) packetsOverStreams(inner Transport, logger *log.Logger) Transport {
	port := m.settings.bind.Port()
	if _, bound, err := inner.FinalAdvertiseAddr("", 0); err == nil {
		port = uint16(bound)
	}
	t := packetstream.New(inner, port, packetstream.Options{
		Label: m.settings.ClusterName, Patience: m.settings.timings.patience, Known: m.registry.knows, Logger: logger,
	})
	m.counts.streams.Store(t)
	return t
}

// advertised returns the address to announce: the one in the options, or else the bound one.
func (m *Membership) advertised(t Transport) (netip.AddrPort, error) {
	if from := m.settings.Gossip.AdvertiseFrom; from != "" {
		return m.advertisedFrom(t, from)
	}
	ip, port, err := t.FinalAdvertiseAddr("", 0)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("membership: no address to announce, set Gossip.AdvertiseAddr: %w", err)
	}
	bound, err := gossipAddr(ip, uint16(port))
	if want := m.settings.advertise; want.IsValid() {
		if want.Port() == 0 {
			want = netip.AddrPortFrom(want.Addr(), uint16(port))
		}
		return want, nil
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("membership: no address to announce, set Gossip.AdvertiseAddr: %w", err)
	}
	if m.settings.bind.Addr().IsUnspecified() {
		if all, err := hostAddresses(); err == nil {
			m.warnOfChoice(all, bound.Addr())
		}
	}
	return bound, nil
}

// advertisedFrom returns the address of an interface or in a network, with the bound port.
func (m *Membership) advertisedFrom(t Transport, from string) (netip.AddrPort, error) {
	all, err := hostAddresses()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("membership: listing the addresses of this host: %w", err)
	}
	addr, err := addressFrom(all, from, m.settings.bind.Addr().Is4())
	if err != nil {
		return netip.AddrPort{}, err
	}
	port := m.settings.bind.Port()
	if port == 0 {
		_, bound, err := t.FinalAdvertiseAddr("", 0)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("membership: the port to announce is not known: set it in GossipAddr: %w", err)
		}
		port = uint16(bound)
	}
	return netip.AddrPortFrom(addr, port), nil
}

// shutdown ends everything that open started. A goroutine of memberlist that is in the middle of a
// probe ends with that probe, within a few probe intervals. Such a goroutine no longer changes the
// Membership.
func (m *Membership) shutdown() {
	gossip := m.instance.end()
	if gossip == nil {
		return
	}
	m.announcer.detach(nil)
	if err := gossip.Shutdown(); err != nil {
		m.log.Warn("closing gossip failed", "error", err)
	}
	m.instance.workers.Wait()
	m.endAttempts()
	if m.settings.Gossip.AddressFile != "" {
		if data := m.dueKnown(true); data != nil {
			m.writeKnown(data)
		}
	}
}

// live returns memberlist and the guard while they run.
func (m *Membership) live() (*memberlist.Memberlist, *guard.Guard, bool) {
	i := &m.instance
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.gossip, i.guard, i.gossip != nil
}

// background runs f in a goroutine that Stop waits for, and reports whether it does. It does not
// run f before memberlist has started, nor after shutdown has begun.
func (m *Membership) background(f func()) bool {
	i := &m.instance
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gossip == nil {
		return false
	}
	i.workers.Go(f)
	return true
}

// suspect records the sender of a packet that this member cannot decrypt. It never blocks.
func (m *Membership) suspect(from netip.AddrPort) {
	select {
	case m.undecryptable.senders <- from:
	default: // the sender sends more
	}
}
