package handoff

import (
	"cmp"
	"iter"
	"slices"
)

// Bounds of the ledger of one partition, and of the owner sets in one report.
const (
	maxMembers  = 16  // members of one owner set
	maxPending  = 16  // owner sets that are pending
	maxServed   = 24  // owner sets in which this process served
	fewServed   = 8   // the bound when the process was ready in each of the last 8 sets
	maxReported = 64  // owner sets of which other processes lack writes
	maxSets     = 128 // owner sets in one report
)

// mark says what is known of an owner set. A set has any number of marks.
type mark uint16

const (
	markPending   mark = 1 << iota // this owner may lack writes that the set accepted
	markConfirmed                  // a member of the pending set that was merged from has every acknowledged write
	markServed                     // this process served in the set
	markReady                      // this process was ready in the set, or later: nothing acknowledged until then was missing
	markComplete                   // this process was complete in the set, or later; a founder is complete from the beginning
	markEarlier                    // this process was ready or complete when it served in the set before; other sets may have served since
	markReported                   // a process that was merged from lacked writes of the set
	markServing                    // in a record: the set that serves, while the process is an owner

	// The marks below are not written into messages and records.

	markBefore  // the set served before this process became an owner, as this process saw it
	markPrior   // the last set before the ownership; it becomes pending when the ownership begins
	markSettled // the set was pending, and is no longer, while other sets still are

	marksOfPast  = markServed | markReady | markComplete | markEarlier
	marksWritten = markServing<<1 - 1
)

// quorums are two numbers of a configuration: RF, how many owners a partition has, and W, how many of
// them must acknowledge a write.
type quorums struct{ factor, writes uint8 }

// counted returns the quorums that count for an owner set. While handoff is off, W counts as RF, because
// each owner counts as complete.
func (q quorums) counted() quorums { return quorums{q.factor, cmp.Or(q.writes, q.factor)} }

// slack returns RF − W: how many owners may lack an acknowledged write.
func (q quorums) slack() int { return int(q.factor) - int(q.writes) }

// ownerSet is a set of owners that served together, with what is known of it.
type ownerSet struct {
	members  *set   // shared
	quorums         // under which the members served; of several the hardest to satisfy
	merged   uint16 // if the set is pending: which members were merged from, a bit for each index
	attested uint16 // of a set of the past: which members were ready in it and merged from later
	marks    mark
}

// needed returns from how many members a process must have merged so that it misses no write that the set
// acknowledged. This number of members shares a member with every write quorum. RF counts, because owners
// that are not in the set may have taken part in a write. The number is at least 1.
func (o ownerSet) needed() int { return max(max(len(*o.members), int(o.factor))-int(o.writes)+1, 1) }

func (o *ownerSet) is(m mark) bool { return o.marks&m != 0 }

// keep removes all marks but m, and clears the fields that belong to removed marks.
func (o *ownerSet) keep(m mark) {
	if o.marks &= m; !o.is(markPending) {
		o.merged, o.marks = 0, o.marks&^markConfirmed
	}
	if !o.is(marksOfPast) {
		o.attested = 0
	}
}

// ready returns which members were ready in the set, as one process reports it: the members that it
// attests, and the process itself if it has given the set a mark of m.
func (o ownerSet) ready(by Process, m mark) uint16 {
	if o.merged = o.attested; o.is(m) {
		o.strike(by)
	}
	return o.merged
}

// missing iterates over the members that were not merged from.
func (o ownerSet) missing() iter.Seq[Process] {
	return func(yield func(Process) bool) {
		for i, p := range *o.members {
			if o.merged>>i&1 == 0 && !yield(p) {
				return
			}
		}
	}
}

// bit returns the bit of a process in merged and attested, and 0 if the process is no member of the set.
func (o ownerSet) bit(p Process) uint16 {
	if at := slices.Index(*o.members, p); at >= 0 {
		return 1 << at
	}
	return 0
}

// strike marks a process as merged from, if the process is a member of the set.
func (o *ownerSet) strike(p Process) (member bool) {
	bit := o.bit(p)
	o.merged |= bit
	return bit != 0
}

// ledger is what a process knows of the owner sets of one partition. Each set is in it once. The order is
// that in which the sets were last seen to serve.
type ledger []ownerSet

// with iterates over the sets that have any mark of m, the oldest first.
func (l ledger) with(m mark) iter.Seq[ownerSet] {
	return func(yield func(ownerSet) bool) {
		for _, o := range l {
			if o.is(m) && !yield(o) {
				return
			}
		}
	}
}

// past returns the sets that have any mark of m, the newest first.
func (l ledger) past(m mark) ledger {
	sets := slices.Collect(l.with(m))
	slices.Reverse(sets)
	return sets
}

func (l ledger) count(m mark) (n int) {
	for i := range l {
		if l[i].is(m) {
			n++
		}
	}
	return n
}

