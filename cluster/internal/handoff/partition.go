package handoff

import "slices"

// ownership says whether this process is an owner of a partition.
type ownership uint8

const (
	outside  ownership = iota // this process is no owner; data that is here is left from a former ownership
	returned                  // this process was an owner when an earlier start stopped, and is no owner yet
	awaiting                  // this process becomes an owner as soon as a running release has ended
	owning                    // this process is an owner
)

// coverage says what this process has of a partition.
type coverage uint8

const (
	empty    coverage = iota // nothing
	leftover                 // data that an interrupted release may have left; the data does not count
	partial                  // data; since this process became an owner, writes may have been acknowledged without it
	steady                   // data, and every write acknowledged since this process became an owner
	complete                 // every acknowledged write
)

// recorded says what the journal knows of a partition.
type recorded uint8

const (
	unsaved recorded = iota // the journal does not know that this process has the partition
	saving                  // the journal does not know the partition yet, and a save is under way
	saved                   // the journal knows everything
	stale                   // the journal knows that this process has the partition, but lacks the latest state
)

// asking says when a partition asks other processes how they stand with it.
type asking uint8

const (
	quiet   asking = iota // not before something happens
	waiting               // when the timer is due
	again                 // with the next batch of messages, as before
	anew                  // with the next batch of messages, because something is new
)

// timers is a set of kinds of timers.
type timers uint8

func (t timers) has(k TimerKind) bool { return t>>k&1 == 1 }

// owners are the owners of a partition in one view. They are immutable, and shared by the partitions with
// the same owners.
type owners struct {
	serving, target, all set
	served               *set // serving, for ledgers
	own                  bool // the member of this process is one of them
}

// attention says when the machine must look at a partition.
type attention struct {
	asking asking
	timers timers // Patience and Retry, where they are armed
	queued bool   // in the queue of this step
	rests  bool   // nothing to do, and no process to wait for, while the owners stay the same
}

// partition is how this process stands with one partition.
type partition struct {
	id     int
	owners *owners
	state
	attention
	drained bool   // no write accepted under an earlier token is under way
	lost    bool   // an acknowledged write may be gone
	covered uint32 // which owners came while this process was complete, a bit for each place
	begun   uint64 // the fence at which the present ownership began; after a release, the number of eras
	fence   uint64 // the last fence; fences are compared for order and equality only
	sets    ledger
	*activity
}

// state is what docs/handoff.md draws: the ownership, the coverage, and what the journal knows.
type state struct {
	ownership ownership
	has       coverage
	journal   recorded
}

// surroundings are the state of the process on which the decisions of each partition depend.
type surroundings struct {
	self     Process
	config   Config
	quorums  quorums           // those of the configuration in use; a write quorum of 0: handoff is off
	starts   map[string]uint64 // starts of the members in the last view with handoff off, because its ring has none
	alive    map[Process]bool  // false: the process is away
	departed []Process         // processes that left after handing everything over, the newest last
	owners   set               // every process that owns anything in the last view
	founding bool              // this process founds the cluster, or handoff is off: there is nothing to receive
	draining bool
	leaving  bool
	fences   *uint64 // the last fence given out

	shared []*set // a hash table of recent owner sets: equal sets share memory
}

// off reports whether the configuration in use has no handoff.
func (s *surroundings) off() bool { return s.quorums.factor > 0 && s.quorums.writes == 0 }

func (s *surroundings) fence() uint64 {
	*s.fences++
	return *s.fences
}

// stays reports whether a process is alive or away.
func (s *surroundings) stays(p Process) bool { _, ok := s.alive[p]; return ok }

// depleted reports whether W or more members of an owner set are gone without having handed over: a write
// that these members acknowledged may be lost. The zero Process stands for owners that are not known.
func (s *surroundings) depleted(o ownerSet) bool {
	gone := 0
	for _, p := range *o.members {
		if p != s.self && p != (Process{}) && !s.stays(p) && !slices.Contains(s.departed, p) {
			gone++
		}
	}
	return gone >= int(o.writes)
}

// unheard returns what the journal knows of a partition of which nothing was saved.
func (s *surroundings) unheard() recorded {
	if s.config.Durable && !s.off() {
		return unsaved
	}
	return saved // there is nothing to save
}

