package cluster

import (
	"maps"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// A debt is owed to those who served before, as this process saw it. While news
// travels that can be wrong: around a cut, and while many begin at once, each member
// sees its own series of rings, and some of their owners never knew that they were,
// or have let go long ago. These cannot be merged from, and the debt would never be
// paid, though nothing is lost.
//
// So an owner that cannot pay asks everybody. Once it has merged from all that hold
// anything of the partition, it has what there is. What is left to find out is
// whether something may have been lost before: a write that was acknowledged is lost
// only with W processes that owned at the time. So it goes through the past, the
// newest set of owners first, back to firm ground: a set of which so many say that they
// were ready in it, or later, that nothing acknowledged until then can have been
// missing, or the set that began the cluster. If in none of these sets, nor in one that
// it or anybody it merged from is indebted to, so many as W are gone, nothing is lost.
// The past is as it has seen it itself, and served in it; or else as somebody has that
// it has merged from. Who has left in order is not gone: see farewells.

const (
	maxPastViews  = 32 // that a process remembers
	maxTenures    = 24 // that a process remembers of one partition
	fewTenures    = 8  // that it remembers when it was ready in all of them
	maxSuspicions = 64 // sets of owners that others were found to be indebted to
)

// pastView is a view as far as it matters to who served.
type pastView struct {
	ring   *ring.Ring
	starts map[string]uint64
}

// tenure is a set of serving owners that a process was one of.
type tenure struct {
	owners []process // ascending
	flags  byte
}

// Flags of a tenure.
const (
	tenureReady = 1 << iota // the process was ready in it, or later: nothing acknowledged until then was lost
	tenureFirst             // nothing was before it: the process began the cluster in it

	// In a record: the set is no tenure.
	tenureServing // the one that serves, when the process is an owner
	tenureOwed    // one that the process was told somebody is indebted to

	tenureKnown = tenureOwed<<1 - 1
)

// inquest is what an owner that cannot pay its debts has found out.
type inquest struct {
	past [][]process        // who served, as this process has seen it, the newest first
	word map[process]report // the last word of each process that takes this one for an owner
}

func ascending(owners []process) []process {
	return slices.SortedFunc(slices.Values(owners), process.compare)
}

// remember keeps a view for those partitions that this process begins to own later.
func (c *core) remember(v pastView) {
	if n := len(c.past); n > 0 && c.past[n-1].ring == v.ring && maps.Equal(c.past[n-1].starts, v.starts) {
		return
	}
	// Parts that began earlier share the slice: it is never written to.
	c.past = append(slices.Clone(c.past[max(0, len(c.past)+1-maxPastViews):]), v)
	c.nodes = make(map[process]bool)
	for _, nodes := range [][]ring.Node{v.ring.Nodes(), v.ring.Target().Nodes()} {
		for _, n := range nodes {
			c.nodes[process{n.ID, v.starts[n.ID]}] = true
		}
	}
}

// served notes that this process serves in the present set of owners, if it does.
func (c *core) served(pt *part) {
	serving := pt.owners[:pt.serving]
	if !slices.Contains(serving, c.self) {
		return
	}
	now := tenure{owners: ascending(serving)}
	if pt.ready() {
		now.flags |= tenureReady
	}
	if c.founding {
		now.flags |= tenureFirst
	}
	all := c.tenures[pt.id]
	if at := slices.IndexFunc(all, now.same); at >= 0 {
		now.flags |= all[at].flags
		all = slices.Delete(all, at, at+1)
	}
	all = append(all, now)
	most := maxTenures
	if len(all) > fewTenures && !slices.ContainsFunc(all[len(all)-fewTenures:], func(t tenure) bool { return t.flags == 0 }) {
		most = fewTenures
	}
	c.tenures[pt.id] = all[max(0, len(all)-most):]
}

func (t tenure) same(u tenure) bool { return slices.Equal(t.owners, u.owners) }

// pasts are the sets that served before this process became an owner, and those in
// which it has served, the newest first.
func (c *core) pasts(pt *part) [][]process {
	var sets [][]process
	for _, v := range slices.Backward(pt.past) {
		var owners []process
		for _, o := range v.ring.Placement(pt.id).All() {
			owners = append(owners, process{o.ID(), v.starts[o.ID()]})
		}
		sets = append(sets, ascending(owners))
	}
	for _, t := range slices.Backward(c.tenures[pt.id]) {
		sets = append(sets, t.owners)
	}
	return sets
}

// inquire asks everybody what they have and had of a partition. It reports whether
// it is certain that nothing acknowledged is missing here; while that is open, it
// returns from whom to merge next, or nothing when somebody's word is awaited.
func (c *core) inquire(pt *part, now time.Time) (sound, open bool, job *handoffJob) {
	if pt.inquest == nil {
		pt.inquest = &inquest{past: c.pasts(pt), word: make(map[process]report)}
		pt.poll, pt.delay = now, 0
		return false, true, nil
	}
	for _, o := range c.witnesses(pt) {
		word, heard := pt.inquest.word[o]
		switch {
		case !heard:
			open = true
		case word.fence == 0 || pt.merged[o] >= word.fence:
			// It has nothing, or all it had is here.
		case !word.is(flagOffers):
			open = true
		case job == nil:
			open, job = true, &handoffJob{sources: []handoffSource{word.source(o)}, need: 1}
		}
	}
	if open {
		return false, true, job
	}
	return c.unharmed(pt), false, nil
}

// witnesses are the processes alive that may have something of a partition, but
// for this one.
func (c *core) witnesses(pt *part) []process {
	all := maps.Clone(c.nodes)
	for _, d := range pt.debts {
		for _, o := range d.owed {
			all[o] = true
		}
	}
	if pt.inquest != nil {
		for _, owners := range pt.inquest.past {
			for _, o := range owners {
				all[o] = true
			}
		}
	}
	maps.DeleteFunc(all, func(o process, _ bool) bool { return o == c.self || !c.alive(o) })
	return slices.SortedFunc(maps.Keys(all), process.compare)
}

// unharmed reports whether no set of owners, back to firm ground, has lost so many
// that something acknowledged may be lost with them.
func (c *core) unharmed(pt *part) bool {
	if c.bereaved(pt) ||
		slices.ContainsFunc(pt.suspicions, c.harmed) || len(pt.suspicions) == maxSuspicions {
		return false
	}
	if c.certain(pt, pt.inquest.past) {
		return true
	}
	// Who has seen nothing, as after all were away, goes by what was owed, and by what
	// those have seen that it has merged from.
	for _, debts := range [][]debt{pt.debts, pt.paid} {
		for _, d := range debts {
			if c.certain(pt, [][]process{d.owed}) {
				return true
			}
		}
	}
	for _, owners := range pt.suspicions {
		if c.certain(pt, [][]process{owners}) {
			return true
		}
	}
	for _, word := range pt.inquest.word {
		var seen [][]process
		for _, t := range slices.Backward(word.tenures) {
			seen = append(seen, t.owners)
		}
		if word.fence > 0 && c.certain(pt, seen) {
			return true
		}
	}
	return false
}

// certain reports whether a past leads back to firm ground with no set harmed on the
// way.
func (c *core) certain(pt *part, past [][]process) bool {
	for _, owners := range past {
		if c.harmed(owners) {
			return false
		}
		ready := 0
		for _, o := range owners {
			known := pt.inquest.word[o].tenures
			if o == c.self {
				known = c.tenures[pt.id]
			}
			if at := slices.IndexFunc(known, tenure{owners: owners}.same); at >= 0 {
				if known[at].flags&tenureFirst != 0 {
					return true
				}
				ready += int(known[at].flags & tenureReady)
			}
		}
		if ready >= c.needed(len(owners)) {
			return true
		}
	}
	return false
}

// bereaved reports whether this process owes a set of owners that is harmed.
func (c *core) bereaved(pt *part) bool {
	return slices.ContainsFunc(pt.debts, func(d debt) bool { return c.harmed(d.owed) })
}

// harmed reports whether so many of a set of owners are gone that a write which they
// acknowledged may be lost.
func (c *core) harmed(owners []process) bool {
	gone := 0
	for _, o := range owners {
		if o != c.self && !c.alive(o) && !c.departed.has(o) {
			gone++
		}
	}
	return gone >= c.quorum
}

// suspect notes a set of owners that a source which was merged from is indebted to. Of
// two where one is part of the other the larger will do: it is harmed when the smaller
// is. Where there are too many it is one too many for good.
func (pt *part) suspect(owners []process) {
	contains := func(all, some []process) bool {
		return !slices.ContainsFunc(some, func(o process) bool { return !slices.Contains(all, o) })
	}
	if len(pt.suspicions) == maxSuspicions || slices.ContainsFunc(pt.suspicions, func(s []process) bool { return contains(s, owners) }) {
		return
	}
	pt.suspicions = slices.DeleteFunc(pt.suspicions, func(s []process) bool { return contains(owners, s) })
	pt.suspicions = append(pt.suspicions, owners)
}
