package membership

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/membership/lifecycle"
	"github.com/clusterkit/clusterkit/membership/usercode"
)

const (
	firstRetry      = 200 * time.Millisecond // the wait after the first failed search
	discoverTimeout = 5 * time.Second
	maxAttempts     = 3 // attempts at discovery that are under way at a time, for one search
	maxSearches     = 2 // searches at a time: that of Start, and that of keepJoining
)

var errHangs = errors.New("membership: discovery has not returned, although its context has ended")

// bootstrap searches until this member has joined a cluster or BootstrapTimeout has passed. It
// returns nil also when it finds no cluster, and the refusal when a cluster refused this member.
// It ends earlier when every address has answered, unless discovery may still name others: DNS that
// fills up slowly names only this member at first.
func (m *Membership) bootstrap(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, m.settings.BootstrapTimeout)
	defer cancel()
	var refused error
	for {
		s := m.search(ctx, limited)
		switch {
		case m.registry.countOthers() > 0:
			return nil
		case !s.silent && (s.refused != nil || isFixed(m.settings.Discovery)): // every address has answered
			return s.refused
		case s.refused != nil:
			refused = s.refused
		}
		retry := time.NewTimer(m.searchWait(s))
		select {
		case <-retry.C:
		case <-limited.Done():
			retry.Stop()
			if ctx.Err() != nil {
				return s.unfinished(ctx)
			}
			s.report(ctx)
			return refused
		}
	}
}

// searchWait returns the time until the next search. It grows with the time since Start. One search
// begins shortly before BootstrapTimeout ends, so that this member does not go ahead alone beside
// members that have been there for longer than that.
func (m *Membership) searchWait(s *search) time.Duration {
	spent := m.settings.now().Sub(m.instance.opened)
	wait := jitter(min(max(spent/4, firstRetry), m.settings.timings.rejoinInterval))
	if len(s.back) > 0 {
		wait = firstRetry
	}
	if last := m.settings.BootstrapTimeout - m.settings.timings.patience - spent; last > 0 {
		wait = min(wait, last)
	}
	return wait
}

func isRefusal(err error) bool {
	return errors.Is(err, ErrClusterName) || errors.Is(err, ErrGossipKey) || errors.Is(err, ErrConfiguration)
}

// seeds asks discovery for entries, and looks up their addresses. It leaves out this member and
// the members that it knows.
func (m *Membership) seeds(ctx context.Context) ([]netip.AddrPort, error) {
	limited, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	addrs, err := m.discover(limited)
	switch {
	case ctx.Err() != nil: // the context left discovery no time to answer
	case err != nil:
		m.logPanic(err)
		m.troubles.set(troubleDiscovery, "", "", oneLine(err), 0)
	default:
		m.troubles.clear(troubleDiscovery, "")
	}
	return m.unknown(addrs), err
}

// discover returns the addresses that discovery names. When an attempt has no answer in time, it
// begins another one and takes the first success. A resolver repeats a query that was lost in the
// network only after seconds. By then this member would begin alone. A Discovery must return when its
// context ends. One that does not delays no search, and is called no more often than maxAttempts allows.
func (m *Membership) discover(ctx context.Context) ([]netip.AddrPort, error) {
	type found struct {
		addrs []netip.AddrPort
		err   error
	}
	results := make(chan found, maxAttempts)
	attempt := func() {
		var addrs []netip.AddrPort
		usercode.Run(func() error {
			entries, err := m.settings.Discovery.Discover(ctx)
			var lookupErr error
			addrs, lookupErr = resolveSeeds(ctx, m.settings.Gossip.Resolver, cmp.Or(m.settings.bind.Port(), defaultPort), entries)
			return errors.Join(err, lookupErr)
		}, func(err error) {
			results <- found{addrs, err}
			<-m.searches.attempts
		})
	}
	next := time.NewTicker(m.settings.timings.patience)
	defer next.Stop()
	last := found{err: ErrStopped}
	begun, ended := 0, 0
	begin := func() {
		if begun >= maxAttempts {
			return
		}
		select {
		case m.searches.attempts <- struct{}{}:
		default:
			last.err = errHangs
			return
		}
		if _, _, running := m.live(); !running {
			<-m.searches.attempts
			return
		}
		begun++
		go attempt() // a worker would hold up Stop
	}
	over := ctx.Done()
	var hangs <-chan time.Time
	for begin(); ended < begun; {
		select {
		case last = <-results:
			if ended++; last.err == nil {
				return last.addrs, nil
			}
			if ctx.Err() == nil {
				return last.addrs, last.err // discovery has answered
			}
		case <-next.C:
			begin()
		case <-over:
			over, hangs = nil, time.After(searchPatience)
		case <-hangs:
			return nil, errHangs
		}
	}
	return last.addrs, last.err
}

