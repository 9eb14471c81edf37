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
	searchPatience = 250 * time.Millisecond // after which more are dialled: one, then twice as many each time
	maxNamedSeeds  = 5                      // in the message that none was reached
	searchStep     = 64                     // the most that are dialled at a time
)

// search is one look for a cluster. One exchange with a member is enough, so a few addresses are
// dialled at a time. An address that does not answer holds up neither the others nor itself: a
// connection whose first packets were lost hangs for as long as this member waits before it goes
// ahead alone, so the search ends before that, and the next one dials the address again.
type search struct {
	m       *Membership
	addrs   []netip.AddrPort
	untried []netip.AddrPort
	pending map[netip.AddrPort]bool // dialled, and not heard of since
	answers chan searchAnswer
	ended   chan struct{}
	failed  map[netip.AddrPort]string // why an address that was dialled led to no other member
	silent  bool                      // an address did not answer, or not as another member
	refused error                     // by the last one that refused this member
}

var errLedBack = errors.New("the address led back to this member")

type searchAnswer struct {
	addr netip.AddrPort
	err  error
}

// search dials every address that discovery names. It returns when one of them let this member in,
// when all have answered or failed, when the last ones have been silent for a while, or when limited
// ends. In the last case it dials the addresses that are left all at once, and gives them a moment,
// unless ctx has ended too. The result says whether an address was silent, and the refusal if one
// refused this member.
func (m *Membership) search(ctx, limited context.Context) *search {
	addrs, err := m.seeds(limited)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	s := &search{
		m: m, addrs: addrs, untried: addrs, silent: err != nil, pending: make(map[netip.AddrPort]bool), failed: make(map[netip.AddrPort]string),
		answers: make(chan searchAnswer), ended: make(chan struct{}),
	}
	defer close(s.ended)
	s.run(ctx, limited)
	s.report(ctx)
	return s
}

// report says what came of the addresses while this member is alone. A member that has just
// started is not a trouble yet.
func (s *search) report(ctx context.Context) {
	m := s.m
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
	switch {
	case ctx.Err() != nil:
	case len(all) == 0 || len(m.registry.others()) > 0:
		m.troubles.clear(troubleNoSeed, "")
	case m.settings.now().Sub(m.opened) >= min(defaultBootstrapTimeout, m.settings.BootstrapTimeout):
		if number := len(all); number > maxNamedSeeds {
			all = append(all[:maxNamedSeeds], fmt.Sprintf("and %d more", number-maxNamedSeeds))
		}
		m.troubles.set(troubleNoSeed, "", "", strings.Join(all, "; "), 0)
	}
}

func (s *search) run(ctx, limited context.Context) {
	s.dial(searchParallel)
	impatient := time.NewTicker(searchPatience)
	defer impatient.Stop()
	over, step := limited.Done(), 1
	var last <-chan time.Time // when the search has waited for long enough
	for len(s.untried)+len(s.pending) > 0 {
		if last == nil && len(s.untried) == 0 {
			last = time.After(s.m.settings.timings.patience)
		}
		select {
		case <-impatient.C:
			s.dial(step)
			step = min(2*step, searchStep)
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
		if len(s.m.registry.others()) > 0 {
			return
		}
	}
}

// dial dials some of the addresses that are left.
func (s *search) dial(number int) {
	for range min(number, len(s.untried)) {
		addr := s.untried[0]
		s.untried = s.untried[1:]
		s.pending[addr] = true // also where an earlier dial is under way
		s.m.contact(addr, func(err error) {
			select {
			case s.answers <- searchAnswer{addr, err}:
			case <-s.ended:
			}
		})
	}
}

// take takes the answer of an address.
func (s *search) take(a searchAnswer) {
	delete(s.pending, a.addr)
	switch {
	case !isRefusal(a.err) && s.m.isSelf(a.addr):
		return // also where this host cannot reach itself through a router that forwards to it
	case a.err == nil:
		a.err = errLedBack
		s.silent = true
	case isRefusal(a.err):
		s.refused = a.err
	default:
		s.silent = true
	}
	s.failed[a.addr] = oneLine(a.err)
	if ok, _ := s.m.repeats.say(s.failed[a.addr], s.m.settings.now()); ok {
		s.m.log.Info("joining", "address", a.addr, "error", a.err)
	}
}

// isSelf reports whether an address is certainly this member's own. Another address may lead here
// by chance: a load balancer picked this member, and may pick another one next.
func (m *Membership) isSelf(addr netip.AddrPort) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	own := addr.Addr().IsLoopback() || addr.Addr() == m.settings.bind.Addr()
	return addr == m.local || own && addr.Port() == m.local.Port()
}