// change records that the journal lacks the latest state.
func (r *recorded) change() {
	switch *r {
	case saved:
		*r = stale
	case saving:
		*r = unsaved
	}
}

// end processes the end of a save.
func (r *recorded) end() {
	switch *r {
	case saving:
		*r = saved
	case unsaved: // something changed meanwhile
		*r = stale
	}
}

// becomeOwner makes this process an owner. The process may lack writes that earlier owners accepted.
func (pt *partition) becomeOwner(s *surroundings, out *effects) {
	wasReady := pt.has > leftover && !pt.pending()
	next := s.fence()
	pt.others = nil
	if pt.has > empty && !s.config.Without.is(WithoutRequests) {
		for _, o := range pt.owners.all {
			if o != s.self {
				pt.others.at(o).asked = next
			}
		}
	}
	pt.begun, pt.fence = next, next
	pt.sets.drop(markReported | markSettled)
	pt.has, pt.lost, pt.check, pt.proof, pt.failed = steady, false, nil, nil, Process{}
	pt.timers = 1 << Patience
	out.arm(pt.id, Patience, true)
	var prior ownerSet
	for prior = range pt.sets.with(markPrior) {
	}
	pt.sets.drop(markPrior)
	switch {
	case prior.members == nil && s.founding:
		if !pt.pending() {
			pt.has = complete
		}
	case prior.members == nil && pt.ownership != returned:
		pt.sets.await(ownerSet{members: &set{{}}, quorums: s.quorums})
	case prior.members != nil && (!wasReady || !s.config.Without.is(WithoutPending)):
		pt.sets.await(ownerSet{members: prior.members, quorums: prior.quorums})
	}
	pt.ownership = owning
	pt.journal.change()
	pt.serve(s, false)
	pt.weaken(s)
}

// weaken makes the coverage partial if writes may be acknowledged without this owner. That is not
// possible where serving or target has W owners or fewer, and this process is one of them.
func (pt *partition) weaken(s *surroundings) {
	needed := func(owners set) bool { return len(owners) <= int(s.quorums.writes) && owners.has(s.self) }
	if !needed(pt.owners.serving) && !needed(pt.owners.target) {
		pt.has = partial
	}
}

// becomeFormer ends an ownership. The process keeps its data until every owner has that data. The process
// is not ready any more, whatever becomes of the ring.
func (pt *partition) becomeFormer(s *surroundings, out *effects) {
	pt.fence = s.fence()
	pt.ownership, pt.has, pt.covered = outside, partial, 0
	pt.timers, pt.others = 0, nil
	pt.proof, pt.check = nil, nil
	pt.sets.drop(markReported)
	pt.journal.change()
	if pt.job != nil && pt.job.Kind != Release {
		out.Cancel = append(out.Cancel, pt.job.ID)
	}
}

// becomeEmpty completes a release: no data is left here.
func (pt *partition) becomeEmpty(s *surroundings) {
	pt.fence = s.fence()
	pt.has, pt.timers, pt.others = empty, 0, nil
	if pt.ownership == returned {
		pt.ownership = outside
	}
	pt.sets.drop(markPending | markBefore)
	pt.journal = s.unheard()
}

// becomeReady makes an owner ready.
func (pt *partition) becomeReady(out *effects) {
	pt.sets.drop(markPending | markSettled)
	pt.lost, pt.check = false, nil
	is := markReady
	if pt.has == steady {
		pt.has, is = complete, is|markComplete
	}
	for i := range pt.sets {
		if pt.sets[i].is(markServed) {
			pt.sets[i].marks |= is
		}
	}
	for _, o := range pt.others {
		if o.heard() {
			out.mail.note(o.process, pt.id)
		}
	}
	pt.journal.change()
}

// cover records which of the owners came while this process was complete. Later writes are sent to these
// owners too. So this process still has every write acknowledged before they came.
func (pt *partition) cover(had *owners) {
	if pt.covered == 0 && pt.has != complete || pt.owners.all.is(had.all) {
		return
	}
	was := pt.covered
	pt.covered = 0
	for i, o := range pt.owners.all {
		if at := slices.Index(had.all, o); at >= 0 && was>>at&1 == 1 || at < 0 && pt.has == complete {
			pt.covered |= 1 << i
		}
	}
}

