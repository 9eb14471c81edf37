package handoff

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Many members start at once. Each member sees its own series of rings, and takes processes for earlier
// owners that had no data by then. All members become ready, and no member reports possible loss.
func TestManyMembersStartAtOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(seedCount(5, 80)) {
		w := newWorld(t, seed+1)
		w.start("n000", true)
		for i := 1; i < 12; i++ {
			w.run(w.upTo(300 * time.Millisecond))
			w.start(fmt.Sprintf("n%03d", i), false)
		}
		w.await(time.Minute, "the beginning")
		w.require(t)
		require.Zero(t, w.lost(), "seed %d", seed+1)
	}
}

// Possible loss stays reported until a person accepts it, whatever the owners are meanwhile.
func TestPossibleLossStaysReported(t *testing.T) {
	w := newWorld(t, 1)
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		w.start(id, id == "a")
		w.run(2 * time.Second)
	}
	w.await(time.Minute, "the beginning")
	require.Empty(t, w.wrong)
	for _, id := range []string{"e", "f"} {
		a := w.live[id]
		delete(w.live, id)
		a.dead = true
		w.reportGone(a, 0)
	}
	w.run(20 * time.Second)
	reported := func() map[int]bool {
		of := make(map[int]bool)
		for _, a := range w.live {
			for pt := range a.machine.all() {
				if pt.lost {
					of[pt.id] = true
				}
			}
		}
		return of
	}
	before := reported()
	require.NotEmpty(t, before, "some partition had two of its owners among those that are gone")
	for i := range 4 {
		w.start(fmt.Sprint("g", i), false)
		w.run(10 * time.Second)
	}
	require.Equal(t, before, reported())
	for _, a := range w.live {
		for p := range before {
			a.step(LossAccepted{p})
		}
	}
	w.await(time.Minute, "the end")
	w.require(t)
	require.Empty(t, reported())
}

// An owner that cannot settle a pending set walks back through the owner sets. It counts the members that
// are gone in each set, until a set in which a quorum was ready.
func TestTheLossCheckGoesBackToASetThatWasReady(t *testing.T) {
	a, b, c, d, e := Process{"a", 1}, Process{"b", 2}, Process{"c", 3}, Process{"d", 4}, Process{"e", 5}
	ready := func(owners ...Process) ownerSet {
		return ownerSet{members: (*set)(&owners), quorums: quorums{3, 2}, marks: markServed | markReady}
	}
	first := func(owners ...Process) ownerSet {
		return ownerSet{members: (*set)(&owners), quorums: quorums{3, 2}, marks: markServed | markComplete}
	}
	for name, tt := range map[string]struct {
		gone   []Process
		past   []set // the newest first
		words  map[Process]ledger
		others []set // the pending sets of processes that were merged from
		want   bool
	}{
		"no past":                   {want: false},
		"two say that they were":    {past: []set{{a, b, c}}, words: map[Process]ledger{b: {ready(a, b, c)}, c: {ready(a, b, c)}}, want: true},
		"one says that it was":      {past: []set{{a, b, c}}, words: map[Process]ledger{b: {ready(a, b, c)}}, want: false},
		"of another set":            {past: []set{{a, b, c}}, words: map[Process]ledger{b: {ready(a, b)}, c: {ready(a, b, c)}}, want: false},
		"itself and another":        {past: []set{{a, b, e}}, words: map[Process]ledger{b: {ready(a, b, e)}}, want: true},
		"it began the cluster":      {past: []set{{b}}, words: map[Process]ledger{b: {first(b)}}, want: true},
		"alone, but not the first":  {past: []set{{b}}, words: map[Process]ledger{b: {ready(b)}}, want: false},
		"further back":              {past: []set{{a, d}, {a, b, c}}, words: map[Process]ledger{b: {ready(a, b, c)}, c: {ready(a, b, c)}}, want: true},
		"one of the set is gone":    {gone: []Process{a}, past: []set{{a, b, c}}, words: map[Process]ledger{b: {ready(a, b, c)}, c: {ready(a, b, c)}}, want: true},
		"two on the way are gone":   {gone: []Process{a, d}, past: []set{{a, d}, {a, b, c}}, words: map[Process]ledger{b: {ready(a, b, c)}, c: {ready(a, b, c)}}, want: false},
		"two beyond it are gone":    {gone: []Process{a, d}, past: []set{{b, c}, {a, b, d}}, words: map[Process]ledger{b: {ready(b, c)}, c: {ready(b, c)}}, want: true},
		"two of another's are gone": {gone: []Process{a, d}, past: []set{{b, c}}, words: map[Process]ledger{b: {ready(b, c)}, c: {ready(b, c)}}, others: []set{{a, c, d}}, want: false},
		"one of another's only":     {gone: []Process{a}, past: []set{{b, c}}, words: map[Process]ledger{b: {ready(b, c)}, c: {ready(b, c)}}, others: []set{{a, c, d}}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &surroundings{self: e, quorums: quorums{3, 2}, alive: map[Process]bool{a: true, b: true, c: true, d: true, e: true}}
			for _, p := range tt.gone {
				delete(s.alive, p)
			}
			pt := &partition{id: 7, sets: ledger{ready(a, b, e)}, activity: &activity{check: map[Process]*report{}}}
			for _, members := range slices.Backward(tt.past) {
				pt.sets.addNewest(&members, quorums{3, 2}, markBefore)
			}
			for _, members := range tt.others {
				pt.sets.report(ownerSet{members: &members, quorums: quorums{3, 2}})
			}
			for p, known := range tt.words {
				pt.check[p] = &report{sets: known}
			}
			require.Equal(t, tt.want, pt.unharmed(s))
		})
	}
}

