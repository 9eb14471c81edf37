package cluster

import (
	"fmt"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/transport/api"
)

// progressInterval is how often progress is reported at most.
const progressInterval = time.Second

// progress is what health, metrics and subscribers report about partitions that move. The lock of the
// driver guards progress.
type progress struct {
	since  time.Time // the time that moving.since is relative to
	moving []moving  // by partition; nil before the first one moves
	counts [4]int    // partitions by phase
	failed uint64    // calls that failed

	failure  error // the error of the last call that failed
	failedAt time.Time
	told     struct { // what subscribers have been told
		busy bool
		at   time.Time
		done uint64 // calls that had succeeded
	}
}

// moving is the phase of a partition, and since when the phase lasts.
type moving struct {
	since time.Duration
	phase handoff.Phase
	lost  bool
}

// show records how this member stands with one of the partitions.
func (r *progress) show(p, partitions int, st handoff.Standing, now time.Time) {
	if r.moving == nil {
		if st.Phase == handoff.Still {
			return
		}
		r.moving = make([]moving, partitions)
	}
	m := &r.moving[p]
	if m.phase != st.Phase {
		r.counts[m.phase]--
		r.counts[st.Phase]++
		m.phase, m.since = st.Phase, now.Sub(r.since)
	}
	m.lost = st.Lost
}

// busy reports whether partitions move to or from this member.
func (r *progress) busy() bool { return r.counts[handoff.Receiving]+r.counts[handoff.Releasing] > 0 }

// state returns the state of handoff for the user.
func (d *driver) state(now time.Time) api.HandoffState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stateLocked(now)
}

func (d *driver) stateLocked(now time.Time) api.HandoffState {
	r, totals := &d.report, d.machine.Totals()
	s := api.HandoffState{
		Receiving: r.counts[handoff.Receiving], Releasing: r.counts[handoff.Releasing], Sharing: r.counts[handoff.Sharing],
		Received: totals.Received, Released: totals.Released, Failed: r.failed, Messages: totals.Messages,
	}
	if d.machine.Departing() {
		s.Stranded = d.machine.Summary().Stranded
	}
	if !r.busy() {
		return s
	}
	for p, m := range r.moving {
		if m.lost {
			s.Lost = append(s.Lost, p)
		}
		if m.phase == handoff.Receiving || m.phase == handoff.Releasing {
			if now.Sub(r.since)-m.since > d.options.OverdueAfter {
				s.Overdue++
			}
		}
	}
	return s
}

// causes says what keeps partitions moving, as far as this member knows: how many calls of the user's code failed and how
// the last one failed, how many do not return, and which calls and writes have not ended for at least a time. It is empty
// where there is no such call and no such write.
func (d *driver) causes(now time.Time, least time.Duration) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	said := fmt.Sprintf("%d calls failed so far", d.report.failed)
	if err := d.report.failure; err != nil {
		said += fmt.Sprintf(", the last one %v ago: %.300s", now.Sub(d.report.failedAt).Round(time.Second), err)
	}
	late, slow := 0, 0
	for _, job := range d.jobs {
		switch took := now.Sub(job.begun); {
		case took > d.options.CallLimit:
			late++
		case took >= least:
			slow++
		}
	}
	if late > 0 {
		said += fmt.Sprintf("; %d calls have not returned, though their context has ended after Handoff.CallLimit, %v: "+
			"the Mover and the Journal must return when it ends", late, d.options.CallLimit)
	}
	if slow > 0 {
		said += fmt.Sprintf("; %d calls have been running for more than %v", slow, least)
	}
	writes := d.endless(now, least)
	switch {
	case writes != "":
		said += "; " + writes
	case d.report.failed+uint64(late+slow) == 0:
		return ""
	}
	return said
}

// writes says which writes of this member have kept other members from receiving for longer than a limit. It is empty
// where none have, and without a Mover.
func (d *driver) writes(limit time.Duration) string {
	if d == nil {
		return ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.endless(time.Now(), limit)
}

// endless says which partitions wait for writes that have not ended for at least a time after owners changed. It is empty
// where none does. The lock is held.
func (d *driver) endless(now time.Time, least time.Duration) string {
	first, number := len(d.gates), 0
	for p, since := range d.unsettled {
		if now.Sub(since) >= least {
			first, number = min(first, p), number+1
		}
	}
	if number == 0 {
		return ""
	}
	return fmt.Sprintf("%d partitions, the first of them %d, wait for writes that this member admitted before their owners changed: "+
		"the function that Admit returned must be called, also when the write failed", number, first)
}

// event makes an event. The lock is held.
func (d *driver) event(kind EventKind, now time.Time, p int, err error) Event {
	state := d.stateLocked(now)
	return Event{Kind: kind, At: now, Handoff: &state, Partition: p, Err: err}
}

// tell tells subscribers what is new. The lock is held.
func (d *driver) tell(now time.Time) {
	told, totals := &d.report.told, d.machine.Totals()
	busy, done := d.report.busy(), totals.Received+totals.Released
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
