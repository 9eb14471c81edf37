package membership

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
	"github.com/clusterkit/clusterkit/membership/internal/tether"
)

// This file drives package tether: it opens streams, sends pings and carries claims, and declares a
// member dead when the machine says so.

const (
	// tetherVersion is the lowest version of the delegate protocol whose members take part in
	// tethers. A member that has switched them off announces probeVersion.
	tetherVersion = 3

	heldTethers   = 3   // tethers that a member holds
	maxTethers    = 64  // tethers that a member serves
	tetherPings   = 3   // pings of one examination
	missedTurns   = 12  // turns without a beat after which a member is examined
	maxDirectNews = 256 // members that are told of a death at once
	silentProbes  = 3   // probe intervals within which gossip must find a silent member dead too
	maxTetherWork = 64  // dials, pings and claims under way at a time
	claimRate     = 8   // claims in a second that are taken from one tether
	claimBurst    = 32
	// leastIncarnation is above all incarnations that members reach by changing what they announce.
	leastIncarnation = 1 << 16
	mostIncarnation  = 1<<30 - 1 // the guards of all members admit it, whatever their clocks
)

// tetherTimes are the times of tethers.
type tetherTimes struct {
	beat, turn, pings, settle, dial time.Duration
}

func (t timings) tethers(p Profile) tetherTimes {
	if p == WAN {
		return tetherTimes{beat: 1500 * time.Millisecond, turn: 600 * time.Millisecond, pings: 1500 * time.Millisecond, settle: 1600 * time.Millisecond, dial: 3 * time.Second}
	}
	return tetherTimes{beat: 500 * time.Millisecond, turn: 200 * time.Millisecond, pings: 300 * time.Millisecond, settle: 333 * time.Millisecond, dial: 700 * time.Millisecond}
}

// tethers holds the streams to and from other members, and the events that the machine has not
// taken yet.
type tethers struct {
	off   bool
	times tetherTimes
	work  chan struct{} // holds one token for each dial, ping or claim under way
	wake  chan struct{}

	mu     sync.Mutex
	queue  []tether.Event
	held   map[string]*tetherEnd // by gossip name
	served map[string]*tetherEnd
	open   int // the number of open tethers, as the machine counts them
	counts tether.Counts
}

// tetherEnd is this member's end of a tether.
type tetherEnd struct {
	session *tether.Session
	conn    net.Conn
	claims  guard.Bucket
}

func newTethers(s settings) tethers {
	return tethers{
		off: s.Gossip.NoTethers, times: s.timings.tethers(s.Gossip.Profile),
		work: make(chan struct{}, maxTetherWork), wake: make(chan struct{}, 1),
		held: make(map[string]*tetherEnd), served: make(map[string]*tetherEnd),
	}
}

// delegateVersion is the version of the delegate protocol that this member announces.
func (t *tethers) delegateVersion() uint8 {
	if t.off {
		return probeVersion
	}
	return tetherVersion
}

// push gives an event to the machine. It never blocks. The queue is bounded by the number of members
// and of streams, because the loop empties it faster than they can change.
func (t *tethers) push(e tether.Event) {
	if t.off {
		return
	}
	t.mu.Lock()
	t.queue = append(t.queue, e)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *tethers) take() []tether.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.queue
	t.queue = nil
	return all
}

// seen records what a start announces. memberlist calls it.
func (t *tethers) seen(n *memberlist.Node, member Member) {
	t.push(tether.Seen{Name: n.Name, Speaks: n.DMax >= tetherVersion, Parting: member.State == Leaving || member.State == Away})
}

// keepTethers runs the machine until the context ends.
func (m *Membership) keepTethers(ctx context.Context) {
	t := &m.tethers
	machine := tether.New(tether.Options{
		Self: m.name, Held: heldTethers, Gone: 2, Silent: 3, Beat: t.times.beat, Turn: t.times.turn, Missed: missedTurns,
		Settle: t.times.settle, Limit: 3 * t.times.dial, Rest: t.times.dial,
	})
	beat, turn := time.NewTicker(t.times.beat), time.NewTicker(t.times.turn)
	defer beat.Stop()
	defer turn.Stop()
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	step := func(e tether.Event) {
		for _, action := range machine.Step(m.settings.now(), e) {
			m.perform(ctx, action)
		}
	}
	for {
		select {
		case <-ctx.Done():
			m.partTethers()
			return
		case <-beat.C:
			m.beat()
		case <-turn.C:
			step(tether.Turn{})
		case <-alarm.C:
			step(tether.Tick{})
		case <-t.wake:
			for _, e := range t.take() {
				if lost, is := e.(tether.Lost); is {
					m.endServed(lost.Name)
				}
				step(e)
			}
		}
		if next := machine.Next(); !next.IsZero() {
			alarm.Reset(max(next.Sub(m.settings.now()), 0))
		}
		counts, open := machine.Counts()
		t.mu.Lock()
		t.counts, t.open = counts, open
		t.mu.Unlock()
	}
}

// perform does what the machine asks for.
func (m *Membership) perform(ctx context.Context, action tether.Action) {
	switch a := action.(type) {
	case tether.Dial:
		if !m.tetherWork(func() { m.dialTether(ctx, a) }) {
			m.tethers.push(tether.Dialed{Name: a.Name, Use: a.Use, Outcome: tether.Unclear})
		}
	case tether.Ping:
		if !m.tetherWork(func() { m.pingTether(a.Name) }) {
			m.tethers.push(tether.Pinged{Name: a.Name, Answered: true})
		}
	case tether.Close:
		m.tethers.mu.Lock()
		end := m.tethers.held[a.Name]
		delete(m.tethers.held, a.Name)
		m.tethers.mu.Unlock()
		if end != nil {
			_ = end.conn.Close()
		}
	case tether.Claim:
		m.tetherWork(func() { m.claim(a) })
	case tether.Suspect:
		m.suspectSilent(a.Name)
	case tether.Declare:
		m.background(func() { m.declareDead(a) })
	}
}

// tetherWork runs f in the background, unless too much is under way.
func (m *Membership) tetherWork(f func()) bool {
	select {
	case m.tethers.work <- struct{}{}:
	default:
		return false
	}
	begun := m.background(func() {
		defer func() { <-m.tethers.work }()
		f()
	})
	if !begun {
		<-m.tethers.work
	}
	return begun
}
