package membership

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	firstRetry      = 200 * time.Millisecond // after the first search that failed
	discoverTimeout = 5 * time.Second
)

// bootstrap joins the cluster, or finds that there is none to join.
func (m *Membership) bootstrap(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, m.settings.BootstrapTimeout)
	defer cancel()
	var refused error
	for wait := firstRetry; ; wait = min(2*wait, m.settings.timings.rejoinInterval) {
		s := m.search(ctx, limited)
		switch {
		case len(m.registry.others()) > 0:
			return nil
		case !s.silent: // every address has answered
			return s.refused
		case s.refused != nil:
			refused = s.refused
		}
		retry := time.NewTimer(jitter(wait))
		select {
		case <-retry.C:
		case <-limited.Done():
			retry.Stop()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.report(ctx)
			return refused
		}
	}
}

func isRefusal(err error) bool {
	return errors.Is(err, ErrClusterName) || errors.Is(err, ErrGossipKey) || errors.Is(err, ErrConfiguration)
}

// seeds asks discovery and looks up what it names, leaving out ourselves and
// the members we know.
func (m *Membership) seeds(ctx context.Context) ([]netip.AddrPort, error) {
	limited, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	entries, err := m.settings.Discovery.Discover(limited)
	addrs, lookupErr := resolveSeeds(limited, m.settings.Gossip.Resolver, cmp.Or(m.settings.bind.Port(), defaultPort), entries)
	err = errors.Join(err, lookupErr)
	switch {
	case ctx.Err() != nil: // it was not given its time
	case err != nil:
		m.troubles.set(troubleDiscovery, "", "", oneLine(err), 0)
	default:
		m.troubles.clear(troubleDiscovery, "")
	}
	return m.unknown(addrs), err
}

// oneLine returns the text of an error that may join several.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// unknown returns the addresses that are neither this member's nor those of members believed
// alive. An address that this member announces and does not listen on may be another member's, so a
// member that is alone tries it.
func (m *Membership) unknown(addrs []netip.AddrPort) []netip.AddrPort {
	others := m.registry.others()
	known := make(map[netip.AddrPort]bool, len(others)+1)
	for _, other := range others {
		known[other.Addr] = true
	}
	m.mu.Lock()
	if want := m.settings.advertise; len(others) > 0 || !want.IsValid() || want.Addr() == m.settings.bind.Addr() {
		known[m.local] = true
	}
	m.mu.Unlock()
	var unknown []netip.AddrPort
	for _, addr := range addrs {
		if !known[addr] {
			unknown = append(unknown, addr)
		}
	}
	return unknown
}

// contact exchanges members with an address in the background and hands what
// came of it to done. It does nothing when the same address is being contacted
// since a moment ago, or when this member is stopping.
func (m *Membership) contact(addr netip.AddrPort, done func(error)) {
	if !m.dialing.begin(addr, m.settings.now(), m.settings.timings.patience) {
		return
	}
	gossip, g, running := m.live()
	begun := running && m.background(func() {
		_, err := gossip.Join([]string{addr.String()})
		if one := errors.Unwrap(err); one != nil {
			err = one // out of memberlist's list, which takes several lines
		}
		m.dialing.end(addr)
		if refused := g.TakeRefusal(addr); refused != nil {
			err = refused
		}
		switch err = classifyJoinError(err); {
		case err == nil && len(m.registry.others()) == 0:
			err = m.refusals.take()
		case err == nil:
			m.reach.led(addr)
		}
		if refusal, ok := errors.AsType[*RefusedError](err); ok {
			refusal.Seed = addr.String()
		}
		done(err)
	})
	if !begun {
		m.dialing.end(addr)
	}
}

// jitter returns a duration between half and three halves of d, so that
// members that started together do not act together for ever.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// dialing are the addresses being contacted.
type dialing struct {
	mu    sync.Mutex
	addrs map[netip.AddrPort]dials
}

// dials are those to one address that have not ended.
type dials struct {
	number int
	last   time.Time // when the last of them began
}

// begin reports whether an address may be dialled: not while an earlier dial is younger than the
// patience.
func (d *dialing) begin(addr netip.AddrPort, now time.Time, patience time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addrs == nil {
		d.addrs = make(map[netip.AddrPort]dials)
	}
	before := d.addrs[addr]
	if before.number > 0 && now.Sub(before.last) < patience {
		return false
	}
	d.addrs[addr] = dials{before.number + 1, now}
	return true
}

func (d *dialing) end(addr netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := d.addrs[addr]
	if left.number--; left.number > 0 {
		d.addrs[addr] = left
		return
	}
	delete(d.addrs, addr)
}

// refusals keeps the last reason for which this member did not let another in.
type refusals struct {
	mu   sync.Mutex
	last error
}

func (r *refusals) add(err error) {
	if !errors.Is(err, ErrConfiguration) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = err
}

func (r *refusals) take() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.last
	r.last = nil
	return err
}