// covers reports whether a process is an owner that cover recorded.
func (pt *partition) covers(p Process) bool {
	at := slices.Index(pt.owners.all, p)
	return at >= 0 && pt.covered>>at&1 == 1
}

// serve records the present serving owners in the ledger, if this process is one of them. With goesOn it
// was an owner in the view before too.
func (pt *partition) serve(s *surroundings, goesOn bool) {
	if !pt.owners.serving.has(s.self) {
		return
	}
	m := markServed
	if pt.ready() {
		m |= markReady
	}
	if pt.has == complete {
		m |= markComplete
	}
	pt.sets.serve(pt.owners.served, s.quorums.counted(), m, goesOn)
}

func (pt *partition) pending() bool { return pt.sets.has(markPending) }

func (pt *partition) releasing() bool { return pt.job != nil && pt.job.Kind == Release }

// accepts reports whether writes may be accepted: not while data is deleted, nor before the
// journal knows of the partition.
func (pt *partition) accepts() bool {
	return pt.ownership == owning && pt.journal >= saved && !pt.releasing()
}

// ready reports whether this process is an owner that accepts writes and has no pending set.
func (pt *partition) ready() bool { return pt.accepts() && !pt.pending() }

// offers reports whether another process may merge the data that is here. No write accepted under an
// earlier token may be under way. An owner offers its data only to the owners of its present view: later
// writes are sent to them too. A former owner offers its data to any process while no job runs.
func (pt *partition) offers(to Process) bool {
	if pt.has <= leftover || !pt.drained || pt.journal < saved || pt.releasing() {
		return false
	}
	if pt.ownership == owning {
		return pt.owners.all.has(to)
	}
	return pt.job == nil
}

// unrecorded reports whether the journal lacks the latest state of the partition.
func (pt *partition) unrecorded(s *surroundings) bool {
	return s.config.Durable && !s.off() && (pt.journal == unsaved || pt.journal == stale) && pt.has > empty
}

// handing reports whether this draining owner hands the partition over to target owners.
func (pt *partition) handing(s *surroundings) bool {
	return s.draining && pt.ownership == owning && !pt.owners.target.has(s.self)
}

// unfinished reports whether this process has to save, merge, hand over or release the partition.
func (pt *partition) unfinished(s *surroundings) bool {
	if pt.unrecorded(s) {
		return true
	}
	if pt.ownership != owning {
		return pt.has > empty
	}
	return pt.pending() || pt.proof != nil || pt.others.anyAsked() || pt.handing(s)
}

// other is what a partition knows of another process.
type other struct {
	process Process
	merged  uint64  // the fence of the other process as of which this owner has merged its data; 0: none
	asked   uint64  // the fence of this process as of which the other one should merge the data here; 0: none
	said    *report // the last report of the process under the present token, immutable; never nil
}

// silent stands for the report of a process that has sent none.
var silent = &report{}

func (o other) heard() bool { return o.said != silent }

// others are ascending by process.
type others []other

func (o others) find(p Process) (int, bool) {
	return slices.BinarySearchFunc(o, p, func(o other, p Process) int { return o.process.Compare(p) })
}

// at returns what is known of a process, for the caller to change.
func (o *others) at(p Process) *other {
	i, known := o.find(p)
	if !known {
		if *o == nil {
			*o = make(others, 0, 4)
		}
		*o = slices.Insert(*o, i, other{process: p, said: silent})
	}
	return &(*o)[i]
}

// of returns what is known of a process.
func (o others) of(p Process) other {
	if i, known := o.find(p); known {
		return o[i]
	}
	return other{process: p, said: silent}
}

// forget drops the last report of every process.
func (o *others) forget() {
	for i := len(*o) - 1; i >= 0; i-- {
		if known := &(*o)[i]; known.asked == 0 && known.merged == 0 {
			*o = slices.Delete(*o, i, i+1)
		} else {
			known.said = silent
		}
	}
	if len(*o) == 0 {
		*o = nil
	}
}

func (o others) anyAsked() bool {
	for i := range o {
		if o[i].asked > 0 {
			return true
		}
	}
	return false
}
