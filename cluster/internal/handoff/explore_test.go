package handoff

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The environment changes an exploration:
//
//	CLUSTERKIT_SIM_FULL=1   the large form, which the gate runs
//	HANDOFF_STATES=n        how many states of each world are looked at, at most
//	HANDOFF_STEPS=n         how many steps the random walks of each world take
//	HANDOFF_SEED=n          where the random walks begin

// explored returns a bound: that of the environment, or one that suits the form of the run.
func explored(name string, full, normal, least int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	switch {
	case err == nil:
		return n
	case os.Getenv("CLUSTERKIT_SIM_FULL") != "":
		return full
	case testing.Short() || underRace:
		return least
	default:
		return normal
	}
}

// ofTwo is a world of three members with two owners each, and write quorum 2.
func ofTwo(name string, f faults) model {
	return model{name: name, members: "abc", order: "abc", quorums: quorums{2, 2}, faults: f, victims: "a"}
}

// joining is a world in which c joins and becomes the first owner.
func joining(name string, f faults) model {
	f[join] = 1
	return model{name: name, members: "ab", spare: "c", order: "cab", quorums: quorums{2, 2}, faults: f, victims: "ac"}
}

// rising is a world in which the replication factor rises from 2 to 3.
func rising(name string, f faults) model {
	m := ofTwo(name, f)
	m.second, m.faults[rise] = quorums{3, 2}, 1
	return m
}

// ofThree is a world of members with three owners each.
func ofThree(name, members string, f faults) model {
	return model{name: name, members: members, order: members, quorums: quorums{3, 2}, faults: f}
}

// Every state within the bounds of these worlds is right, and a sample of states ends well.
func TestExplorer(t *testing.T) {
	fromOne := model{name: "rise from one", members: "abc", order: "abc", quorums: quorums{1, 1}, second: quorums{2, 2}, faults: faults{rise: 1}}
	worlds := []model{
		ofTwo("crash", faults{crash: 1}), ofTwo("restart", faults{restart: 1}), ofTwo("drain", faults{drain: 1}), ofTwo("cut", faults{cut: 1}),
		joining("join", faults{}), rising("rise", faults{}), fromOne,
	}
	pairs := []model{
		ofTwo("crash and restart", faults{crash: 1, restart: 1}), ofTwo("crash and drain", faults{crash: 1, drain: 1}), ofTwo("crash and cut", faults{crash: 1, cut: 1}),
		ofTwo("restart and cut", faults{restart: 1, cut: 1}), joining("join and crash", faults{crash: 1}), joining("join and restart", faults{restart: 1}),
		joining("join and drain", faults{drain: 1}), joining("join and cut", faults{cut: 1}), rising("rise and crash", faults{crash: 1}),
		rising("rise and restart", faults{restart: 1}), rising("rise and cut", faults{cut: 1}),
	}
	for i, m := range append(worlds, pairs...) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			most := explored("HANDOFF_STATES", 1_000_000, 10_000, 2_000)
			if i >= len(worlds) {
				most = explored("HANDOFF_STATES", 50_000, 3_000, 1_000)
			}
			if i < len(worlds) && m.faults[rise]+m.faults[crash] > 0 {
				most = max(most, 60_000) // to the end
			}
			s := newSearch(m)
			s.sample = 64
			began := processorTime()
			f, whole := s.run(most)
			took := processorTime() - began
			s.report(t, f)
			t.Logf("%d states to depth %d, the end: %v; about %v of a processor; %d states of processes, %d messages, %d bytes of states to look at",
				len(s.parents), s.depth, whole, took.Round(time.Millisecond), len(s.locals), len(s.messages), s.bytes)
			if i < len(worlds) && m.faults[rise]+m.faults[crash] > 0 {
				require.True(t, whole, "it does not end within %d states", most)
			}
		})
	}
}

// processorTime is what this process has used; other tests use some of it too.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano())
}

// report fails with a scenario when there is a failure.
func (s *search) report(t *testing.T, f *failure) {
	if f != nil {
		f = s.shrink(s.start, f)
		_, file := play(t, s.space, s.print(s.start, f))
		require.FailNow(t, f.what, "%s: %d moves\n%s", s.name, len(f.moves), file)
	}
}

