package cluster

import (
	"slices"
	"time"
)

// Who drains leaves nothing behind: each owner has confirmed that it has what the
// process let go of. But on the far side of a cut nobody hears of that. There a
// process that has left looks as one that crashed, and of a set of owners that lost
// so many, a write may be lost.
//
// So before it leaves, a process that has nothing left says farewell to all that own
// anything, until they have heard it. They remember that, in their journals too, and
// tell whoever asks what there was of a partition. It will own no more, so that this
// stays true.

// farewell is how far a process is with taking its leave.
type farewell struct {
	seq   uint64           // of the first
	told  map[process]bool // who has heard
	next  time.Time        // when to say it again
	delay time.Duration
}

// departures are those that have left in order.
type departures struct {
	all    []process // the last to leave last
	saving bool      // the journal is being told
	retry  time.Time // not before
	fails  int
	news   bool // to be told to the journal
}

// noPartition is where the job belongs that tells the journal who has left.
const noPartition = -1

// has reports whether a process has left in order.
func (d *departures) has(o process) bool { return slices.Contains(d.all, o) }

// part says farewell to those that do not know yet, if there is nothing else to do.
func (c *core) part(now time.Time) {
	if !c.leaving || c.paused || c.held() > 0 {
		return
	}
	left := c.untold()
	if len(left) == 0 {
		return
	}
	if f := &c.parting; !now.Before(f.next) {
		f.delay = min(max(2*f.delay, c.pace.again), c.pace.rarely)
		f.next = now.Add(f.delay)
		c.seq++
		if f.seq == 0 {
			f.seq, f.told = c.seq, make(map[process]bool)
		}
		for _, to := range left {
			c.emit(to, &handoffMessage{kind: handoffQuery, seq: c.seq, to: to.start, departed: []process{c.self}})
		}
	}
	c.by(c.parting.next)
}

// untold are those alive that own anything and have not heard the farewell.
func (c *core) untold() []process {
	var left []process
	for o := range c.nodes {
		if o != c.self && c.alive(o) && !c.parting.told[o] {
			left = append(left, o)
		}
	}
	return ascending(left)
}

// bid takes what a message says of those who left.
func (c *core) bid(from process, m handoffMessage) {
	d := &c.departed
	for _, o := range m.departed {
		if !d.has(o) && !c.safe.noFarewells {
			d.all = append(d.all[max(0, len(d.all)+1-maxHandoffDeparted):], o)
			d.news = true
		}
	}
	if c.parting.seq > 0 && m.kind == handoffAnswer && m.seq >= c.parting.seq && len(m.reports) == 0 {
		c.parting.told[from] = true
	}
}

// note has the journal told who has left.
func (c *core) note(now time.Time) {
	d := &c.departed
	if !c.durable || !d.news || d.saving || c.paused {
		return
	}
	if now.Before(d.retry) {
		c.by(d.retry)
		return
	}
	c.jobs++
	d.saving, d.news = true, false
	record := handoffMessage{kind: handoffRecord, to: c.self.start, departed: d.all}.bytes()
	c.out = append(c.out, handoffAction{start: &handoffJob{id: c.jobs, part: noPartition, recording: true, record: record}})
}

// noted takes the end of that.
func (c *core) noted(err error, now time.Time) {
	d := &c.departed
	d.saving = false
	if err == nil {
		d.fails = 0
		return
	}
	d.fails++
	d.news, d.retry = true, now.Add(c.pace.retry<<min(d.fails-1, 5))
}
