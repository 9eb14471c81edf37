package membership

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
)

// A process without a key can announce any number of members where gossip is in clear. Where gossip
// is encrypted, it can send recorded announcements again. The rules below keep the effect small:
//
//   - The starts of one NodeID, and all starts, are bounded in number.
//   - In clear, a few new starts are believed on their word. They are probed too, and suspected when they
//     do not answer. Of the others, this member believes those that answer a probe.
//   - In clear, a start of a NodeID that this member knows as alive or failed must answer. So no
//     announcement replaces a process, and none takes the name of a process for another address. A
//     failed start that is announced at its address again has refuted its death, and need not answer:
//     this member may be unable to reach it while others do.
//   - With keys, a start that has left is never believed again, and a start that has failed when
//     it answers a probe, also when a later start of its NodeID has run since. As long as memberlist remembers the
//     incarnation that failed, a higher one is a refutation that no recording can forge, and the start need not answer.
//   - With keys, a start must answer that began minutes ago, when this member has joined and does not know it: it may
//     have ended before this member began.
//
// A start that is known is never refused because of these rules. Another exchange of members brings
// the starts that were refused before they answered.

const (
	// maxStarts bounds the starts of one NodeID that are believed alive at a time. A process that
	// crashes again and again has a few: each start counts until its failure is noticed.
	maxStarts = 64
	// maxMembers bounds the starts of all NodeIDs that are believed alive at a time. With the members
	// that are away, and this one, they are fewer than the 65,535 nodes that a ring can have.
	maxMembers = 1<<16 - 2 - maxAbsences
	// In clear, newMembersBurst new starts at once, and newMembers in a further second, are believed
	// on their word. A member that joins believes what the members that it has dialled say.
	newMembers, newMembersBurst = 2, 32
	// provenMembers and provenMembersBurst bound in the same way the starts that answer probes.
	provenMembers, provenMembersBurst = 64, 1024

	// believedTries is how many pings a start that is believed on its word can leave unanswered before it
	// is suspected: half of all packets may be lost.
	believedTries = 4

	maxProbes  = 1024        // probes of new starts at a time
	maxAsked   = 64          // further probes, of starts that have asked whether they are reached
	maxRefused = 1024        // starts that are remembered because they were not probed
	maxProven  = 4096        // starts whose answers are remembered
	provenFor  = time.Minute // how long an answer is remembered
	fetchPause = 500 * time.Millisecond
	// freshStart is how old a start may be that is believed on its word with keys.
	freshStart = 2 * time.Minute
	// forgedMemory is how long health reports an announcement that nothing stands behind.
	forgedMemory = 10 * time.Minute

	maxOver     = 8192 // starts that have left and are remembered, and as many that have failed
	overMemory  = 24 * time.Hour
	overExpired = time.Minute // how often old ones are deleted
)

var (
	errManyStarts = fmt.Errorf("membership: over %d starts of one NodeID are alive", maxStarts)
	errManyNew    = errors.New("membership: too many new members at a time")
	errUnproven   = errors.New("membership: a new member has not answered yet")
	errOver       = errors.New("membership: a start that has left cannot come back")
)

// newcomers decides about starts that this member does not know.
type newcomers struct {
	encrypted bool
	joined    atomic.Bool // Start has ended
	believed  guard.Bucket
	answered  guard.Bucket

	mu       sync.Mutex
	proven   map[proof]time.Time // when starts answered
	awaited  []string            // gossip names of starts that have answered since the last exchange
	probed   map[proof]bool      // starts that are being probed
	refused  map[string]newcomer // starts that were refused and not probed, by gossip name
	asked    map[uint64]question // by challenge
	fetching bool                // an exchange of members will follow
	over     endings             // starts that have left
	failed   endings             // starts that have failed
}

// endings holds when starts have ended, by gossip name. It forgets the oldest ones.
type endings struct {
	at      map[string]time.Time
	cleared time.Time // when old ones were last deleted
}

func (e *endings) add(name string, now time.Time) {
	if now.Sub(e.cleared) >= overExpired || len(e.at) >= maxOver {
		e.cleared = now
		forgetBefore(e.at, now.Add(-overMemory), maxOver-1)
	}
	if e.at == nil {
		e.at = make(map[string]time.Time)
	}
	e.at[name] = now
}

