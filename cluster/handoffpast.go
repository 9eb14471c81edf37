package cluster

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

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
// only with W processes that owned at the time. So it goes through the past as it has
// seen it, the newest set of owners first, back to firm ground: a set of which so many
// say that they were ready in it that nothing acknowledged before can have been
// missing then, or the set that began the cluster. If in none of these sets, nor in
// one that it or anybody it merged from is indebted to, so many as W are gone,
// nothing is lost.

const (
	maxPastViews  = 32 // that a process remembers
	maxTenures    = 16 // that a process remembers of one partition
	maxSuspicions = 32 // sets of owners that others were found to be indebted to
)

// pastView is a view as far as it matters to who served.
type pastView struct {
	ring   *ring.Ring
	starts map[string]uint64
}

// tenure is a set of serving owners that this process was one of.
type tenure struct {
	owners uint64 // the set's hash
	flags  byte
}

// Flags of a tenure.
const (
	tenureReady = 1 << iota // this process was ready in it, or later: nothing acknowledged before was lost
	tenureFirst             // nothing was before it: this process began the cluster in it

	tenureKnown = tenureFirst<<1 - 1
)

// inquest is what an owner that cannot pay its debts has found out.
type inquest struct {
	past [][]process        // who served before this process became an owner, the newest first
	word map[process]report // the last word of each process that takes this one for an owner
}

// ownersHash names a set of owners, whatever their order.
func ownersHash(owners []process) uint64 {
	var d xxhash.Digest
	d.Reset()
	var b []byte
	for _, o := range slices.SortedFunc(slices.Values(owners), process.compare) {
		b = binary.LittleEndian.AppendUint16(b[:0], uint16(len(o.id)))
		b = append(b, o.id...)
		b = binary.LittleEndian.AppendUint64(b, o.start)
		_, _ = d.Write(b) // a Digest's Write cannot fail
	}
	return d.Sum64()
}

// remember keeps a view for those partitions that this process begins to own later.
func (c *core) remember(v pastView) {
	if n := len(c.past); n > 0 && c.past[n-1].ring == v.ring && maps.Equal(c.past[n-1].starts, v.starts) {
		return
	}
	// Parts that began earlier share the slice: it is never written to.
	c.past = append(slices.Clone(c.past[max(0, len(c.past)+1-maxPastViews):]), v)
	c.nodes = c.nodes[:0:0]
	for _, nodes := range [][]ring.Node{v.ring.Nodes(), v.ring.Target().Nodes()} {
		for _, n := range nodes {
			if p := (process{n.ID, v.starts[n.ID]}); !slices.Contains(c.nodes, p) {
				c.nodes = append(c.nodes, p)
			}
		}
	}
}

// served notes that this process serves in the present set of owners, if it does.
func (c *core) served(pt *part) {
	serving := pt.owners[:pt.serving]
	if !slices.Contains(serving, c.self) {
		return
	}
	now := tenure{owners: ownersHash(serving)}
	if pt.ready() {
		now.flags |= tenureReady
	}
	if c.founding {
		now.flags |= tenureFirst
	}
	all := c.tenures[pt.id]
	if at := slices.IndexFunc(all, func(t tenure) bool { return t.owners == now.owners }); at >= 0 {
		all[at].flags |= now.flags
		return
	}
	if len(all) == maxTenures {
		all = all[1:]
	}
	c.tenures[pt.id] = append(all, now)
}

// tenuresIn answers what another process asks about the past.
func (c *core) tenuresIn(p int, sets [][]process) []tenure {
	var known []tenure
	for _, owners := range sets {
		set := ownersHash(owners)
		for _, t := range c.tenures[p] {
			if t.owners == set && t.flags != 0 {
				known = append(known, t)
			}
		}
	}
	return known
}

