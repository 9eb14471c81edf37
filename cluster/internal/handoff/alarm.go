package handoff

import (
	"container/heap"
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
	queue   alarmQueue
	batched time.Time // when the last batch was due
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
	heap.Push(&a.queue, dueTimer{t.at, x.Timer})
}

// Succeeded has the next retry of a partition wait for the shortest time.
func (a *Alarms) Succeeded(partition int) { delete(a.armed, Timer{partition, Retry}) }

// Next returns when the next timer is due, the zero time when none is armed.
func (a *Alarms) Next() time.Time {
	for len(a.queue) > 0 {
		if first := a.queue[0]; a.armed[first.timer].at.Equal(first.at) {
			return first.at
		}
		heap.Pop(&a.queue) // it was set anew
	}
	return time.Time{}
}

// Due returns the timers that are due, which are not armed any more then.
func (a *Alarms) Due(now time.Time) (due []Timer) {
	for {
		next := a.Next()
		if next.IsZero() || next.After(now) {
			return due
		}
		timer := heap.Pop(&a.queue).(dueTimer).timer
		a.armed[timer] = alarm{delay: a.armed[timer].delay}
		if timer.Kind == Batch {
			a.batched = now
		}
		due = append(due, timer)
	}
}

// alarmQueue is a heap of timers, the first due first.
type alarmQueue []dueTimer

type dueTimer struct {
	at    time.Time
	timer Timer
}

func (q alarmQueue) Len() int           { return len(q) }
func (q alarmQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q alarmQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *alarmQueue) Push(x any)        { *q = append(*q, x.(dueTimer)) }
func (q *alarmQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
