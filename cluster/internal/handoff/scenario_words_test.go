package handoff

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This file has the words that a scenario prints.

// word names a process: a2 is the second start of a.
func word(p Process) string {
	if p == (Process{}) {
		return "nobody"
	}
	return fmt.Sprint(p.ID, p.Start)
}

func wordsOf(s []Process) string {
	all := make([]string, len(s))
	for i, p := range s {
		all[i] = word(p)
	}
	return strings.Join(all, " ")
}

// number names a fence. With a journal the number of the start stands before it.
func number(fence uint64) string {
	if start := fence >> startsApart; start > 0 {
		return fmt.Sprint(start, ".", fence&(1<<startsApart-1))
	}
	return fmt.Sprint(fence)
}

// words names the members of an owner set. A star marks a member that was merged from, and a plus a
// member that is attested.
func (o ownerSet) words() string {
	var members []string
	for i, p := range *o.members {
		name := word(p)
		if o.is(markPending) && o.merged>>i&1 == 1 {
			name += "*"
		}
		if o.attested>>i&1 == 1 {
			name += "+"
		}
		members = append(members, name)
	}
	return "{" + strings.Join(members, " ") + "}"
}

// String is for the messages of tests that fail.
func (o ownerSet) String() string { return o.words() + " " + o.marks.words() }

var markWords = []struct {
	mark mark
	word string
}{
	{markPending, "pending"},
	{markConfirmed, "confirmed"},
	{markServed, "served"},
	{markReady, "ready"},
	{markComplete, "complete"},
	{markEarlier, "earlier"},
	{markReported, "reported"},
	{markServing, "serving"},
	{markBefore, "before"},
	{markPrior, "prior"},
	{markSettled, "settled"},
}

func (m mark) words() string {
	var all []string
	for _, w := range markWords {
		if m&w.mark != 0 {
			all = append(all, w.word)
		}
	}
	return strings.Join(all, " ")
}

// pendingWords names the pending sets of a ledger.
func (l ledger) pendingWords() string {
	text := ""
	for o := range l.with(markPending) {
		text += " " + o.words()
		if o.is(markConfirmed) {
			text += " confirmed"
		}
	}
	return text
}

// words says what is in a message.
func words(m *Message) string {
	text := "answer"
	if m.kind == query {
		text = "query"
	}
	for _, r := range m.reports {
		text += ": " + r.words()
	}
	if len(m.departed) > 0 {
		text += ": departed " + wordsOf(m.departed)
	}
	return text
}

func (r report) words() string {
	var all []string
	for _, flag := range []struct {
		is   byte
		word string
	}{
		{flagOwner, "owner"}, {flagReady, "ready"}, {flagOffers, "offers"}, {flagComplete, "complete"},
		{flagSees, "sees you own"}, {flagAsks, "asks for the past"},
	} {
		if r.is(flag.is) {
			all = append(all, flag.word)
		}
	}
	if r.fence > 0 {
		all = append(all, "fence "+number(r.fence))
	} else {
		all = append(all, "has nothing")
	}
	if r.merged > 0 {
		all = append(all, "has merged you as of "+number(r.merged))
	}
	if r.asked > 0 {
		all = append(all, "merge me as of "+number(r.asked))
	}
	for _, o := range r.sets {
		all = append(all, o.words()+" "+o.marks.words())
	}
	return strings.Join(all, ", ")
}

// job says what a job is to do.
func (p *member) job(j Job) string {
	switch {
	case j.Partition == WholeProcess:
		return "record which processes departed"
	case j.Kind == Save:
		return "save its record"
	case j.Kind == Release:
		return "release"
	}
	why := map[purpose]string{
		requested: "on request", quorum: "from ready owners", settling: "from members of pending sets", settlingAll: "from members of pending sets, all of them proven",
		salvage: "from what is left", searching: "in a loss check",
	}
	text := "merge " + wordsOf(j.Sources)
	if pt := p.machine.parts[0]; pt.job != nil && pt.job.ID == j.ID {
		text += " " + why[pt.job.purpose]
	}
	if j.Need < len(j.Sources) {
		text += fmt.Sprintf(", at least %d", j.Need)
	}
	return text
}

// standing says how a process stands with the partition.
func (p *member) standing() string {
	m := p.machine
	pt := m.parts[0]
	if pt == nil || pt.ownership == outside && pt.has == empty {
		return "has nothing" + m.lifeWords()
	}
	var all []string
	add := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	has := map[coverage]string{empty: "empty, ", leftover: "leftover, ", steady: "steady, ", complete: "complete, "}[pt.has]
	add(pt.ownership == outside, "former owner")
	add(pt.ownership == returned, "returned")
	add(pt.ownership == awaiting, "awaiting the end of a release")
	add(pt.ownership == owning && pt.ready(), "owner, ready")
	add(pt.ownership == owning && !pt.ready(), "owner, not ready")
	add(true, "%sfence %s", has, number(pt.fence))
	add(pt.ownership == owning && !pt.accepts(), "accepts no writes")
	add(!pt.drained && pt.has > leftover, "writes under way")
	add(pt.pending(), "pending%s", pt.sets.pendingWords())
	var asked set
	for _, o := range pt.others {
		if o.asked > 0 {
			asked = append(asked, o.process)
		}
	}
	add(len(asked) > 0, "asks %s to merge", wordsOf(asked))
	add(pt.check != nil && pt.pending(), "loss check")
	add(pt.lost, "possible loss")
	return strings.Join(all, ", ") + m.lifeWords()
}

// lifeWords says which lifecycle step the process may take next, or what prevents it.
func (m *Machine) lifeWords() string {
	switch sum := m.Summary(); {
	case m.paused != 0:
		return "; paused"
	case m.around.leaving && sum.Bare:
		return "; may leave"
	case sum.Stranded > 0:
		return "; stranded"
	case sum.HandedOver:
		return "; has handed over"
	default:
		return ""
	}
}

// writes says which writes a process has.
func (p *member) writes() string {
	if len(p.data) == 0 {
		return "has no write"
	}
	return "has " + strings.Join(slices.Sorted(maps.Keys(p.data)), " ")
}

// standings says how all processes stand.
func (s *scenario) standings() (text string) {
	for _, p := range s.sorted() {
		text += p.standing() + "\n"
	}
	return text
}

// printChanges prints the processes whose standing has changed.
func (s *scenario) printChanges() {
	for _, p := range s.sorted() {
		if stands := p.standing(); stands != p.stands {
			p.stands = stands
			s.print("%s: %s", word(p.Process), stands)
		}
	}
}

// status prints how processes stand, what they have, and their ledgers.
func (s *scenario) status(a arguments) {
	for _, p := range s.sorted() {
		if len(a.names) > 0 && !a.has(p.ID) {
			continue
		}
		s.print("%s: %s; %s", word(p.Process), p.standing(), p.writes())
		if pt := p.machine.parts[0]; pt != nil {
			for _, o := range pt.sets {
				s.print("  %s %s", o.words(), o.marks.words())
			}
		}
	}
}
