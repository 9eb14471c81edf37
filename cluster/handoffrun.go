package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// handoffRun gives a core its clock, its messages and the user's code. Its lock is
// never held while any of these is waited for.
type handoffRun struct {
	c       *Cluster
	user    Handoff
	options HandoffOptions
	nonce   uint64 // of this start
	gates   []gate
	changed broadcast // something is ready, handed over or let go

	life  context.Context // of messages and jobs
	end   context.CancelFunc
	tasks sync.WaitGroup

	mu      sync.Mutex
	core    *core
	stands  map[int]byte // how each partition stands, for counting
	counts  [4]int
	cancels map[uint64]context.CancelFunc
	sending map[process]int
	timer   *time.Timer
	due     time.Time
	closed  bool
	failed  uint64
	told    handoffTold
}

// How a partition stands.
const (
	standsStill = iota
	standsReceiving
	standsReleasing
	standsSharing
)

// maxHandoffSends is how many messages to one process may be on their way; what
// exceeds it is asked again later.
const maxHandoffSends = 3

func newHandoffRun(c *Cluster, o HandoffOptions) *handoffRun {
	// Polling needs to be quick where news is, and cheap where somebody does
	// not answer.
	pace := handoffPace{gather: 20 * time.Millisecond, again: 250 * time.Millisecond, rarely: 5 * time.Second, patience: 2 * time.Second,
		retry: o.RetryAfter}
	h := &handoffRun{
		c: c, user: c.settings.Handoff, options: o, gates: make([]gate, c.settings.PartitionCount),
		stands: make(map[int]byte), cancels: make(map[uint64]context.CancelFunc), sending: make(map[process]int),
	}
	self := c.members.Local()
	h.core = newCore(process{self.ID, view.Origin(self)}, o.WriteQuorum, o.Parallel, pace)
	h.nonce = self.Start.Nonce
	h.life, h.end = context.WithCancel(context.Background())
	return h
}

// listen takes messages until the cluster stops.
func (h *handoffRun) listen() {
	h.tasks.Go(func() {
		for {
			select {
			case <-h.life.Done():
				return
			case msg := <-h.c.members.Messages():
				m, err := parseHandoff(msg.Payload, len(h.gates))
				if err != nil {
					h.c.settings.Logger.Debug("ignoring a message", "from", msg.From, "error", err)
					continue
				}
				from, known := h.c.view.Load().Member(msg.From)
				if !known || from.Start.Nonce != msg.Start {
					continue // it will ask again
				}
				h.drive(func(now time.Time) { h.core.hear(process{from.ID, view.Origin(from)}, m, now) })
			}
		}
	})
}

// resume takes up what an earlier start left, and notes that this one begins.
func (h *handoffRun) resume(ctx context.Context) error {
	journal := h.c.settings.journal
	if journal == nil {
		return nil
	}
	if err := journal.begin(ctx, h.options.Journal, h.nonce); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.core.restore(journal)
	journal.records = nil
	return nil
}

// close ends everything. It waits for the user's code.
func (h *handoffRun) close() {
	h.mu.Lock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	h.mu.Unlock()
	h.end()
	h.tasks.Wait()
}

// view tells the core of a view.
func (h *handoffRun) view(v *published, state membership.State) {
	starts := make(map[string]uint64, len(v.Members))
	ours := false
	for _, m := range v.Members {
		starts[m.ID] = view.Origin(m)
		ours = ours || m.ID == h.core.self.id && m.Start.Nonce == h.nonce
	}
	h.drive(func(now time.Time) {
		if !ours {
			h.core.paused = true // another process speaks for us
			return
		}
		h.core.view(handoffView{ring: v.Ring, starts: starts, draining: state == membership.Draining, leaving: state == membership.Leaving}, func(p int, token ring.Token) bool {
			return h.gates[p].fence(token, func() { h.settled(p) })
		}, now)
	})
}

// settled is called when the last write of earlier owners is done.
func (h *handoffRun) settled(p int) {
	h.drive(func(now time.Time) {
		if h.gates[p].settled() {
			h.core.fenceDone(p, now)
		}
	})
}

// pause stops what is not under way already, or goes on.
func (h *handoffRun) pause(paused bool) {
	h.drive(func(now time.Time) { h.core.pause(paused, now) })
}

