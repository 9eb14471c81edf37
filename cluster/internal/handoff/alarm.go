package handoff

import (
	"slices"
	"time"
)

// Pace is how long timers take. Every field is positive.
type Pace struct {
	Gather   time.Duration // between two batches of messages
	Again    time.Duration // before the first repetition of what was asked, doubled each time
	Rarely   time.Duration // at most before a repetition
	Patience time.Duration // for the best sources
	Retry    time.Duration // before a job that failed is begun again, doubled up to five times
}

// Alarms keep the timers that a machine arms, for a driver that tells them the time. The driver
// must not use them concurrently.
type Alarms struct {
	pace    Pace
	armed   map[Timer]alarm
	queue   []ringing // the first due first
	batched time.Time // when the last batch was due
}

// ringing are the timers that were set to one time. Some of them may have been set anew since.
type ringing struct {
	at     time.Time
	timers []Timer
}

// alarm is one timer. It stays known while it is not armed, for the sake of its delay.
type alarm struct {
	at    time.Time // zero: it is not armed
	delay time.Duration
}

// NewAlarms returns alarms without timers.
func NewAlarms(p Pace) *Alarms { return &Alarms{pace: p, armed: make(map[Timer]alarm)} }

// Arm sets a timer.
func (a *Alarms) Arm(x Arm, now time.Time) {
	t := a.armed[x.Timer]
	if x.Anew {
		t.delay = 0
	}
	switch x.Kind {
	case Batch:
		if t.at = a.batched.Add(a.pace.Gather); t.at.Before(now) {
			t.at = now
		}
	case Patience:
		t.at = now.Add(a.pace.Patience)
	case Retry:
		t.delay = min(max(2*t.delay, a.pace.Retry), 32*a.pace.Retry)
		t.at = now.Add(t.delay)
	default:
		t.delay = min(max(2*t.delay, a.pace.Again), a.pace.Rarely)
		t.at = now.Add(t.delay)
	}
	a.armed[x.Timer] = t
	i, known := slices.BinarySearchFunc(a.queue, t.at, func(r ringing, at time.Time) int { return r.at.Compare(at) })
	if !known {
		a.queue = slices.Insert(a.queue, i, ringing{at: t.at})
	}
	a.queue[i].timers = append(a.queue[i].timers, x.Timer)
}

// Succeeded has the next retry of a partition wait for the shortest time.
func (a *Alarms) Succeeded(partition int) { delete(a.armed, Timer{partition, Retry}) }

// Next returns when the next timer is due, the zero time when none is armed. Then it forgets the
// delays, but for those of retries.
func (a *Alarms) Next() time.Time {
	next := a.next()
	if next.IsZero() {
		armed := make(map[Timer]alarm)
		for timer, t := range a.armed {
			if timer.Kind == Retry {
				armed[timer] = t
			}
		}
		a.armed = armed
	}
	return next
}

func (a *Alarms) next() time.Time {
	for len(a.queue) > 0 {
		first := &a.queue[0]
		for ; len(first.timers) > 0; first.timers = first.timers[1:] {
			if a.armed[first.timers[0]].at.Equal(first.at) {
				return first.at
			}
		}
		a.queue = slices.Delete(a.queue, 0, 1)
	}
	return time.Time{}
}

// Due returns the timers that are due, which are not armed any more then.
func (a *Alarms) Due(now time.Time) (due []Timer) {
	for {
		next := a.next()
		if next.IsZero() || next.After(now) {
			return due
		}
		timer := a.queue[0].timers[0]
		a.armed[timer] = alarm{delay: a.armed[timer].delay}
		if timer.Kind == Batch {
			a.batched = now
		}
		due = append(due, timer)
	}
}