// A process may go away after it has answered the loss check. Then no owner merges from that process, and
// its answer is dropped. Otherwise the merge would end at once and begin again, without end.
func TestTheLossCheckWaitsForAMemberThatIsAway(t *testing.T) {
	a, b, c, d := Process{"a", 1}, Process{"b", 2}, Process{"c", 3}, Process{"d", 4}
	m := New(Config{Self: a, Partitions: 8, Parallel: 1})
	m.around.quorums, m.around.owners = quorums{3, 2}, set{a, b, c}
	m.around.alive = map[Process]bool{a: true, b: false, c: true}
	offer := &report{fence: 5, flags: flagOffers | flagSees}
	pt := &partition{id: 7, owners: &owners{}, activity: &activity{}, sets: ledger{{members: &set{b, c, d}, quorums: quorums{3, 2}, marks: markPending}}}
	pt.check = map[Process]*report{b: offer, c: {flags: flagSees}}
	found, next := pt.checkLoss(&m.around, &m.out)
	require.Equal(t, undecided, found, "b may come back with what it has")
	require.Nil(t, next)
	m.forgetGone(pt)
	require.NotContains(t, pt.check, b)
	require.Contains(t, pt.check, c)

	m.around.alive[b] = true // b is back, and has answered again
	pt.check[b] = offer
	found, next = pt.checkLoss(&m.around, &m.out)
	require.Equal(t, undecided, found)
	require.Equal(t, b, next.sources[0].process)
}

// The ledger keeps reported sets; of two sets where one contains the other, it keeps the larger one. With
// too many reported sets, the loss check finds no evidence any more.
func TestReportedSetsAreBounded(t *testing.T) {
	of := func(starts ...uint64) *set {
		var owners set
		for _, s := range starts {
			owners = append(owners, Process{"a", s})
		}
		return &owners
	}
	pt := &partition{activity: &activity{check: map[Process]*report{}}}
	for _, s := range []*set{of(1, 2), of(2, 3), of(1, 2), of(1, 2, 3), of(1), of(4, 5)} {
		pt.sets.report(ownerSet{members: s, quorums: quorums{2, 2}})
	}
	require.Equal(t, of(4, 5), pt.sets.past(markReported)[0].members)
	require.Equal(t, of(1, 2, 3), pt.sets.past(markReported)[1].members)
	for i := range uint64(2 * maxReported) {
		pt.sets.report(ownerSet{members: of(10 + i), quorums: quorums{2, 2}})
	}
	require.Equal(t, maxReported, pt.sets.count(markReported))
	pt.sets.report(ownerSet{members: of(1, 2, 3, 4, 5), quorums: quorums{2, 2}})
	require.Equal(t, maxReported, pt.sets.count(markReported))
	self := Process{"b", 1}
	s := &surroundings{self: self, quorums: quorums{2, 2}}
	pt.sets.add(&set{self}, quorums{2, 2}, markBefore|markServed|markComplete)
	require.False(t, pt.unharmed(s))
	pt.sets.drop(markReported)
	require.True(t, pt.unharmed(s))
}

// A process was ready in a set, another set served, and then the first set served again. The earlier
// readiness is evidence that nothing is lost, as long as no set of that time is depleted.
func TestReadinessOfAnEarlierTimeCounts(t *testing.T) {
	self, other := Process{"a", 1}, Process{"b", 1}
	one := quorums{1, 1}
	for alive, want := range map[bool]bool{true: true, false: false} {
		pt := &partition{activity: &activity{check: map[Process]*report{}}}
		s := &surroundings{self: self, quorums: one, alive: map[Process]bool{self: true}}
		if alive {
			s.alive[other] = true
		}
		pt.sets.serve(&set{self}, one, markReady, false)
		pt.sets.addNewest(&set{self}, one, markBefore)
		pt.sets.addNewest(&set{other}, one, markBefore)
		pt.sets.serve(&set{self}, one, 0, false)
		require.Equal(t, want, pt.unharmed(s), "the other one is alive: %v", alive)
	}
	pt := &partition{activity: &activity{check: map[Process]*report{}}}
	for i := range uint64(maxServed) {
		pt.sets.serve(&set{self, {"b", i + 1}}, quorums{2, 2}, markEarlier, false)
	}
	require.False(t, pt.unharmed(&surroundings{self: self, alive: map[Process]bool{}}), "a past that is not whole")
}

