package cluster

import (
	"fmt"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// part is how this process stands with one partition.
type part struct {
	id      int
	owners  []process // of the present view: serving first, then those in the target alone
	serving int       // the first so many of owners serve
	target  []process // owners in the target
	token   ring.Token

	owner      bool      // this process is one of them, and has begun to be
	awaited    bool      // it is one of them, and begins when the old data is gone
	holds      bool      // there may be data that somebody needs
	leftover   bool      // what is held may be the rest of what was let go of before a restart
	fenced     bool      // no write accepted under earlier tokens is under way
	recorded   bool      // it would be known after a restart that this process holds it
	resumed    bool      // it was an owner when it stopped, and is none yet
	unrecorded bool      // something is to be told to the journal
	complete   bool      // every acknowledged write is here
	steady     bool      // every write since this process became an owner came here, too
	prior      []process // who served before this process became an owner
	vouched    []process // owners that came while every acknowledged write was here

	begun      uint64 // the fence at which the present ownership began
	fence      uint64
	debts      []debt
	paid       []debt             // that were paid on the way to being ready
	merged     map[process]uint64 // whom this owner has merged from, as of which fence of theirs
	asks       map[process]uint64 // owners that came after data had: they should merge it as of this fence
	seen       map[process]report // how the others say they stand
	past       []pastView         // the views before this process became an owner
	inquest    *inquest           // when the debts cannot be paid
	suspicions [][]process        // sets of owners that others are indebted to, from whom this owner has merged

	job   *handoffJob
	proof *handoffJob // a merge that is done, and whose sources are asked once more
	fails int
	retry time.Time // not before
	since time.Time // when the present need arose
	poll  time.Time // when to ask next
	delay time.Duration
	lost  bool // too few of those it needs are left, or were when it ceased to be an owner
}

// handoffJob is what the user's code is asked to do.
type handoffJob struct {
	id      uint64
	part    int
	release bool
	sources []handoffSource
	need    int
	begun   uint64 // the ownership it belongs to

	ask       bool   // for the sake of the source, which wants to let go
	quorum    bool   // from enough of those who are ready
	short     bool   // from what is left
	recording bool   // nothing is merged: the journal is told
	record    []byte // what it is told, also before a release
	all       bool   // which is of use only if all of them are proven

	seq     uint64 // the last query sent before the merge was done
	proven  map[process]bool
	refuted map[process]bool
}

// String names what is asked for.
func (j *handoffJob) String() string {
	switch {
	case j.part == noPartition:
		return "recording who left"
	case j.release:
		return fmt.Sprintf("releasing partition %d", j.part)
	case j.recording:
		return fmt.Sprintf("recording partition %d", j.part)
	default:
		return fmt.Sprintf("receiving partition %d", j.part)
	}
}

type handoffSource struct {
	process
	fence uint64
	whole bool
	debts []debt
	full  bool // complete
}

// vouch notes which of the owners came while every acknowledged write was here:
// what is written from then on reaches them, too, so that to them this process
// goes on standing for all that was before.
func (pt *part) vouch(had []process) {
	pt.vouched = slices.DeleteFunc(pt.vouched, func(o process) bool { return !slices.Contains(pt.owners, o) })
	for _, o := range pt.owners {
		if pt.complete && !slices.Contains(had, o) {
			pt.vouched = append(pt.vouched, o)
		}
	}
}

// owe adds a debt. One that is there already takes over what the other has paid.
func (pt *part) owe(d debt) {
	for i := range pt.debts {
		if pt.debts[i].same(d) {
			pt.debts[i].paid |= d.paid
			pt.debts[i].vouched = pt.debts[i].vouched || d.vouched
			return
		}
	}
	if slices.ContainsFunc(pt.paid, d.same) {
		return
	}
	if len(pt.debts) < maxHandoffDebts {
		pt.debts = append(pt.debts, d)
		return
	}
	// Beyond what can be told, be harder on ourselves: the last debt is now
	// owed to nobody who could be asked, and paid by those who are ready alone.
	pt.suspect(d.owed)
	if nobody := (debt{owed: []process{{}}}); !slices.ContainsFunc(pt.debts, nobody.same) {
		pt.suspect(pt.debts[maxHandoffDebts-1].owed)
		pt.debts[maxHandoffDebts-1] = nobody
	}
}

func (pt *part) dropping() bool { return pt.job != nil && pt.job.release }

// ready reports whether this owner has what an owner must have.
func (pt *part) ready() bool { return pt.accepts() && len(pt.debts) == 0 }

// accepts reports whether writes may be accepted: not while data is thrown away, nor
// before the journal knows.
func (pt *part) accepts() bool { return pt.owner && pt.recorded && !pt.dropping() }
