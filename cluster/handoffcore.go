package cluster

import (
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// core decides who must merge what from whom, when that is proven, and when it
// is safe to let go. It knows no clock, no network and no goroutine: it is told
// of views, messages, ends of jobs and the time, and says what to do next. What it
// decides depends on nothing else. docs/handoff.md has the model.
//
// In short: while a member owns a partition, its fence counts the changes of the
// owners it writes under. A member that does not own any more is asked about its
// data until each owner has merged it as of its last fence. An owner is ready when
// it owes nothing: a debt is a set of earlier owners, and it is paid by merging
// from so many of them that no acknowledged write can be missing.
type core struct {
	self     process
	quorum   int  // acknowledgements a write needs
	parallel int  // jobs at a time
	durable  bool // there is a journal
	pace     handoffPace
	safe     safeguards

	ring     *ring.Ring        // the last that had serving owners, nil before it
	starts   map[string]uint64 // of the members alive, by NodeID
	factor   int               // the configured number of owners
	founding bool              // this member began the cluster: there is nobody to receive from
	draining bool
	leaving  bool
	paused   bool // cut off: start nothing

	past     []pastView       // what came before, the newest last
	nodes    map[process]bool // that own anything in the last view
	tenures  map[int][]tenure // the sets that this process was one of, by partition, the oldest first
	departed departures
	parting  farewell      // of this process
	parts    map[int]*part // those that this member owns or holds, or is about to forget
	fences   uint64        // the last fence given out
	jobs     uint64        // the last job begun
	seq      uint64        // of the last query
	running  int           // jobs
	queue    []int         // partitions to look at
	queued   map[int]bool
	waiting  []int     // partitions that could go on if fewer jobs ran
	due      time.Time // when to look at all of them again; zero: never
	polled   time.Time // when queries were last sent

	out      []handoffAction
	touched  []int             // partitions that may stand otherwise than before
	notes    map[process][]int // whom to tell how we stand with what, unasked
	received uint64            // merges that succeeded
	released uint64            // partitions let go
	sent     uint64            // messages
}

// handoffPace are the times that a core keeps.
type handoffPace struct {
	gather   time.Duration // between two rounds of queries
	again    time.Duration // before the first repetition, doubled each time
	rarely   time.Duration // at most
	patience time.Duration // for sources that are as good as one could wish
	retry    time.Duration // before a job that failed is tried again, doubled each time
}

// safeguards are switched off by tests, to see that they are needed.
type safeguards struct {
	noFence       bool // do not wait for writes under way
	noProof       bool // take a merge for good without asking the source afterwards
	noDebts       bool // an owner that is back is as ready as it was
	nearest       bool // one source is enough
	oneConfirms   bool // let go once one owner has merged
	oldEvidence   bool // a confirmation counts whatever fence it is about
	readyUnmerged bool // owners that were always there do not merge from others
	noAsks        bool // owners do not ask those who come after them
	noInquest     bool // who cannot pay takes nothing for lost
	noRecords     bool // the journal says nothing of debts
	noFarewells   bool // who has left is gone
}

// handoffAction is what a core wants done: exactly one of the fields is set.
type handoffAction struct {
	to      process // send message to it
	message *handoffMessage
	start   *handoffJob // run it, and call done with its id
	cancel  uint64      // cancel the job of this id
}

func newCore(self process, quorum, parallel int, pace handoffPace) *core {
	return &core{
		self: self, quorum: quorum, parallel: parallel, pace: pace, starts: map[string]uint64{},
		parts: make(map[int]*part), tenures: make(map[int][]tenure), queued: make(map[int]bool), notes: make(map[process][]int),
	}
}

// handoffView is what a core is told of the cluster.
type handoffView struct {
	ring     *ring.Ring
	starts   map[string]uint64
	draining bool // this process is
	leaving  bool
}

// take returns what is to be done, and forgets it.
func (c *core) take() []handoffAction {
	out := c.out
	c.out = nil
	return out
}

// view takes up a view. For each partition whose token changes while this
// process owns it before or after, fence is called: it closes the old token and
// reports whether no write accepted under it is under way.
func (c *core) view(v handoffView, fence func(p int, token ring.Token) bool, now time.Time) {
	before, beforeStarts := c.ring, c.starts
	c.starts, c.draining, c.leaving = v.starts, v.draining, v.leaving
	if v.ring.Len() == 0 || v.ring.PartitionCount() == 0 {
		// Nobody owns, or this process cannot tell who: it is not to let go
		// of anything on account of that.
		return
	}
	c.ring, c.factor = v.ring, v.ring.Config().ReplicationFactor
	for p := range v.ring.PartitionCount() {
		place := v.ring.Placement(p)
		next := place.Target()
		own := place.Owns(c.self.id) || next.Owns(c.self.id)
		pt := c.parts[p]
		if pt == nil {
			if !own {
				continue
			}
			pt = &part{id: p, recorded: !c.durable}
			c.parts[p] = pt
		}
		had, stays := pt.owners, own && pt.owner
		c.place(pt, place, next)
		pt.vouch(had)
		token := place.Token()
		// A process that joins, and starts again, changes no token.
		changed := token != pt.token || !slices.Equal(had, pt.owners)
		pt.token = token
		switch {
		case own && !pt.owner:
			if !pt.awaited {
				pt.prior, pt.past = c.before(p, before, beforeStarts, place), c.past
			}
			pt.awaited = pt.dropping()
			if !pt.awaited {
				c.begin(pt, now)
			}
			pt.fenced = fence(p, token) || c.safe.noFence
		case !own && pt.owner:
			c.lose(pt, now)
			pt.fenced = fence(p, token) || c.safe.noFence
		case changed && pt.owner:
			c.fences++
			pt.fence = c.fences
			pt.fenced = fence(p, token) || c.safe.noFence
		}
		pt.awaited = pt.awaited && own
		if changed {
			pt.seen, pt.inquest, pt.unrecorded = make(map[process]report), nil, true
		}
		if stays {
			c.ask(pt, had)
		}
		if pt.owner {
			if changed || !stays {
				c.served(pt)
			}
			pt.steady = pt.steady && c.unmissable(pt)
			pt.complete = pt.complete && pt.steady
		}
		c.stale(pt)
		pt.poll, pt.delay = now, 0
		c.wake(p)
	}
	c.remember(pastView{v.ring, v.starts})
	c.founding = false
}

// place notes who owns a partition, and which processes those are.
func (c *core) place(pt *part, place, next ring.Placement) {
	pt.owners, pt.target = pt.owners[:0:0], pt.target[:0:0]
	for _, o := range place.All() {
		pt.owners = append(pt.owners, process{o.ID(), c.starts[o.ID()]})
	}
	pt.serving = len(pt.owners)
	for _, o := range next.All() {
		t := process{o.ID(), c.starts[o.ID()]}
		pt.target = append(pt.target, t)
		if !slices.Contains(pt.owners, t) {
			pt.owners = append(pt.owners, t)
		}
	}
}

// ask notes which of the owners came after data had come here that they may not
// have: this owner took writes that were not sent to them. Who begins to own
// merges from some of the others anyway, though perhaps not from this one; and
// who owned all along on the far side of a partition knows of no reason to.
func (c *core) ask(pt *part, had []process) {
	for o := range pt.asks {
		if !slices.Contains(pt.owners, o) {
			delete(pt.asks, o)
		}
	}
	for _, o := range pt.owners {
		if o != c.self && !slices.Contains(had, o) && !c.safe.noAsks {
			pt.asks[o] = pt.fence
		}
	}
}

// stale forgets what was heard from processes that are gone, and cancels a merge
// from them.
func (c *core) stale(pt *part) {
	for who := range pt.seen {
		if !c.alive(who) {
			delete(pt.seen, who)
		}
	}
	gone := func(s handoffSource) bool { return !c.alive(s.process) }
	if pt.job != nil && pt.job.ask && slices.ContainsFunc(pt.job.sources, gone) {
		c.out = append(c.out, handoffAction{cancel: pt.job.id})
	}
	if pt.proof != nil && slices.ContainsFunc(pt.proof.sources, gone) {
		c.settle(pt)
	}
}

func (c *core) alive(p process) bool {
	start, ok := c.starts[p.id]
	return ok && start == p.start
}

// offers reports whether another process may merge what is held here. From an
// owner it may once it is an owner itself by this process's token and no write
// accepted under an earlier one is under way: what is written from then on
// reaches the other one as well, or counts as missed there. From a process that
// does not own any more it may once nothing is under way.
func (c *core) offers(pt *part, to process) bool {
	if !pt.holds || pt.leftover || !pt.fenced || !pt.recorded || pt.dropping() {
		return false
	}
	if pt.owner {
		return slices.Contains(pt.owners, to)
	}
	return pt.job == nil
}

// fenceDone says that the last write accepted under earlier tokens has ended.
func (c *core) fenceDone(p int, now time.Time) {
	if pt := c.parts[p]; pt != nil && !pt.fenced {
		pt.fenced = true
		pt.poll, pt.delay = now, 0
		c.wake(p)
	}
}

// touches returns the partitions that may stand otherwise than before, and
// forgets them.
func (c *core) touches() []int {
	touched := c.touched
	c.touched = nil
	return touched
}

// pause stops the core from starting anything, or lets it go on.
func (c *core) pause(paused bool, now time.Time) {
	if c.paused == paused {
		return
	}
	c.paused = paused
	for _, p := range c.sorted() {
		c.parts[p].poll, c.parts[p].delay = now, 0
		c.wake(p)
	}
}

// wake has a partition looked at by the next step.
func (c *core) wake(p int) {
	if !c.queued[p] {
		c.queued[p] = true
		c.queue = append(c.queue, p)
	}
}

func (c *core) sorted() []int {
	all := make([]int, 0, len(c.parts))
	for p := range c.parts {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}