// has reports whether any set has any mark of m.
func (l ledger) has(m mark) bool {
	for i := range l {
		if l[i].is(m) {
			return true
		}
	}
	return false
}

func (l ledger) find(members *set) int {
	for i := range slices.Backward(l) {
		if l[i].members == members { // nearly always, where the set is in the ledger
			return i
		}
	}
	for i := range slices.Backward(l) {
		if l[i].members.is(*members) {
			return i
		}
	}
	return -1
}

// marks returns the marks of a set, none when the ledger does not have it.
func (l ledger) marks(members *set) mark {
	if at := l.find(members); at >= 0 {
		return l[at].marks
	}
	return 0
}

// only returns copies of the sets that have any mark of m, without their other marks.
func (l ledger) only(m mark) (some ledger) {
	for o := range l.with(m) {
		o.keep(m)
		some = append(some, o)
	}
	return some
}

// add gives a set a mark, and returns its index. A set that is in the ledger already keeps the quorums
// that are harder to satisfy.
func (l *ledger) add(members *set, q quorums, m mark) (at int) {
	at = l.find(members)
	if at < 0 {
		at = len(*l)
		*l = append(*l, ownerSet{members: members, quorums: q})
	}
	o := &(*l)[at]
	o.marks |= m
	o.quorums = quorums{max(o.factor, q.factor), min(o.writes, q.writes)}
	return at
}

// addNewest gives a set a mark and makes it the newest.
func (l *ledger) addNewest(members *set, q quorums, m mark) {
	at := l.add(members, q, m)
	newest := (*l)[at]
	copy((*l)[at:], (*l)[at+1:])
	(*l)[len(*l)-1] = newest
}

// drop removes marks from all sets, and deletes the sets without a mark.
func (l *ledger) drop(m mark) { l.dropWhere(m, func(ownerSet) bool { return true }) }

// dropWhere removes marks from the sets that meet a condition, and deletes the sets without a mark.
func (l *ledger) dropWhere(m mark, which func(ownerSet) bool) {
	kept := (*l)[:0]
	for _, o := range *l {
		if o.is(m) && which(o) {
			o.keep(^m)
		}
		if o.marks != 0 {
			kept = append(kept, o)
		}
	}
	clear((*l)[len(kept):])
	*l = kept
}

// await makes a set pending. If the set is pending already, it takes over which members of o were merged
// from. A set that was settled since this process became an owner stays settled.
func (l *ledger) await(o ownerSet) {
	had := l.marks(o.members)
	switch {
	case had&markSettled != 0:
	case had&markPending != 0 || l.count(markPending) < maxPending:
		at := l.add(o.members, o.quorums, markPending|o.marks&markConfirmed)
		(*l)[at].merged |= o.merged
	default:
		// Beyond the bound the owner becomes harder to satisfy: a set of the zero Process, from which
		// nothing can be merged, replaces the last pending set.
		l.report(o)
		if nobody := &(set{{}}); l.marks(nobody)&markPending == 0 {
			last := l.past(markPending)[0]
			l.report(last)
			l.dropWhere(markPending, func(o ownerSet) bool { return o.members == last.members })
			l.add(nobody, o.quorums, markPending)
		}
	}
}

// report marks a set as reported: a process that was merged from lacks writes of the set. Of two sets
// where one contains the other, the larger set is enough: it is depleted when the smaller one is. At the
// bound nothing is added, and the loss check finds no evidence any more.
func (l *ledger) report(r ownerSet) {
	n := 0
	for o := range l.with(markReported) {
		if n++; o.members.contains(*r.members) && o.writes <= r.writes {
			return
		}
	}
	if n < maxReported {
		l.dropWhere(markReported, func(o ownerSet) bool { return r.members.contains(*o.members) && r.writes <= o.writes })
		l.add(r.members, r.quorums, markReported)
	}
}

// serve records the set in which this process serves now, with marks. Marks of an earlier time stay only
// where the process goes on serving in the set. Otherwise other sets may have served since.
func (l *ledger) serve(members *set, q quorums, m mark, goesOn bool) {
	newest := len(*l) - 1
	for newest >= 0 && !(*l)[newest].is(markServed) {
		newest--
	}
	if at := l.find(members); at >= 0 && (!goesOn || newest != at) {
		o := &(*l)[at]
		if o.is(markReady | markComplete | markEarlier) {
			m |= markEarlier
		}
		if o.keep(^marksOfPast); o.marks == 0 {
			o.quorums = q
		}
	}
	l.addNewest(members, q, markServed|m)
	served, ready := 0, true
	for i := range slices.Backward(*l) {
		o := &(*l)[i]
		if !o.is(markServed) {
			continue
		}
		if served++; served > maxServed || served > fewServed && ready {
			o.keep(^marksOfPast)
		}
		ready = ready && (served > fewServed || o.is(markReady|markComplete))
	}
	if served > fewServed {
		l.drop(0) // delete the sets that have no mark left
	}
}