func newNewcomers(encrypted bool) *newcomers {
	return &newcomers{
		encrypted: encrypted,
		believed:  guard.Bucket{Rate: newMembers, Burst: newMembersBurst},
		answered:  guard.Bucket{Rate: provenMembers, Burst: provenMembersBurst},
		proven:    make(map[proof]time.Time), probed: make(map[proof]bool),
		refused: make(map[string]newcomer), asked: make(map[uint64]question),
	}
}

// admitStart returns an error when a start must not be believed now. challenge says that it answers
// questions with a challenge. memberlist calls it.
func (m *Membership) admitStart(name string, member Member, challenge bool) error {
	starts, total, known, failed := m.registry.startsOf(name, member, m.settings.timings.gossipToDead)
	claims := starts > 0 || failed == failedOther || failed == failedElsewhere
	n, now := m.newcomers, m.settings.now()
	over, ended := n.ended(name)
	switch {
	case over:
		return errOver
	case known:
		return nil
	case starts >= maxStarts:
		return errManyStarts
	case total >= maxMembers:
		return errManyNew
	case n.encrypted && (failed < failedSame && !ended && !n.isOld(member, now) || failed == failedLately), !n.encrypted && !n.joined.Load():
		return nil
	case !n.encrypted && !claims && n.believed.Take(1, now):
		m.registry.believe(name)
		m.probe(newcomer{name: name, addr: member.Addr, believed: true}, maxProbes)
		return nil
	case !n.isProven(name, member.Addr, now):
		m.probe(newcomer{name: name, addr: member.Addr, challenge: challenge, claims: starts > 0 && !m.registry.hasLater(member)}, maxProbes)
		return errUnproven
	case !n.encrypted && !n.answered.Take(1, now):
		return errManyNew
	}
	return nil
}

// isOld reports whether a start began so long ago that this member should have heard of it before, unless this
// member is still joining. It may have been recorded.
func (n *newcomers) isOld(m Member, now time.Time) bool {
	return n.joined.Load() && now.UnixMilli()-int64(min(m.Start.Number, maxClock)) > freshStart.Milliseconds()
}

// ended reports whether a start has left, and whether it has failed.
func (n *newcomers) ended(name string) (left, failed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, left = n.over.at[name]
	_, failed = n.failed.at[name]
	return left, failed
}

// leave records that a start has left. memberlist cannot start again under its name.
func (n *newcomers) leave(name string, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.over.add(name, now)
}

// fail records that a start has ended. One that has not left has failed. It matters with keys alone.
func (n *newcomers) fail(name string, now time.Time) {
	if !n.encrypted {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, left := n.over.at[name]; !left {
		n.failed.add(name, now)
	}
}

// isProven reports whether a start has answered at an address lately.
func (n *newcomers) isProven(name string, addr netip.AddrPort, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	at, found := n.proven[proof{name, addr}]
	return found && now.Sub(at) < provenFor
}

// proof says which start has answered, and at which address.
type proof struct {
	name string
	addr netip.AddrPort
}

// forgetBefore deletes the entries that are older than a time, and the oldest ones beyond a number.
func forgetBefore[K comparable](all map[K]time.Time, before time.Time, most int) {
	var oldest, none K
	for key, at := range all {
		if at.Before(before) {
			delete(all, key)
		} else if oldest == none || at.Before(all[oldest]) {
			oldest = key
		}
	}
	if len(all) > most {
		delete(all, oldest)
	}
}

// failedStart says which start of a NodeID has failed.
type failedStart uint8

const (
	failedNone      failedStart = iota // none that is remembered
	failedOther                        // another start than the announced one
	failedSame                         // the announced start
	failedLately                       // the announced start, and memberlist still remembers the incarnation that failed
	failedElsewhere                    // the announced start, at another address
)

// startsOf returns the number of starts of a member's NodeID that are believed alive, and the
// number of all starts. It reports whether the named start is among them, and which start of the
// NodeID has failed. memberlist remembers a start that failed for the given time at least.
func (r *registry) startsOf(name string, m Member, remembered time.Duration) (starts, total int, known bool, failed failedStart) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known = r.alive[name]
	if gone := r.departed[m.ID]; gone.failed {
		switch {
		case gone.member.Start.Nonce != m.Start.Nonce:
			failed = failedOther
		case gone.member.Addr != m.Addr:
			failed = failedElsewhere
		case r.now().Sub(gone.at) < remembered:
			failed = failedLately
		default:
			failed = failedSame
		}
	}
	return len(r.names[m.ID]), len(r.alive), known, failed
}

