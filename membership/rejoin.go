package membership

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

const (
	rejoinSample = 3           // seeds to try in one round
	lostTick     = time.Second // between looks at what is due; at most one lost member is dialled in each
	lostShare    = 16          // a lost member is dialled when it has been gone for a sixteenth longer than at the last dial
	maxLostWait  = time.Hour   // between dials of one lost member
	oldLostWait  = 10 * time.Minute
	// refusalMemory is how long a refusal of a member that is believed alive counts.
	refusalMemory = 10 * time.Second
	// configurationMemory is how long the configuration of a lost member counts with which it tried
	// to come back.
	configurationMemory = 5 * time.Minute
)

// keepJoining looks for members that are missing until the context ends: the seeds, and the
// members that were lost. A member that is alone searches all seeds. After a partition that lasted
// until both sides forgot each other, this is what brings them together again.
func (m *Membership) keepJoining(ctx context.Context) {
	round := time.NewTimer(jitter(m.settings.timings.rejoinInterval))
	defer round.Stop()
	lost := time.NewTicker(lostTick)
	defer lost.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case addr := <-m.suspects:
			m.checkSuspect(addr)
		case <-lost.C:
			m.registry.forgetOld(m.settings.Gossip.ForgetAfter)
			m.forgiveRefusals()
			m.watchFlaps()
			if member, due := m.registry.dueLost(m.settings.timings.rejoinInterval); due {
				m.seek(member)
			}
		case <-round.C:
			m.seekSeeds(ctx)
			round.Reset(jitter(m.settings.timings.rejoinInterval))
		}
	}
}

// seekSeeds dials some seeds that are no members, or all of them where this member is alone.
func (m *Membership) seekSeeds(ctx context.Context) {
	if len(m.registry.others()) == 0 {
		m.search(ctx, ctx)
		return
	}
	m.troubles.clear(troubleNoSeed, "")
	seeds, _ := m.seeds(ctx) // its error is a trouble
	rand.Shuffle(len(seeds), func(i, j int) { seeds[i], seeds[j] = seeds[j], seeds[i] })
	// A refusal counts until the next time that the address is dialled.
	lasts := 3 * m.settings.timings.rejoinInterval * time.Duration(1+len(seeds)/rejoinSample)
	for _, addr := range seeds[:min(len(seeds), rejoinSample)] {
		m.approach(addr, addr.String(), lasts)
	}
}

// seek dials a lost member, unless another member has its address now.
func (m *Membership) seek(lost Member) {
	if len(m.unknown([]netip.AddrPort{lost.Addr})) > 0 {
		m.approach(lost.Addr, lost.ID, 2*maxLostWait)
	}
}

// checkSuspect dials a member that sends packets which this member cannot decrypt. What it answers
// says why. The packets alone prove nothing: any process can send them.
func (m *Membership) checkSuspect(addr netip.AddrPort) {
	member, known := m.registry.at(addr)
	if !known {
		return
	}
	if ok, _ := m.suspected.say(addr.String(), m.settings.now()); ok {
		m.approach(addr, member.ID, 2*refusalMemory)
	}
}

// approach dials an address, and keeps what it says when it and this member refuse each other.
func (m *Membership) approach(addr netip.AddrPort, subject string, lasts time.Duration) {
	m.contact(addr, func(err error) {
		if !isRefusal(err) {
			m.troubles.clear(troubleRefused, subject)
			if err != nil {
				m.log.Debug("joining", "address", addr, "error", err)
			}
			return
		}
		m.troubles.set(troubleRefused, subject, refusalReason(err), refusalText(addr, subject, err), lasts)
	})
}

// refusalReason is what a refusal has in common with the next one for the same cause.
func refusalReason(err error) string {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused.Reason.Error() + refused.Detail
	}
	return err.Error()
}

// refusalText names both sides, and the cause.
func refusalText(addr netip.AddrPort, subject string, err error) string {
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok {
		return err.Error() // a ConfigurationError, which names the other side
	}
	where := addr.String()
	if subject != where {
		where = fmt.Sprintf("%s at %s", subject, where)
	}
	cure := ""
	if errors.Is(refused, ErrGossipKey) {
		cure = ": give both sides a key in common, with Gossip.Keys or Cluster.Keys"
	}
	return fmt.Sprintf("%s: %v: %s%s", where, refused.Reason, refused.Detail, cure)
}