// Random walks reach further than the exploration, and end well.
func TestRandomWalks(t *testing.T) {
	all := faults{crash: 1, restart: 1, drain: 1, cut: 1}
	for _, m := range []model{
		ofThree("three of three", "abc", all), ofThree("three of four", "abcd", faults{crash: 1, drain: 1, cut: 1}), ofTwo("two of three", all),
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.victims, m.overtake = "", true
			seed := uint64(explored("HANDOFF_SEED", 1, 1, 1))
			w := &walks{random: rand.New(rand.NewPCG(seed, 0))}
			f := w.run(m, explored("HANDOFF_STEPS", 400_000, 15_000, 1_500))
			if f != nil {
				_, file := play(t, w.space, w.print(w.start, f))
				require.FailNow(t, f.what, "seed %d: %d moves\n%s", seed, len(f.moves), file)
			}
			t.Logf("seed %d: %d steps", seed, w.steps)
		})
	}
}

// Without a safeguard, and with tokens that name members alone, a walk goes wrong within 30 moves,
// and the same moves go well otherwise. What it finds is a scenario, which ends alike when it is
// played. Requests make up for two of the safeguards, which are tested without them.
func TestExplorerFindsDefects(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("searches for a while")
	}
	all := faults{crash: 1, restart: 1, drain: 1, cut: 1}
	uncut := faults{crash: 1, restart: 1, drain: 1}
	departing := model{members: "abcd", order: "abcd", quorums: quorums{2, 2}, faults: faults{crash: 1, drain: 1, cut: 1}}
	for name, d := range map[string]struct {
		model
		without Safeguards
		names   bool
		unfair  bool
	}{
		"fence":            {ofTwo("", all), WithoutFence, false, false},
		"proof":            {ofTwo("", uncut), WithoutProof | WithoutRequests, false, true},
		"quorum":           {ofThree("", "abcd", uncut), WithoutQuorum | WithoutRequests, false, true},
		"unanimity":        {ofTwo("", all), WithoutUnanimity, false, false},
		"freshness":        {ofTwo("", all), WithoutFreshness, false, false},
		"merges":           {ofTwo("", all), WithoutMerges, false, false},
		"requests":         {ofTwo("", all), WithoutRequests, false, false},
		"loss check":       {ofTwo("", all), WithoutLossCheck, false, false},
		"departures":       {departing, WithoutDepartures, false, false},
		"starts in tokens": {ofTwo("", faults{restart: 1}), 0, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := d.model
			m.name, m.victims, m.overtake, m.without, m.names = name, "", true, d.without, d.names
			w := &walks{random: rand.New(rand.NewPCG(1, 0)), unfair: d.unfair}
			right := m
			right.names = false
			if right.without &= WithoutRequests; d.without == WithoutRequests {
				right.without = 0
			}
			var f *failure
			for steps := 300_000; ; {
				f = w.run(m, steps)
				require.NotNil(t, f, "nothing goes wrong in %d steps that goes well otherwise", w.steps)
				if x := newSpace(right); x.again(x.form(), f.moves, f.fair) == nil {
					break
				}
			}
			require.LessOrEqual(t, len(f.moves), 30)
			lines := w.print(w.start, f)
			s, file := play(t, w.space, lines)
			t.Logf("%s, after %d steps, in %d moves:\n%s", f.what, w.steps, len(f.moves), file)
			w.samePlaces(t, s, f)
		})
	}
}

// samePlaces requires that a scenario ends as the failure that it was printed from: the same
// processes run, own, are ready, and have the write.
func (w *walks) samePlaces(t *testing.T, s *scenario, f *failure) {
	if f.fair || strings.Contains(f.what, "releases") {
		return // it does more than the moves, or has not finished the last one
	}
	g := w.start
	for _, m := range f.moves {
		w.apply(&g, m)
	}
	for i, id := range strings.Split(w.ids, "") {
		l, p := w.locals[g.locals[i]], s.running[id]
		require.Equal(t, l.machine != nil, p != nil, id)
		if p != nil {
			pt := p.machine.parts[0]
			require.Equal(t, l.ready, pt != nil && pt.ready(), "%s is ready", id)
			require.Equal(t, l.has, p.data["x"], "%s has the write", id)
		}
	}
}