// pasts are the sets that served before this process became an owner, the newest
// first.
func (pt *part) pasts() [][]process {
	var sets [][]process
	known := make(map[uint64]bool)
	for _, v := range slices.Backward(pt.past) {
		var owners []process
		for _, o := range v.ring.Placement(pt.id).All() {
			owners = append(owners, process{o.ID(), v.starts[o.ID()]})
		}
		if set := ownersHash(owners); len(owners) > 0 && !known[set] && len(sets) < maxHandoffPasts {
			known[set] = true
			sets = append(sets, owners)
		}
	}
	return sets
}

// inquire asks everybody what they have and had of a partition. It reports whether
// it is certain that nothing acknowledged is missing here; while that is open, it
// returns from whom to merge next, or nothing when somebody's word is awaited.
func (c *core) inquire(pt *part, now time.Time) (sound, open bool, job *handoffJob) {
	if pt.inquest == nil {
		pt.inquest = &inquest{past: pt.pasts(), word: make(map[process]report)}
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
	all := slices.Clone(c.nodes)
	add := func(owners []process) {
		for _, o := range owners {
			if c.alive(o) && !slices.Contains(all, o) {
				all = append(all, o)
			}
		}
	}
	for _, d := range pt.debts {
		add(d.owed)
	}
	if pt.inquest != nil {
		for _, owners := range pt.inquest.past {
			add(owners)
		}
	}
	return slices.DeleteFunc(all, func(o process) bool { return o == c.self || !c.alive(o) })
}

// unharmed reports whether no set of owners, back to firm ground, has lost so many
// that something acknowledged may be lost with them.
func (c *core) unharmed(pt *part) bool {
	if slices.ContainsFunc(pt.debts, func(d debt) bool { return c.harmed(d.owed) }) ||
		slices.ContainsFunc(pt.suspicions, c.harmed) || len(pt.suspicions) == maxSuspicions {
		return false
	}
	for _, owners := range pt.inquest.past {
		if c.harmed(owners) {
			return false
		}
		if c.firm(pt, owners) {
			return true
		}
	}
	// Who has seen nothing, as after all were away, goes by what it has paid, and by
	// what those owed that it has merged from.
	return slices.ContainsFunc(pt.owed(), func(owners []process) bool { return c.firm(pt, owners) })
}

// owed are the sets that this owner is or was indebted to, or those are that it has
// merged from.
func (pt *part) owed() [][]process {
	var all [][]process
	for _, debts := range [][]debt{pt.paid, pt.debts} {
		for _, d := range debts {
			all = append(all, d.owed)
		}
	}
	return append(all, pt.suspicions...)
}

// firm reports whether nothing acknowledged was lost before, or in, a set of owners.
func (c *core) firm(pt *part, owners []process) bool {
	ready, set := 0, ownersHash(owners)
	for _, o := range owners {
		known := pt.inquest.word[o].tenures
		if o == c.self {
			known = c.tenures[pt.id]
		}
		for _, t := range known {
			if t.owners == set && t.flags&tenureFirst != 0 {
				return true
			}
			if t.owners == set {
				ready += int(t.flags & tenureReady)
			}
		}
	}
	return ready >= c.needed(len(owners))
}

// doubtful are the sets of owners that others are asked about.
func (pt *part) doubtful() [][]process {
	if pt.inquest == nil {
		return nil
	}
	all := slices.Concat(pt.inquest.past, pt.owed())
	return all[:min(len(all), maxHandoffPasts)]
}

// harmed reports whether so many of a set of owners are gone that a write which they
// acknowledged may be lost.
func (c *core) harmed(owners []process) bool {
	gone := 0
	for _, o := range owners {
		if o != c.self && !c.alive(o) {
			gone++
		}
	}
	return gone >= c.quorum
}

// suspect notes what a source that was merged from is indebted to.
func (pt *part) suspect(debts []debt) {
	for _, d := range debts {
		if len(pt.suspicions) == maxSuspicions || slices.ContainsFunc(pt.suspicions, func(s []process) bool { return slices.Equal(s, d.owed) }) {
			continue
		}
		pt.suspicions = append(pt.suspicions, d.owed)
		if pt.inquest != nil {
			clear(pt.inquest.word) // all have to be asked about it
		}
	}
}