// forgiveRefusals ends the refusals of members that are here again.
func (m *Membership) forgiveRefusals() {
	for _, id := range m.troubles.older(troubleRefused, refusalMemory) {
		if _, alive := m.registry.reachable(id); alive {
			m.troubles.clear(troubleRefused, id)
		}
	}
}

// lostWait is how long after one dial of a lost member the next one follows.
func lostWait(gone, least time.Duration) time.Duration {
	return min(max(gone/lostShare, least), maxLostWait)
}

// dueLost returns the lost member whose dial has been due for longest, and plans its next one. The
// members that have been gone for so long that each of them would be dialled once in maxLostWait
// share one dial in oldLostWait: one that answers brings all of its side back.
func (r *registry) dueLost(least time.Duration) (due Member, found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.lost == 0 || now.Before(r.nextLost) {
		return Member{}, false
	}
	first, at := "", time.Time{}
	for id, d := range r.departed {
		if !d.failed {
			continue
		}
		next := d.next
		if lostWait(now.Sub(d.at), least) == maxLostWait && next.Before(r.nextOld) {
			next = r.nextOld
		}
		if first == "" || next.Before(at) || next.Equal(at) && d.next.Before(r.departed[first].next) {
			first, at = id, next
		}
	}
	if now.Before(at) {
		r.nextLost = at
		return Member{}, false
	}
	d := r.departed[first]
	wait := lostWait(now.Sub(d.at), least)
	if wait == maxLostWait {
		r.nextOld = now.Add(oldLostWait)
	}
	d.next = now.Add(jitter(wait))
	r.departed[first] = d
	return d.member, true
}

const (
	// leftMemory is how long a member that left is remembered, to tell its return from a first
	// visit.
	leftMemory = time.Hour
	// maxLeftTold is how many of the members that left are remembered for longer, and told to
	// members that may have missed it: the last ones.
	maxLeftTold = 64
)

// forgetOld forgets the members that have been gone for long.
func (r *registry) forgetOld(after time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if now.Before(r.nextForget) {
		return
	}
	r.nextForget = now.Add(time.Minute)
	told := r.lastLeft()
	for id, d := range r.departed {
		gone := now.Sub(d.at)
		_, tell := told[id]
		if gone >= after || !d.failed && !tell && gone >= leftMemory {
			r.forget(d)
		}
	}
}

// lastLeft returns the members that left last. The lock is held.
func (r *registry) lastLeft() map[string]departure {
	var left []departure
	for _, d := range r.departed {
		if !d.failed {
			left = append(left, d)
		}
	}
	slices.SortFunc(left, func(a, b departure) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.member.ID, b.member.ID)) })
	last := make(map[string]departure, maxLeftTold)
	for _, d := range left[:min(len(left), maxLeftTold)] {
		last[d.member.ID] = d
	}
	return last
}

// absolve makes a start that was lost here one that left, because another member knows that it did.
// The lock is held. It reports whether the start was lost here.
func (r *registry) absolve(id string, nonce uint64) bool {
	d, gone := r.departed[id]
	if !gone || !d.failed || d.member.Start.Nonce != nonce {
		return false
	}
	r.forget(d)
	d.failed = false
	r.remember(d)
	return true
}

// forgetLost makes a member that was lost one that left. It reports whether there was one.
func (r *registry) forgetLost(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.absolve(id, r.departed[id].member.Start.Nonce)
}

// isLost reports whether a member was lost and is not back.
func (r *registry) isLost(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.departed[id].failed
}

// at returns the member at an address: one that is believed alive, or else one that was lost.
func (r *registry) at(addr netip.AddrPort) (found Member, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, m := range r.alive {
		if m.Addr == addr && name != r.self {
			return m, true
		}
	}
	for _, d := range r.departed {
		if d.failed && d.member.Addr == addr {
			return d.member, true
		}
	}
	return Member{}, false
}
