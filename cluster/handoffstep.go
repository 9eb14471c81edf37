package cluster

import (
	"slices"
	"time"
)

// step does what can be done now. It returns when to call it again at the
// latest, the zero time when nothing is awaited.
func (c *core) step(now time.Time) time.Time {
	if !c.due.IsZero() && !now.Before(c.due) {
		for _, p := range c.sorted() {
			if at := c.at(c.parts[p], now); !at.IsZero() && !at.After(now) {
				c.wake(p)
			}
		}
	}
	c.work(now)
	if c.paused {
		c.due = time.Time{} // pause wakes it up
	}
	c.tell(now)
	c.part(now)
	c.note(now)
	return c.due
}

// by sees to it that step is called in time.
func (c *core) by(at time.Time) {
	if !at.IsZero() && (c.due.IsZero() || at.Before(c.due)) {
		c.due = at
	}
}

// at is when a partition is to be looked at again though nothing happens: to ask
// again, to try again what failed, or because patience is at an end.
func (c *core) at(pt *part, now time.Time) time.Time {
	if pt.job != nil || c.paused || !c.unfinished(pt) {
		return time.Time{}
	}
	at := pt.poll
	for _, t := range []time.Time{pt.retry, pt.since.Add(c.pace.patience)} {
		if t.After(now) && t.Before(at) {
			at = t
		}
	}
	return at
}

// unfinished reports whether a partition is on its way to or from here.
func (c *core) unfinished(pt *part) bool {
	if c.unsaved(pt) {
		return true
	}
	if !pt.owner {
		return pt.holds
	}
	return len(pt.debts) > 0 || pt.proof != nil || len(pt.asks) > 0 || c.handing(pt)
}

// handing reports whether this process serves a partition that it is about to
// give to others.
func (c *core) handing(pt *part) bool {
	return c.draining && pt.owner && !slices.Contains(pt.target, c.self)
}

// work looks at the partitions that something has happened to.
func (c *core) work(now time.Time) {
	for len(c.queue) > 0 {
		queue := c.queue
		c.queue = nil
		for _, p := range queue {
			delete(c.queued, p)
			c.touched = append(c.touched, p)
			if pt := c.parts[p]; pt != nil {
				c.advance(pt, now)
			}
		}
	}
	for len(c.waiting) > 0 && c.running < c.parallel && !c.paused {
		p := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.touched = append(c.touched, p)
		if pt := c.parts[p]; pt != nil {
			c.advance(pt, now)
		}
	}
}

// advance takes a partition as far as it gets.
func (c *core) advance(pt *part, now time.Time) {
	if pt.job != nil {
		return
	}
	if !pt.owner && !pt.holds {
		delete(c.parts, pt.id)
		return
	}
	if pt.proof != nil {
		c.settle(pt)
	}
	var job *handoffJob
	if pt.recorded {
		job = c.next(pt, now)
	}
	if job == nil && c.unsaved(pt) {
		job = &handoffJob{recording: true, record: c.record(pt, true)}
	}
	switch {
	case job == nil || c.paused || now.Before(pt.retry):
	case c.running >= c.parallel:
		if !slices.Contains(c.waiting, pt.id) {
			c.waiting = append(c.waiting, pt.id)
		}
	default:
		pt.unrecorded = pt.unrecorded && !job.recording
		if c.durable && job.release {
			job.record = c.record(pt, false)
		}
		c.jobs++
		job.id, job.part, job.begun = c.jobs, pt.id, pt.begun
		pt.job = job
		c.running++
		c.out = append(c.out, handoffAction{start: job})
		return
	}
	if c.unfinished(pt) {
		c.by(c.at(pt, now))
	}
}

// next is the job that a partition needs now, nil when none or not yet.
func (c *core) next(pt *part, now time.Time) *handoffJob {
	if pt.leftover {
		return &handoffJob{release: true}
	}
	if !pt.owner {
		// Those it took for gone may be back, or have left in order.
		pt.lost = pt.lost && c.bereaved(pt)
		if pt.fenced && !pt.lost && c.confirmed(pt) {
			return &handoffJob{release: true}
		}
		return nil
	}
	if pt.proof != nil {
		return nil
	}
	if ask := c.asked(pt); ask != nil {
		return ask
	}
	if len(pt.debts) == 0 {
		return nil
	}
	return c.choose(pt, now)
}

// confirmed reports whether each owner has merged what is held here, as of the
// last fence.
func (c *core) confirmed(pt *part) bool {
	if len(pt.owners) == 0 {
		return false // nobody to hand over to is no reason to let go
	}
	for _, o := range pt.owners {
		s := pt.seen[o]
		done := s.merged == pt.fence || c.safe.oldEvidence && s.merged > 0
		if done && c.safe.oneConfirms {
			return true
		}
		if !done && !c.safe.oneConfirms {
			return false
		}
	}
	return !c.safe.oneConfirms
}

