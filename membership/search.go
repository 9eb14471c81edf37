package membership

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	searchParallel = 3                      // addresses that are dialled first
	searchPatience = 250 * time.Millisecond // the time until more addresses are dialled: one, then twice as many each time
	maxNamedSeeds  = 5                      // seeds named in the message that no seed was reached
	searchStep     = 64                     // the largest number of addresses dialled in one step
	searchAgain    = 100 * time.Millisecond // the time between two dials of addresses that led back to this member
)

// search is one attempt to find a cluster. One exchange with a member is enough, so a search dials
// few addresses at a time. An address that does not answer does not delay the other addresses. A
// connection whose first packets were lost fails too late: this member then goes ahead alone
// before it can dial again. A search therefore ends earlier, and the next search dials the address
// again.
type search struct {
	m       *Membership
	addrs   []netip.AddrPort
	untried []netip.AddrPort
	pending map[netip.AddrPort]bool // addresses that are dialled and have not answered
	back    []netip.AddrPort        // addresses that led back to this member, to be dialled again
	memory  []netip.AddrPort        // the addresses of addrs that only the file of known addresses has
	answers chan searchAnswer
	ended   chan struct{}
	failed  map[netip.AddrPort]string // why an address that was dialled led to no other member
	silent  bool                      // discovery failed, or an address did not lead to another member
	refused error                     // the latest refusal of this member
}

var errLedBack = errors.New("the address led back to this member")

type searchAnswer struct {
	addr netip.AddrPort
	err  error
}

// search dials every address that discovery or the file of known addresses names. It returns when
// the first of these events happens:
//
//   - One address let this member in.
//   - All addresses have answered or failed.
//   - All addresses have been dialled, and the remaining ones have been silent for a while. Until
//     then addresses that led back to this member are dialled again: behind a load balancer the
//     next dial may lead to another member.
//   - limited ends. search then dials all remaining addresses at once and waits for a moment,
//     unless ctx has ended too.
//
// The result says whether an address was silent. It holds the refusal if an address refused this
// member.
func (m *Membership) search(ctx, limited context.Context) *search {
	addrs, err := m.seeds(limited)
	memory := slices.DeleteFunc(m.remembered(), func(addr netip.AddrPort) bool { return slices.Contains(addrs, addr) })
	addrs = append(addrs, memory...)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] }) //nolint:gosec // an order
	s := &search{
		m: m, addrs: addrs, untried: addrs, silent: err != nil, pending: make(map[netip.AddrPort]bool), failed: make(map[netip.AddrPort]string),
		memory: memory, answers: make(chan searchAnswer), ended: make(chan struct{}),
	}
	defer close(s.ended)
	m.searches.first.Store(err == nil && isFixed(m.settings.Discovery) && !slices.ContainsFunc(addrs, func(addr netip.AddrPort) bool { return !m.isSelf(addr) }))
	s.run(ctx, limited)
	s.report(ctx)
	return s
}

// report records as a trouble why no address led to another member, while this member is alone. It
// records nothing when this member has only just started.
func (s *search) report(ctx context.Context) {
	m, all := s.m, s.failures()
	switch {
	case ctx.Err() != nil:
	case all == "" || m.registry.countOthers() > 0:
		m.troubles.clear(troubleNoSeed, "")
	case m.settings.now().Sub(m.instance.opened) >= min(defaultBootstrapTimeout, m.settings.BootstrapTimeout):
		m.troubles.set(troubleNoSeed, "", "", all, 0)
	}
}

// unfinished returns the error of a context that ended before any address led to another member.
func (s *search) unfinished(ctx context.Context) error {
	if all := s.failures(); all != "" {
		return fmt.Errorf("%w: no address to join through has led to another member: %s", context.Cause(ctx), all)
	}
	return context.Cause(ctx)
}