// endAttempts waits for the calls of Discovery, for a second at most, and lets no more begin.
func (m *Membership) endAttempts() {
	limit := time.NewTimer(lifecycle.Grace)
	defer limit.Stop()
	for range cap(m.searches.attempts) {
		select {
		case m.searches.attempts <- struct{}{}:
		case <-limit.C:
			m.log.Warn("left a call of Discovery behind", "error", errHangs)
			return
		}
	}
}

// oneLine returns the text of an error in one line. Semicolons separate the texts of joined
// errors.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// unknown returns those of the given addresses that belong neither to this member nor to a member
// believed alive. A member that is alone tries its announced address too, when it does not listen
// on it. Another member may then have that address.
func (m *Membership) unknown(addrs []netip.AddrPort) []netip.AddrPort {
	others := m.registry.others()
	known := make(map[netip.AddrPort]bool, len(others)+1)
	for _, other := range others {
		known[other.Addr] = true
	}
	if want := m.settings.advertise; len(others) > 0 || !want.IsValid() || want.Addr() == m.settings.bind.Addr() {
		known[m.instance.address()] = true
	}
	var unknown []netip.AddrPort
	for _, addr := range addrs {
		if !known[addr] {
			unknown = append(unknown, addr)
		}
	}
	return unknown
}

// contact exchanges members with an address in the background, and calls done with the result. It
// does nothing when this member is stopping, or when a contact with the same address is under way
// that began less than patience ago.
func (m *Membership) contact(addr netip.AddrPort, done func(error)) {
	if !m.searches.dialing.begin(addr, m.settings.now(), m.settings.timings.patience) {
		return
	}
	gossip, g, running := m.live()
	begun := running && m.background(func() {
		_, err := gossip.Join([]string{addr.String()})
		if one := errors.Unwrap(err); one != nil {
			err = one // memberlist wraps the error in a list, whose text has several lines
		}
		m.searches.dialing.end(addr)
		if refused := g.TakeRefusal(addr); refused != nil {
			err = refused
		}
		switch err = classifyJoinError(err); {
		case err == nil && m.registry.countOthers() == 0:
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
		m.searches.dialing.end(addr)
	}
}

// jitter returns a duration between d/2 and 3d/2, so that members that started together do not
// always act together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) } //nolint:gosec // a time

// searches holds what searches for members have in common.
type searches struct {
	attempts chan struct{} // holds one value for each call of Discovery
	dialing  dialing
	first    atomic.Bool // discovery names this member alone, and always will
}

// dialing holds the addresses that are being dialled.
type dialing struct {
	mu    sync.Mutex
	addrs map[netip.AddrPort]dials
}

// dials counts the dials to one address that have not ended.
type dials struct {
	number int
	last   time.Time // when the latest dial began
}

// begin reports whether an address may be dialled, and counts the dial if it may. The address may
// not be dialled while an earlier dial is under way that began less than patience ago.
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

// refusals keeps the latest error for which this member refused another one.
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
