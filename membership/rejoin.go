package membership

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

const (
	rejoinSample = 3           // seeds to try in one round
	lostTick     = time.Second // the time between two calls of dueLost; each leads to at most one dial of a lost member
	lostShare    = 16          // a lost member is dialled when it has been gone for a sixteenth longer than at the last dial
	maxLostWait  = time.Hour   // the longest time between two dials of one lost member
	oldLostWait  = 10 * time.Minute
	// refusalMemory is how long this member reports a refusal of a member that is believed alive.
	refusalMemory = 10 * time.Second
	// configurationMemory is how long this member reports that a lost member tried to come back
	// with an incompatible configuration.
	configurationMemory = 5 * time.Minute
)

// keepJoining looks for missing members until the context ends. It dials seeds, and members that
// were lost. A member that is alone dials all seeds. After a network partition in which both sides
// declared each other dead, these dials bring the sides together again.
func (m *Membership) keepJoining(ctx context.Context) {
	round := time.NewTimer(jitter(m.settings.timings.rejoinInterval))
	defer round.Stop()
	lost := time.NewTicker(lostTick)
	defer lost.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case addr := <-m.undecryptable.senders:
			m.checkSuspect(addr)
		case <-lost.C:
			m.registry.forgetOld(m.settings.Gossip.ForgetAfter)
			m.dropRefusals()
			m.watchFlaps()
			m.recall()
			if member, due := m.registry.dueLost(m.settings.timings.rejoinInterval); due {
				m.seek(member)
			}
		case <-round.C:
			m.seekSeeds(ctx)
			round.Reset(jitter(m.settings.timings.rejoinInterval))
		}
	}
}

// seekSeeds dials some of the seeds that are not members, or all of them when this member is
// alone.
func (m *Membership) seekSeeds(ctx context.Context) {
	if m.registry.countOthers() == 0 {
		m.search(ctx, ctx)
		return
	}
	m.troubles.clear(troubleNoSeed, "")
	seeds, _ := m.seeds(ctx) // seeds has recorded the error as a trouble
	// A refusal counts until the next time that the address is dialled.
	lasts := 3 * m.settings.timings.rejoinInterval * time.Duration(1+len(seeds)/rejoinSample)
	for _, addr := range pick(seeds, rejoinSample) {
		m.approach(addr, addr.String(), lasts)
	}
}

// seek dials a lost member, unless a member believed alive has the same address.
func (m *Membership) seek(lost Member) {
	if len(m.unknown([]netip.AddrPort{lost.Addr})) > 0 {
		m.approach(lost.Addr, lost.ID, 2*maxLostWait)
	}
}

// checkSuspect dials a member that seems to send packets which this member cannot decrypt. The
// result of the dial shows the cause. The packets alone prove nothing: any process can send them.
func (m *Membership) checkSuspect(addr netip.AddrPort) {
	member, known := m.registry.at(addr)
	if !known {
		return
	}
	if ok, _ := m.undecryptable.dialled.say(addr.String(), m.settings.now()); ok {
		m.approach(addr, member.ID, 2*refusalMemory)
	}
}

// approach dials an address. When the member there and this member refuse each other, approach
// records the refusal as a trouble.
func (m *Membership) approach(addr netip.AddrPort, subject string, lasts time.Duration) {
	m.contact(addr, func(err error) {
		if !isRefusal(err) {
			m.troubles.clear(troubleRefused, subject)
			if err != nil {
				m.log.Debug("cannot join through an address", "address", addr, "error", err)
			}
			return
		}
		m.troubles.set(troubleRefused, subject, refusalReason(err), refusalText(addr, subject, err), lasts)
	})
}

// refusalReason returns a text that is the same for all refusals with one cause.
func refusalReason(err error) string {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused.Reason.Error() + refused.Detail
	}
	return err.Error()
}

// refusalText returns a text that names the other side and the cause, and the cure when a key is
// the cause.
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

// dropRefusals ends the refusals of members that are alive, when the last report is older than
// refusalMemory.
func (m *Membership) dropRefusals() {
	for _, id := range m.troubles.older(troubleRefused, refusalMemory) {
		if _, alive := m.registry.reachable(id); alive {
			m.troubles.clear(troubleRefused, id)
		}
	}
}

// lostWait returns the time between two dials of a lost member.
func lostWait(gone, least time.Duration) time.Duration {
	return min(max(gone/lostShare, least), maxLostWait)
}

// dueLost returns the lost member whose dial has been due for longest, and plans its next dial.
// The wait between two dials of a member grows up to maxLostWait. All members that have reached
// that wait share a limit of one dial in oldLostWait. That is enough after a partition: one member
// that answers brings back all members on its side.
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
	// leftMemory is how long the record of a member that left is kept, to tell its return from the
	// join of a new member.
	leftMemory = time.Hour
	// maxLeftTold bounds how many records of members that left are kept for longer: those of the
	// latest leaves. Exchanges of members carry them to members that may have missed the leave.
	maxLeftTold = 64
)

// forgetOld deletes the records of members that have been gone for longer than a limit. The limit
// is after. For members that left it is leftMemory, except for the maxLeftTold latest ones.
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

// lastLeft returns the maxLeftTold members that left last, by NodeID. The caller holds the lock.
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

// absolve changes the record of a start from failed to left, because another member knows that the
// start left. The start keeps no place any more. absolve reports whether the start was recorded as failed. The
// caller holds the lock.
func (r *registry) absolve(id string, nonce uint64) bool {
	d, gone := r.departed[id]
	if !gone || !d.failed || d.member.Start.Nonce != nonce {
		return false
	}
	r.forget(d)
	d.failed = false
	r.remember(d)
	if r.kept(id, nonce) {
		delete(r.absences, id)
	}
	return true
}

// forgetLost changes the record of a lost member from failed to left. It reports whether the
// member was lost.
func (r *registry) forgetLost(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	nonce := r.departed[id].member.Start.Nonce
	before, was := r.winner(id)
	lost := r.absolve(id, nonce)
	after, is := r.winner(id)
	r.changed(gossipName(id, nonce), before, was, after, is)
	return lost
}

// lostMembers returns the records of the members that were lost and are not back.
func (r *registry) lostMembers() []departure {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := make([]departure, 0, r.lost)
	for _, d := range r.departed {
		if d.failed {
			lost = append(lost, d)
		}
	}
	return lost
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