// drive lets the core do something and carries out what it then wants.
func (h *handoffRun) drive(do func(now time.Time)) {
	now := time.Now()
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	do(now)
	due := h.core.step(now)
	actions := h.core.take()
	for _, p := range h.core.touches() {
		h.show(p)
	}
	if !due.IsZero() && (h.due.IsZero() || due.Before(h.due)) {
		h.due = due
		if h.timer != nil {
			h.timer.Stop()
		}
		h.timer = time.AfterFunc(max(due.Sub(now), time.Millisecond), h.tick)
	}
	for _, a := range actions {
		switch {
		case a.message != nil:
			h.send(a.to, a.message.bytes())
		case a.start != nil:
			h.begin(a.start)
		default:
			if cancel := h.cancels[a.cancel]; cancel != nil {
				cancel()
			}
		}
	}
	h.report(now)
	h.mu.Unlock()
	h.changed.signal()
}

func (h *handoffRun) tick() {
	h.drive(func(time.Time) { h.due = time.Time{} })
}

// show puts how a partition stands where writers, readers and health see it.
func (h *handoffRun) show(p int) {
	pt := h.core.parts[p]
	stands := byte(standsStill)
	if pt == nil {
		h.gates[p].set(h.core.ring.Placement(p).Token(), false, false, false)
	} else {
		h.gates[p].set(pt.token, pt.owner || pt.awaited, pt.accepts(), pt.ready())
		if pt.owner && !pt.ready() || pt.awaited {
			stands = standsReceiving
		} else if !pt.owner && pt.holds {
			stands = standsReleasing
		} else if len(pt.asks) > 0 {
			stands = standsSharing
		}
	}
	h.counts[h.stands[p]]--
	h.counts[stands]++
	if h.stands[p] = stands; stands == standsStill {
		delete(h.stands, p)
	}
}

// send sends a message in the background. The lock is held.
func (h *handoffRun) send(to process, payload []byte) {
	if h.sending[to] >= maxHandoffSends {
		return
	}
	h.sending[to]++
	h.tasks.Go(func() {
		if err := h.c.members.Send(h.life, to.id, payload); err != nil {
			h.c.settings.Logger.Debug("sending about handoff", "to", to.id, "error", err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.sending[to]--; h.sending[to] == 0 {
			delete(h.sending, to)
		}
	})
}

func (h *handoffRun) accept(p int, token ring.Token) (func(), error) {
	if p < 0 || p >= len(h.gates) {
		return nil, fmt.Errorf("%w %d", ErrNotOwner, p)
	}
	done, err := h.gates[p].enter(p, token)
	if differ := (*TokenError)(nil); errors.As(err, &differ) {
		// The gate of a partition that was never ours knows no token.
		if placement, same := h.c.own(p, token); same == nil && !Writers(placement).include(h.c.settings.NodeID) {
			return nil, fmt.Errorf("%w %d", ErrNotOwner, p)
		}
	}
	return done, err
}

func (h *handoffRun) ready(p int) bool { return p >= 0 && p < len(h.gates) && h.gates[p].isReady() }

func (h *handoffRun) acceptLoss(p int) (was bool) {
	h.drive(func(time.Time) { was = h.core.accept(p) })
	return was
}

// founding makes this member the one that begins the cluster.
func (h *handoffRun) founding() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.core.founding = true
}

// is asks the core.
func (h *handoffRun) is(what func(*core) bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return what(h.core)
}

// await waits until the core answers yes, and returns why it did not.
func (h *handoffRun) await(ctx context.Context, what func(*core) bool) error {
	for {
		changed := h.changed.wait()
		if h.is(what) {
			return nil
		}
		select {
		case <-changed:
		case <-h.c.stopped:
			return ErrStopped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// state is what the user is told.
func (h *handoffRun) state(now time.Time) HandoffState {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := HandoffState{
		Receiving: h.counts[standsReceiving], Releasing: h.counts[standsReleasing], Sharing: h.counts[standsSharing],
		Received: h.core.received, Released: h.core.released, Failed: h.failed, Messages: h.core.sent,
	}
	if h.core.draining || h.core.leaving {
		s.Kept = h.core.kept()
	}
	for p, stands := range h.stands {
		pt := h.core.parts[p]
		if pt.lost {
			s.Lost = append(s.Lost, p)
		}
		if stands != standsSharing && now.Sub(pt.since) > h.options.OverdueAfter {
			s.Overdue++
		}
	}
	slices.Sort(s.Lost)
	return s
}
