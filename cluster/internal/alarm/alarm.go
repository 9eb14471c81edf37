// Package alarm keeps named alarms. The delay of an alarm grows each time that the alarm is set again. A
// [Queue] has no clock: its methods take the time. A [Clock] calls a function when alarms are due.
package alarm

import (
	"slices"
	"time"
)

// Delay says how long an alarm takes until it is due. The first delay is Least. Each time that the alarm
// is set again the delay doubles, up to Most. Both are positive.
type Delay struct {
	Least, Most time.Duration
	Spaced      bool // the delay begins when the alarm was last due, not now
	Lasting     bool // the delay is kept while no alarm is set, until Reset
}

// Queue keeps alarms, each with a name. The zero Queue has none. It must not be used concurrently.
type Queue[Name comparable] struct {
	alarms map[Name]alarm
	times  []ringing[Name] // the first due first
}

// ringing has the names of the alarms that were set to one time. Some of these alarms may have been set
// to another time since.
type ringing[Name comparable] struct {
	at    time.Time
	names []Name
}

// alarm is the state of one name. The queue keeps it also while the alarm is not set, because of its
// delay.
type alarm struct {
	at, last time.Time // at: when the alarm is due, zero when it is not set; last: when it was last due
	delay    time.Duration
	lasting  bool
}

// Set sets an alarm. An alarm that is set already gets the new time. With anew the delay begins at Least.
func (q *Queue[Name]) Set(name Name, d Delay, anew bool, now time.Time) {
	if q.alarms == nil {
		q.alarms = make(map[Name]alarm)
	}
	a := q.alarms[name]
	if anew {
		a.delay = 0
	}
	a.delay = min(max(2*a.delay, d.Least), d.Most)
	a.at, a.lasting = now.Add(a.delay), d.Lasting
	if d.Spaced {
		if a.at = a.last.Add(a.delay); a.at.Before(now) {
			a.at = now
		}
	}
	q.alarms[name] = a
	i, known := slices.BinarySearchFunc(q.times, a.at, func(r ringing[Name], at time.Time) int { return r.at.Compare(at) })
	if !known {
		q.times = slices.Insert(q.times, i, ringing[Name]{at: a.at})
	}
	q.times[i].names = append(q.times[i].names, name)
}

// Reset deletes an alarm. The alarm is not due any more, and its delay begins at Least again.
func (q *Queue[Name]) Reset(name Name) { delete(q.alarms, name) }

// Next returns when the next alarm is due, the zero time when none is set. When no alarm is set, Next
// deletes the delays that are not lasting.
func (q *Queue[Name]) Next() time.Time {
	next := q.next()
	if next.IsZero() {
		kept := make(map[Name]alarm) // a new map, because a map never frees its memory
		for name, a := range q.alarms {
			if a.lasting {
				kept[name] = a
			}
		}
		q.alarms = kept
	}
	return next
}

func (q *Queue[Name]) next() time.Time {
	for len(q.times) > 0 {
		first := &q.times[0]
		for ; len(first.names) > 0; first.names = first.names[1:] {
			if q.alarms[first.names[0]].at.Equal(first.at) {
				return first.at
			}
		}
		q.times = slices.Delete(q.times, 0, 1)
	}
	return time.Time{}
}

// Due returns the names of the alarms that are due, the first due first. Due unsets these alarms.
func (q *Queue[Name]) Due(now time.Time) (due []Name) {
	for {
		next := q.next()
		if next.IsZero() || next.After(now) {
			return due
		}
		name := q.times[0].names[0]
		a := q.alarms[name]
		a.at, a.last = time.Time{}, now
		q.alarms[name] = a
		due = append(due, name)
	}
}
