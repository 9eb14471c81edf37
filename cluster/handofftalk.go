package cluster

import (
	"maps"
	"slices"
	"time"
)

// maxHandoffBytes is about how long a message gets before another is begun.
const maxHandoffBytes = 32 << 10

// tell sends queries about what is unfinished, and notes about what others wait
// for: everything for one process together, and rounds no closer than the pace
// allows.
func (c *core) tell(now time.Time) {
	if c.paused || len(c.notes) == 0 && (c.due.IsZero() || now.Before(c.due)) {
		return
	}
	if next := c.polled.Add(c.pace.gather); now.Before(next) {
		c.due = next
		return
	}
	c.polled, c.due = now, time.Time{}
	queries := make(map[process][]int)
	for _, p := range c.sorted() {
		pt := c.parts[p]
		if pt.job != nil || !c.unfinished(pt) {
			continue
		}
		if !pt.poll.After(now) {
			pt.delay = min(max(2*pt.delay, c.pace.again), c.pace.rarely)
			pt.poll = now.Add(pt.delay)
			for _, to := range c.wants(pt) {
				queries[to] = append(queries[to], p)
			}
		}
		c.by(c.at(pt, now))
	}
	notes := c.notes
	c.notes = make(map[process][]int)
	for _, to := range slices.SortedFunc(maps.Keys(queries), process.compare) {
		c.seq++
		c.send(to, handoffQuery, c.seq, queries[to], nil)
	}
	for _, to := range slices.SortedFunc(maps.Keys(notes), process.compare) {
		if c.alive(to) && to != c.self {
			about := slices.Compact(slices.Sorted(slices.Values(notes[to])))
			c.send(to, handoffAnswer, 0, about, nil)
		}
	}
}

// wants are the processes whose word is missing.
func (c *core) wants(pt *part) []process {
	var ask []process
	add := func(o process) {
		if o != c.self && c.alive(o) && !slices.Contains(ask, o) {
			ask = append(ask, o)
		}
	}
	switch {
	case !pt.owner:
		for _, o := range pt.owners {
			if pt.lost || pt.seen[o].merged != pt.fence {
				add(o)
			}
		}
	case pt.proof != nil:
		for _, s := range pt.proof.sources {
			if !pt.proof.proven[s.process] {
				add(s.process)
			}
		}
	case len(pt.debts) > 0:
		for _, d := range pt.debts {
			for i, o := range d.owed {
				if d.paid>>i&1 == 0 {
					add(o)
				}
			}
		}
		for _, o := range pt.owners[:pt.serving] {
			add(o)
		}
		if pt.inquest != nil {
			for _, o := range c.witnesses(pt) {
				add(o)
			}
		}
	}
	if pt.owner {
		for o := range pt.asks {
			add(o)
		}
	}
	if c.handing(pt) {
		for _, o := range pt.target {
			if !pt.seen[o].is(flagReady) {
				add(o)
			}
		}
	}
	return ask
}

// send says how this process stands with partitions, in as many messages as it
// takes. Of those asked for it also tells the past.
func (c *core) send(to process, kind byte, seq uint64, partitions []int, asked map[int]bool) {
	m := &handoffMessage{kind: kind, seq: seq, to: to.start}
	size := 0
	if len(asked) > 0 {
		m.departed = slices.Clone(c.departed.all)
	}
	for _, p := range partitions {
		r := c.report(p, to)
		if asked[p] {
			r.tenures = slices.Clone(c.tenures[p])
		}
		if pt := c.parts[p]; kind == handoffQuery && (pt.inquest != nil || pt.lost) {
			r.flags |= flagAsks
		}
		n := 24
		for _, d := range r.debts {
			n += sizeOf(d.owed)
		}
		for _, t := range r.tenures {
			n += sizeOf(t.owners)
		}
		if size+n > maxHandoffBytes && len(m.reports) > 0 {
			c.emit(to, m)
			m, size = &handoffMessage{kind: kind, seq: seq, to: to.start}, 0
		}
		m.reports = append(m.reports, r)
		size += n
	}
	c.emit(to, m)
}

// sizeOf is about how much it takes to name processes.
func sizeOf(owners []process) (n int) {
	for _, o := range owners {
		n += 3 + 10 + len(o.id)
	}
	return n
}

func (c *core) emit(to process, m *handoffMessage) {
	c.sent++
	c.out = append(c.out, handoffAction{to: to, message: m})
}

// report says how this process stands with a partition, as another may know it.
func (c *core) report(p int, to process) report {
	r := report{partition: p}
	if c.ring != nil && c.alive(to) && Writers(c.ring.Placement(p)).include(to.id) {
		r.flags |= flagSees
	}
	pt := c.parts[p]
	if pt == nil {
		return r
	}
	r.fence = pt.fence
	if pt.owner {
		r.flags |= flagOwner
		if pt.recorded {
			r.merged = pt.merged[to]
		}
	}
	if pt.ready() {
		r.flags |= flagReady
	}
	if c.offers(pt, to) {
		r.flags |= flagOffers
		if r.asked = pt.asks[to]; !pt.owner {
			r.asked = pt.fence
		}
		r.debts = slices.Clone(pt.debts)
		if pt.complete || slices.Contains(pt.vouched, to) {
			r.flags |= flagComplete
		}
	}
	return r
}

// hear takes a message. What comes from processes that are not believed alive,
// or was meant for another start of this one, is left alone.
func (c *core) hear(from process, m handoffMessage, now time.Time) {
	if !c.alive(from) || m.to != c.self.start {
		return
	}
	c.bid(from, m)
	about := make([]int, 0, len(m.reports))
	asked := make(map[int]bool)
	for _, r := range m.reports {
		about = append(about, r.partition)
		if r.is(flagAsks) {
			asked[r.partition] = true
		}
		pt := c.parts[r.partition]
		if pt == nil {
			continue
		}
		pt.seen[from] = r
		if pt.inquest != nil && m.kind == handoffAnswer && m.seq > 0 && r.is(flagSees) {
			pt.inquest.word[from] = r
		}
		if asked, ok := pt.asks[from]; ok && r.merged >= asked {
			delete(pt.asks, from)
		}
		if pt.proof != nil && m.kind == handoffAnswer && m.seq > pt.proof.seq {
			pt.proof.answered(from, r)
		}
		c.wake(r.partition)
	}
	if m.kind == handoffQuery {
		c.work(now) // so that the answer is about what follows from the question
		c.send(from, handoffAnswer, m.seq, about, asked)
	}
}

// answered takes the word of a source about itself after the merge.
func (j *handoffJob) answered(from process, r report) {
	for _, s := range j.sources {
		if s.process == from {
			if r.fence == s.fence && r.is(flagOffers) {
				j.proven[from] = true
			} else {
				j.refuted[from] = true
			}
		}
	}
}