// hasLater reports whether a later start of a member's NodeID is believed alive. Old news of a start that
// has left may arrive after the next one.
func (r *registry) hasLater(m Member) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.names[m.ID], func(name string) bool { return r.alive[name].Start.Compare(m.Start) > 0 })
}

// newcomer is a start that was not known before.
type newcomer struct {
	name      string
	addr      netip.AddrPort
	challenge bool // the start answers questions with a challenge
	claims    bool // earlier starts of the NodeID are alive, and no later one
	believed  bool // the start is believed without proof
}

// probe asks a start, in the background, whether it runs. When too many are being probed, probe only
// remembers the start. memberlist may hold its lock during the call.
func (m *Membership) probe(c newcomer, most int) {
	n := m.newcomers
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.probed[proof{c.name, c.addr}]:
	case len(n.probed) < most && m.background(func() { m.prove(c) }):
		n.probed[proof{c.name, c.addr}] = true
		delete(n.refused, c.name)
	case c.believed: // memberlist probes it in its turn
	default:
		if len(n.refused) >= maxRefused {
			for some := range n.refused {
				delete(n.refused, some)
				break
			}
		}
		n.refused[c.name] = c
	}
}

// probeAsker probes a start that has asked whether this member reaches it, and that was refused
// because too many others are new. So a start that joins has a better chance than one that is only
// announced.
func (m *Membership) probeAsker(name string) {
	n := m.newcomers
	n.mu.Lock()
	c, found := n.refused[name]
	n.mu.Unlock()
	if found {
		m.probe(c, maxProbes+maxAsked)
	}
}

// prove probes a start. A start that is believed on its word and does not answer is suspected. From one
// that was refused, and answers, prove fetches its list of members, unless the announcement comes again
// before. One exchange brings several starts.
func (m *Membership) prove(c newcomer) {
	n := m.newcomers
	answers := m.answersProbe(c)
	m.registry.proved(c.name, answers)
	n.mu.Lock()
	delete(n.probed, proof{c.name, c.addr})
	if c.believed || !answers {
		n.mu.Unlock()
		switch {
		case answers || m.life.Ending().Err() != nil:
		case c.believed:
			m.suspectSilent(c.name)
		case c.claims:
			m.forged(c)
		}
		return
	}
	now := m.settings.now()
	if len(n.proven) >= maxProven {
		forgetBefore(n.proven, now.Add(-provenFor), maxProven-1)
	}
	n.proven[proof{c.name, c.addr}] = now
	n.awaited = append(n.awaited, c.name)
	fetch := !n.fetching
	n.fetching = true
	n.mu.Unlock()
	if !fetch {
		return
	}
	pause := time.NewTimer(fetchPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-m.life.Ending().Done():
	}
	n.mu.Lock()
	awaited := n.awaited
	n.fetching, n.awaited = false, nil
	n.mu.Unlock()
	if m.registry.lacks(awaited) {
		m.contact(c.addr, func(error) {})
	}
}

// lacks reports whether any of these starts is not believed alive.
func (r *registry) lacks(names []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		if _, alive := r.alive[name]; !alive {
			return true
		}
	}
	return false
}

// forged reports an announcement that would have replaced a living process, from an address where
// none answers. It has no subject: a stranger can name any number of addresses.
func (m *Membership) forged(c newcomer) {
	id, _, _ := splitName(c.name)
	if _, alive := m.registry.named(c.name); !alive {
		m.troubles.set(troubleForged, "", "", fmt.Sprintf("a later process of NodeID %q was announced at %v, and none answers there: it may have ended at once", id, c.addr), forgedMemory)
	}
}

// answersProbe reports whether a start answers.
func (m *Membership) answersProbe(c newcomer) bool {
	gossip, _, running := m.live()
	if !running {
		return false
	}
	if m.newcomers.encrypted && c.challenge {
		return m.answersChallenge(gossip, c.name, c.addr)
	}
	tries := 1
	if c.believed {
		tries = believedTries
	}
	for range tries {
		if _, err := gossip.Ping(c.name, net.UDPAddrFromAddrPort(c.addr)); err == nil {
			return true
		}
	}
	return false
}
