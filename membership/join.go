package membership

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

const (
	firstRetry      = 200 * time.Millisecond // after the first attempt to join that failed
	joinParallel    = 3                      // addresses to try at a time
	joinPatience    = 250 * time.Millisecond // after which one more is tried
	redialAfter     = time.Second            // after which an address that is silent is dialled once more
	rejoinSample    = 3                      // addresses of each sort to try in one round
	discoverTimeout = 5 * time.Second
)

// bootstrap joins the cluster, or finds that there is none to join.
func (m *Membership) bootstrap(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, m.settings.BootstrapTimeout)
	defer cancel()
	var refused error
	for wait := firstRetry; ; wait = min(2*wait, m.settings.timings.rejoinInterval) {
		silent, refusal := m.attempt(limited)
		switch {
		case len(m.registry.others()) > 0:
			return nil
		case !silent: // every address has answered
			return refusal
		case refusal != nil:
			refused = refusal
		}
		retry := time.NewTimer(jitter(wait))
		select {
		case <-retry.C:
		case <-limited.Done():
			retry.Stop()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return refused
		}
	}
}

// attempt tries every address that discovery names. It returns when one of them let this
// member in, or when all have answered or failed. It reports whether an address was
// silent, and the refusal if one refused this member.
func (m *Membership) attempt(ctx context.Context) (silent bool, refusal error) {
	addrs, err := m.seeds(ctx)
	if err != nil {
		m.log.Warn("looking for members to join", "error", err)
		silent = true
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	type answer struct {
		addr netip.AddrPort
		err  error
	}
	results := make(chan answer)
	ended := make(chan struct{})
	defer close(ended)
	waiting := 0
	pending := make(map[netip.AddrPort]bool) // dialled, and not heard of since
	dial := func(addr netip.AddrPort) bool {
		begun := m.contact(addr, func(err error) {
			select {
			case results <- answer{addr, err}:
			case <-ended:
			}
		})
		if begun {
			waiting++
			pending[addr] = true
		}
		return begun
	}
	next := func() bool {
		for len(addrs) > 0 {
			addr := addrs[0]
			addrs = addrs[1:]
			if dial(addr) {
				return true
			}
			silent = true // keepJoining is at it, and has not had an answer yet
		}
		return false
	}
	// One exchange is enough, so a few are tried at a time. An address that does not answer
	// must hold up neither the others nor itself: a connection whose first packets were lost
	// hangs for longer than this member waits before it goes ahead alone.
	for range joinParallel {
		next()
	}
	impatient := time.NewTicker(joinPatience)
	defer impatient.Stop()
	for ; waiting > 0; waiting-- {
		select {
		case <-impatient.C:
			waiting++
			if !next() {
				for addr := range pending {
					if dial(addr) {
						break
					}
				}
			}
		case a := <-results:
			delete(pending, a.addr)
			switch err := a.err; {
			case len(m.registry.others()) > 0:
				return false, nil
			case err == nil: // it was ourselves
			case isRefusal(err):
				refusal = err
			default:
				m.log.Info("joining", "error", err)
				silent = true
			}
			next()
		case <-ctx.Done():
			return true, refusal
		}
	}
	return silent, refusal
}

func isRefusal(err error) bool {
	return errors.Is(err, ErrClusterName) || errors.Is(err, ErrGossipKey) || errors.Is(err, ErrConfiguration)
}

// seeds asks discovery and looks up what it names, leaving out ourselves and
// the members we know.
func (m *Membership) seeds(ctx context.Context) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	entries, err := m.settings.Discovery.Discover(ctx)
	addrs, lookupErr := resolveSeeds(ctx, m.settings.Gossip.Resolver, defaultPort, entries)
	return m.unknown(addrs), errors.Join(err, lookupErr)
}

// unknown returns the addresses that are neither ours nor those of members
// believed alive.
func (m *Membership) unknown(addrs []netip.AddrPort) []netip.AddrPort {
	m.mu.Lock()
	known := map[netip.AddrPort]bool{m.local: true}
	m.mu.Unlock()
	for _, other := range m.registry.others() {
		known[other.Addr] = true
	}
	var unknown []netip.AddrPort
	for _, addr := range addrs {
		if !known[addr] {
			unknown = append(unknown, addr)
		}
	}
	return unknown
}

// keepJoining looks for members that are missing until the context ends: the
// seeds, and the members that failed. After a partition that lasted until both
// sides forgot each other, this is what brings them together again.
func (m *Membership) keepJoining(ctx context.Context) {
	for {
		timer := time.NewTimer(jitter(m.settings.timings.rejoinInterval))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		seeds, err := m.seeds(ctx)
		if err != nil && ctx.Err() == nil {
			m.log.Debug("looking for members to join", "error", err)
		}
		var lost []netip.AddrPort
		for _, failed := range m.registry.failed() {
			lost = append(lost, failed.Addr)
		}
		for _, addrs := range [][]netip.AddrPort{seeds, m.unknown(lost)} {
			rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
			for _, addr := range addrs[:min(len(addrs), rejoinSample)] {
				m.contact(addr, func(err error) {
					if isRefusal(err) {
						m.log.Warn("joining", "error", err)
					} else if err != nil {
						m.log.Debug("joining", "address", addr, "error", err)
					}
				})
			}
		}
	}
}

// contact exchanges members with an address in the background and hands what
// came of it to done. It reports whether it began: not when the same address
// is being contacted since less than redialAfter, nor when we are stopping.
func (m *Membership) contact(addr netip.AddrPort, done func(error)) bool {
	if !m.dialing.begin(addr, m.settings.now()) {
		return false
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
		if err = classifyJoinError(err); err == nil && len(m.registry.others()) == 0 {
			err = m.refusals.take()
		}
		if refusal, ok := errors.AsType[*RefusedError](err); ok {
			refusal.Seed = addr.String()
		}
		done(err)
	})
	if !begun {
		m.dialing.end(addr)
	}
	return begun
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

func (d *dialing) begin(addr netip.AddrPort, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addrs == nil {
		d.addrs = make(map[netip.AddrPort]dials)
	}
	before := d.addrs[addr]
	if before.number > 0 && now.Sub(before.last) < redialAfter {
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