// failures returns why addresses led to no other member, of a few addresses with the number of the
// others.
func (s *search) failures() string {
	var all []string
	slices.SortFunc(s.addrs, netip.AddrPort.Compare)
	for _, addr := range s.addrs {
		why, failed := s.failed[addr]
		switch {
		case failed:
			why = strings.TrimPrefix(why, fmt.Sprintf("failed to join %v: ", addr))
			all = append(all, fmt.Sprintf("%v: %s", addr, why))
		case s.pending[addr]:
			all = append(all, fmt.Sprintf("%v: no answer", addr))
		}
	}
	if number := len(all); number > maxNamedSeeds {
		all = append(all[:maxNamedSeeds], fmt.Sprintf("and %d more", number-maxNamedSeeds))
	}
	return strings.Join(all, "; ")
}

func (s *search) run(ctx, limited context.Context) {
	s.dial(searchParallel)
	impatient, again := time.NewTicker(searchPatience), time.NewTicker(searchAgain)
	defer impatient.Stop()
	defer again.Stop()
	over, step := limited.Done(), 1
	var last <-chan time.Time // when the search has waited for long enough
	for len(s.untried)+len(s.pending)+len(s.back) > 0 {
		if last == nil && len(s.untried) == 0 {
			last = time.After(s.m.settings.timings.patience)
		}
		select {
		case <-impatient.C:
			s.dial(step)
			step = min(2*step, searchStep)
		case <-again.C:
			addrs := s.back
			s.back = nil
			s.contact(addrs...)
		case a := <-s.answers:
			s.take(a)
			s.dial(1)
		case <-over:
			if ctx.Err() != nil || len(s.untried) == 0 {
				s.silent = true
				return
			}
			s.dial(len(s.untried))
			over, last = ctx.Done(), time.After(searchPatience)
		case <-last:
			s.silent = true
			return
		}
		if s.m.registry.countOthers() > 0 {
			return
		}
	}
}

// dial dials up to number addresses that were not dialled yet.
func (s *search) dial(number int) {
	number = min(number, len(s.untried))
	addrs := s.untried[:number]
	s.untried = s.untried[number:]
	s.contact(addrs...)
}

func (s *search) contact(addrs ...netip.AddrPort) {
	for _, addr := range addrs {
		s.pending[addr] = true // also when an earlier search still dials the address
		s.m.contact(addr, func(err error) {
			select {
			case s.answers <- searchAnswer{addr, err}:
			case <-s.ended:
			}
		})
	}
}

// take processes the answer of an address.
func (s *search) take(a searchAnswer) {
	delete(s.pending, a.addr)
	switch {
	case isRefusal(a.err) && slices.Contains(s.memory, a.addr):
		// The address may have passed to another process since it was written down. So its refusal
		// is no reason not to start.
		if s.silent = true; errors.Is(a.err, ErrClusterName) {
			s.m.unlearn(a.addr)
		}
	case !isRefusal(a.err) && s.m.isSelf(a.addr):
		return // also when the dial failed: a router may not forward a packet back to its sender
	case a.err == nil:
		a.err = errLedBack
		s.silent, s.back = true, append(s.back, a.addr)
	case isRefusal(a.err):
		s.refused = a.err
	default:
		s.silent = true
	}
	s.failed[a.addr] = oneLine(a.err)
	if ok, _ := s.m.lines.repeats.say(s.failed[a.addr], s.m.settings.now()); ok {
		s.m.log.Info("cannot join through an address", "address", a.addr, "error", a.err)
	}
}

// isSelf reports whether an address is certainly this member's own. Another address may lead to
// this member by chance: a load balancer may pick another member for the next dial.
func (m *Membership) isSelf(addr netip.AddrPort) bool {
	local, bind := m.instance.address(), m.settings.bind.Addr()
	own := addr.Addr() == bind || addr.Addr().IsLoopback() && !bind.IsLoopback() // members on loopback may have an address each
	return addr == local || own && addr.Port() == local.Port()
}

// awaitReach waits until it is known whether other members reach this one, and returns an error
// when none does.
func (m *Membership) awaitReach(ctx context.Context) error {
	for {
		changed := m.reach.changed.Wait()
		if known, err := m.reach.state(); known || m.registry.countOthers() == 0 {
			if err != nil {
				return fmt.Errorf("membership: %w", err)
			}
			return nil
		}
		select {
		case <-changed:
		case <-time.After(m.settings.timings.patience):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
