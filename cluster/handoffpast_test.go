package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Many members that begin at once each see their own series of rings, and take for
// their predecessors some that had nothing by then. All become ready, and nothing
// is reported as lost.
func TestManyBeginAtOnce(t *testing.T) {
	for seed := range uint64(handoffSeeds(20, 200)) {
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

// What was lost on purpose stays reported until somebody accepts it, whoever owns
// meanwhile.
func TestLossStaysReported(t *testing.T) {
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
		w.bury(a, 0)
	}
	w.run(20 * time.Second)
	reported := func() map[int]bool {
		of := make(map[int]bool)
		for _, a := range w.live {
			for p, pt := range a.core.parts {
				if pt.lost {
					of[p] = true
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
			a.core.accept(p)
		}
		a.drive()
	}
	w.await(time.Minute, "the end")
	w.require(t)
	require.Empty(t, reported())
}

// Who cannot pay asks all, and counts those that are gone in every set of owners
// back to one that is certain.
func TestAnInquestGoesBackToFirmGround(t *testing.T) {
	a, b, c, d, e := process{"a", 1}, process{"b", 2}, process{"c", 3}, process{"d", 4}, process{"e", 5}
	ready := func(owners ...process) tenure { return tenure{owners, tenureReady} }
	for name, tt := range map[string]struct {
		gone   []process
		past   [][]process
		words  map[process][]tenure
		others [][]process // debts of those that were merged from
		want   bool
	}{
		"no past":                    {want: false},
		"two say that they were":     {past: [][]process{{a, b, c}}, words: map[process][]tenure{b: {ready(a, b, c)}, c: {ready(a, b, c)}}, want: true},
		"one says that it was":       {past: [][]process{{a, b, c}}, words: map[process][]tenure{b: {ready(a, b, c)}}, want: false},
		"of another set":             {past: [][]process{{a, b, c}}, words: map[process][]tenure{b: {ready(a, b)}, c: {ready(a, b, c)}}, want: false},
		"itself and another":         {past: [][]process{{a, b, e}}, words: map[process][]tenure{b: {ready(a, b, e)}}, want: true},
		"it began the cluster":       {past: [][]process{{b}}, words: map[process][]tenure{b: {{[]process{b}, tenureFirst}}}, want: true},
		"alone, but not the first":   {past: [][]process{{b}}, words: map[process][]tenure{b: {ready(b)}}, want: false},
		"further back":               {past: [][]process{{a, d}, {a, b, c}}, words: map[process][]tenure{b: {ready(a, b, c)}, c: {ready(a, b, c)}}, want: true},
		"one of the set is gone":     {gone: []process{a}, past: [][]process{{a, b, c}}, words: map[process][]tenure{b: {ready(a, b, c)}, c: {ready(a, b, c)}}, want: true},
		"two on the way are gone":    {gone: []process{a, d}, past: [][]process{{a, d}, {a, b, c}}, words: map[process][]tenure{b: {ready(a, b, c)}, c: {ready(a, b, c)}}, want: false},
		"two beyond it are gone":     {gone: []process{a, d}, past: [][]process{{b, c}, {a, d, b}}, words: map[process][]tenure{b: {ready(b, c)}, c: {ready(b, c)}}, want: true},
		"two of another's debt are":  {gone: []process{a, d}, past: [][]process{{b, c}}, words: map[process][]tenure{b: {ready(b, c)}, c: {ready(b, c)}}, others: [][]process{{a, c, d}}, want: false},
		"one of another's debt only": {gone: []process{a}, past: [][]process{{b, c}}, words: map[process][]tenure{b: {ready(b, c)}, c: {ready(b, c)}}, others: [][]process{{a, c, d}}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			core := newCore(e, 2, 1, handoffPace{})
			core.factor = 3
			core.tenures[7] = []tenure{ready(a, b, e)}
			for _, p := range []process{a, b, c, d, e} {
				core.starts[p.id] = p.start
			}
			for _, p := range tt.gone {
				delete(core.starts, p.id)
			}
			pt := &part{id: 7, inquest: &inquest{past: tt.past, word: make(map[process]report)}, suspicions: tt.others}
			for who, known := range tt.words {
				pt.inquest.word[who] = report{tenures: known}
			}
			require.Equal(t, tt.want, core.unharmed(pt))
		})
	}
}

// Sets that others are indebted to are remembered, the largest of those that contain
// each other, and when there are too many nothing is certain any more.
func TestSuspicions(t *testing.T) {
	set := func(starts ...uint64) (owners []process) {
		for _, s := range starts {
			owners = append(owners, process{"a", s})
		}
		return owners
	}
	pt := &part{}
	for _, s := range [][]process{set(1, 2), set(2, 3), set(1, 2), set(1, 2, 3), set(1), set(4, 5)} {
		pt.suspect(s)
	}
	require.Equal(t, [][]process{set(1, 2, 3), set(4, 5)}, pt.suspicions)
	for i := range uint64(2 * maxSuspicions) {
		pt.suspect(set(10 + i))
	}
	require.Len(t, pt.suspicions, maxSuspicions)
	pt.suspect(set(1, 2, 3, 4, 5))
	require.Len(t, pt.suspicions, maxSuspicions)
	core := newCore(process{"b", 1}, 2, 1, handoffPace{})
	pt.inquest = &inquest{past: [][]process{{core.self}}}
	core.tenures[0] = []tenure{{[]process{core.self}, tenureFirst}}
	require.False(t, core.unharmed(pt))
	pt.suspicions = nil
	require.True(t, core.unharmed(pt))
}

// Debts beyond what can be told are remembered as suspicions, and owed to nobody.
func TestDebtsAreBounded(t *testing.T) {
	pt := &part{}
	for i := range uint64(maxHandoffDebts + 3) {
		pt.owe(debt{owed: []process{{"a", i + 1}}})
	}
	require.Len(t, pt.debts, maxHandoffDebts)
	require.Equal(t, []process{{}}, pt.debts[maxHandoffDebts-1].owed)
	var owed [][]process
	for _, d := range pt.debts[:maxHandoffDebts-1] {
		owed = append(owed, d.owed)
	}
	for i := range uint64(maxHandoffDebts + 3) {
		require.Contains(t, append(owed, pt.suspicions...), []process{{"a", i + 1}})
	}
	require.Len(t, pt.suspicions, 4)
}

// Where two members are lost at once among cuts, and moves that are not complete,
// somebody reports possible loss, and nearly every partition that lost a write is
// among those reported. Not all are: docs/handoff.md says why, and how many.
func TestLossAmongCutsIsReported(t *testing.T) {
	lost, silent, harmed, quiet := 0, 0, 0, 0
	for seed := range uint64(handoffSeeds(40, 400)) {
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
			delete(w.live, a.id)
			w.bury(a, 300*time.Millisecond)
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
				pt := a.core.parts[p]
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