// asked is the merge that another process waits for: one that does not own any
// more, or one that was an owner before this one was.
func (c *core) asked(pt *part) *handoffJob {
	var best *handoffJob
	for who, s := range pt.seen {
		if !s.is(flagOffers) || pt.merged[who] >= s.asked || !c.alive(who) {
			continue
		}
		if c.safe.readyUnmerged && pt.ready() {
			pt.merged[who] = s.asked
			c.notes[who] = append(c.notes[who], pt.id)
			continue
		}
		if best == nil || who.compare(best.sources[0].process) < 0 {
			best = &handoffJob{ask: true, need: 1, sources: []handoffSource{s.source(who)}}
		}
	}
	return best
}

func (s report) source(who process) handoffSource {
	return handoffSource{process: who, fence: s.fence, whole: len(s.debts) == 0, debts: s.debts, full: s.is(flagComplete)}
}

// done takes the end of a job. It reports whether that does not matter any more.
func (c *core) done(p int, id uint64, err error, now time.Time) (over bool) {
	if p == noPartition {
		c.noted(err, now)
		return false
	}
	pt := c.parts[p]
	if pt == nil || pt.job == nil || pt.job.id != id {
		return true
	}
	job := pt.job
	pt.job = nil
	c.running--
	defer c.wake(p)
	pt.poll, pt.delay = now, 0
	over = !job.release && !job.recording && (!pt.owner || job.begun != pt.begun)
	switch {
	case over:
		// What came belongs to an ownership that is over. It is handed over
		// with the rest, and was not confirmed.
	case err != nil:
		pt.fails++
		if c.durable && job.release {
			pt.recorded = false // who knows
		}
		pt.unrecorded = pt.unrecorded || c.durable && (job.release || job.recording)
		pt.retry = now.Add(c.pace.retry << min(pt.fails-1, 5))
	case job.recording:
		pt.recorded, pt.fails = true, 0
	case job.release:
		c.released++
		c.fences++
		pt.fence, pt.holds, pt.debts, pt.fails, pt.recorded = c.fences, false, nil, 0, !c.durable
		pt.leftover = false
		if pt.awaited {
			pt.awaited = false
			c.begin(pt, now)
			c.served(pt)
		}
	default:
		c.received++
		pt.fails = 0
		job.seq, job.proven, job.refuted = c.seq, make(map[process]bool), make(map[process]bool)
		if c.safe.noProof {
			for _, s := range job.sources {
				job.proven[s.process] = true
			}
		}
		pt.proof = job
	}
	return over
}

// accept makes what is lost a thing of the past, because the user says so.
func (c *core) accept(p int) bool {
	pt := c.parts[p]
	if pt == nil || !pt.lost {
		return false
	}
	pt.debts, pt.lost, pt.unrecorded = nil, false, true
	c.wake(p)
	return true
}

// keeping reports whether this process is about to go and still owns a partition,
// because nobody else takes it over.
func (c *core) keeping(pt *part) bool {
	return (c.draining || c.leaving) && pt.owner && slices.Contains(pt.target, c.self)
}

// handed reports whether all owners to come have what this process serves of a
// partition. Where it is to go on itself, nobody has.
func (c *core) handed(pt *part) bool {
	return !pt.owner || !slices.ContainsFunc(pt.target, func(o process) bool {
		return o == c.self || !pt.seen[o].is(flagReady)
	})
}

// handedOver reports whether a process that drains may stop serving.
func (c *core) handedOver() bool {
	for _, pt := range c.parts {
		if !c.handed(pt) {
			return false
		}
	}
	return c.draining
}

// bare reports whether nothing is left here, served or not, and the others know.
func (c *core) bare() bool { return c.held() == 0 && len(c.untold()) == 0 }

// held counts the partitions that keep this process from going.
func (c *core) held() (n int) {
	for _, pt := range c.parts {
		if c.draining && !c.handed(pt) || !c.draining && pt.holds {
			n++
		}
	}
	return n
}

// kept counts those that nobody takes over.
func (c *core) kept() (n int) {
	for _, pt := range c.parts {
		if c.keeping(pt) {
			n++
		}
	}
	return n
}

// joined reports whether this process is ready for all that it is to own.
func (c *core) joined() bool {
	for _, pt := range c.parts {
		if pt.owner && !pt.ready() || pt.awaited {
			return false
		}
	}
	return c.ring != nil
}

// emptied reports whether nothing is left here that somebody needs.
func (c *core) emptied() bool {
	for _, pt := range c.parts {
		if !pt.owner && pt.holds {
			return false
		}
	}
	return true
}

// busy reports whether anything is on its way to or from here.
func (c *core) busy() bool {
	for _, pt := range c.parts {
		if pt.job != nil || c.unfinished(pt) {
			return true
		}
	}
	return false
}
