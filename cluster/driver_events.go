package cluster

import (
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
)

// progressInterval is how often progress is reported at most.
const progressInterval = time.Second

// handoffReport is what the driver shows of the machine. Its lock is the driver's.
type handoffReport struct {
	moving map[int]moving // partitions that are on their way
	counts [4]int         // partitions by phase
	failed uint64         // calls that failed
	told   struct {       // what subscribers have been told
		busy bool
		at   time.Time
		done uint64 // calls that had succeeded
	}
}

// moving is how a partition is on its way.
type moving struct {
	phase handoff.Phase
	since time.Time
	lost  bool
}

// show puts how this member stands with a partition where writers, readers and health see it. The
// lock is held.
func (d *driver) show(p int, now time.Time) {
	r, st := &d.report, d.machine.Standing(p)
	d.gates[p].set(st.Token, st.Owner, st.Accepts, st.Ready())
	was, known := r.moving[p]
	if !known && st.Phase == handoff.Still {
		return
	}
	r.counts[was.phase]--
	r.counts[st.Phase]++
	next := moving{st.Phase, was.since, st.Lost}
	if was.phase != next.phase {
		next.since = now
	}
	if r.moving[p] = next; next.phase == handoff.Still {
		delete(r.moving, p)
	}
}

// event makes an event. The lock is held.
func (d *driver) event(kind EventKind, now time.Time, p int, err error) Event {
	state := d.stateLocked(now)
	return Event{Kind: kind, At: now, Handoff: &state, Partition: p, Err: err}
}

// tell tells subscribers what is new. The lock is held.
func (d *driver) tell(now time.Time) {
	told, totals := &d.report.told, d.machine.Totals()
	busy, done := d.report.counts[handoff.Receiving]+d.report.counts[handoff.Releasing] > 0, totals.Received+totals.Released
	switch {
	case busy && !told.busy:
		d.c.events.add(d.event(HandoffStarted, now, 0, nil))
	case !busy && told.busy:
		d.c.events.add(d.event(HandoffCompleted, now, 0, nil))
	case busy && done != told.done && now.Sub(told.at) >= progressInterval:
		d.c.events.add(d.event(HandoffProgressed, now, 0, nil))
	default:
		return
	}
	told.busy, told.at, told.done = busy, now, done
	if !busy {
		select {
		case d.c.advance <- struct{}{}: // joining may be over
		default:
		}
	}
}