// Pending sets beyond the bound become reported sets. A set that cannot be settled is pending in their
// place.
func TestPendingSetsAreBounded(t *testing.T) {
	var l ledger
	for i := range uint64(maxPending + 3) {
		l.await(ownerSet{members: &set{{"a", i + 1}}})
	}
	require.Equal(t, maxPending, l.count(markPending))
	require.NotZero(t, l.marks(&set{{}})&markPending)
	for i := range uint64(maxPending + 3) {
		require.NotZero(t, l.marks(&set{{"a", i + 1}})&(markPending|markReported), i)
	}
	require.Equal(t, 4, l.count(markReported))
}

// The number of sets in which a process served is bounded. The ledger keeps fewer of these sets when the
// process was ready in each of the last 8.
func TestServedSetsAreBounded(t *testing.T) {
	var l ledger
	for i := range uint64(2 * maxServed) {
		l.serve(&set{{"a", i + 1}}, quorums{3, 2}, 0, true)
	}
	require.Equal(t, maxServed, l.count(markServed))
	for i := range uint64(fewServed) {
		require.Equal(t, maxServed, l.count(markServed))
		l.serve(&set{{"b", i + 1}}, quorums{3, 2}, markReady, true)
	}
	require.Equal(t, fewServed, l.count(markServed))
	l.serve(&set{{"b", 1}}, quorums{3, 2}, 0, true)
	require.Equal(t, &set{{"b", 1}}, l.past(markServed)[0].members, "it is the newest")
}

// When a set serves again after another one, readiness of the earlier time does not cover writes that
// were acknowledged meanwhile. A process that goes on serving in the set, for example toward another
// target, stays ready in it.
func TestASetThatServesAgainIsNotReadyYet(t *testing.T) {
	first, other := &set{{"a", 1}}, &set{{"a", 1}, {"b", 1}}
	for name, tt := range map[string]struct {
		between *set
		goesOn  bool
		want    mark
	}{
		"it goes on":         {nil, true, markServed | markReady | markComplete | markReported},
		"another set served": {other, true, markServed | markEarlier | markReported},
		"it owned nothing":   {nil, false, markServed | markEarlier | markReported},
		"both":               {other, false, markServed | markEarlier | markReported},
	} {
		var l ledger
		l.serve(first, quorums{3, 2}, markReady|markComplete, false)
		l.add(first, quorums{3, 2}, markReported)
		if tt.between != nil {
			l.serve(tt.between, quorums{3, 2}, markReady, true)
		}
		l.serve(first, quorums{3, 2}, 0, tt.goesOn)
		require.Equal(t, tt.want, l.marks(first), name)
		require.Equal(t, first, l.past(markServed)[0].members, name)
	}
}

// Two members are lost at once, while there are cuts and moves that are not complete. Nearly every
// cluster that lost a write reports possible loss, for nearly every partition that lost a write.
func TestLossAmongCutsIsReported(t *testing.T) {
	t.Parallel()
	lost, silent, harmed, quiet := 0, 0, 0, 0
	for seed := range uint64(max(10, seedCount(10, 200))) {
		w := newWorld(t, seed+1)
		w.start("n000", true)
		for i := 1; i < 7; i++ {
			w.run(w.upTo(300 * time.Millisecond))
			w.start(fmt.Sprintf("n%03d", i), false)
		}
		writing := true
		var write func()
		write = func() {
			if writing {
				w.one().write(w.rand.IntN(w.partitions))
				w.after(w.upTo(80*time.Millisecond), write)
			}
		}
		write()
		w.await(time.Minute, "the beginning")
		w.formed = true
		for range 6 {
			w.event(7)
			w.run(w.upTo([]time.Duration{200 * time.Millisecond, time.Second, 6 * time.Second}[w.rand.IntN(3)]))
		}
		require.Empty(t, w.wrong)
		for range 2 {
			a := w.one()
			a.dead = true
			delete(w.live, a.ID)
			w.reportGone(a, 300*time.Millisecond)
			w.run(w.upTo(400 * time.Millisecond))
		}
		w.run(w.upTo(6 * time.Second))
		w.heal()
		writing = false
		w.run(2 * time.Minute)
		gone := make(map[int]bool)
		for _, x := range w.writes {
			if !w.exists(x) {
				gone[x.partition] = true
			}
		}
		if len(gone) > 0 {
			harmed++
			if w.lost() == 0 {
				quiet++
			}
		}
		for p := range gone {
			lost++
			reported := false
			for _, a := range w.live {
				pt := a.machine.parts[p]
				reported = reported || pt != nil && pt.lost
			}
			if !reported {
				silent++
			}
		}
	}
	t.Logf("%d clusters lost a write, in %d of them nothing is reported; %d partitions, %d of them are not", harmed, quiet, lost, silent)
	require.NotZero(t, lost)
	require.LessOrEqual(t, quiet, max(1, harmed/30))
	require.LessOrEqual(t, silent, max(3, lost/8))
}
