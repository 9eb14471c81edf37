package handoff

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The environment changes an exploration:
//
//         CLUSTERKIT_SIM_FULL=1   the large form, which the gate runs     HANDOFF_STATES=n        how
// many states of each world are explored, at most     HANDOFF_STEPS=n         how many steps the random
// walks of each world take      HANDOFF_SEED=n          where the random walks begin

// explored returns a bound: the bound that the environment sets, or one for the form of the run.
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

// attesting is a world of three owners. One may drain before a fourth member joins, so that two stay.
func attesting(name string, f faults) model {
	f[restart], f[drain], f[join] = 1, 1, 1
	return model{name: name, members: "abd", spare: "c", order: "abdc", quorums: quorums{3, 2}, least: 2, faults: f}
}

// fromOne is a world in which the replication factor rises from 1 to 2.
func fromOne(f faults) model {
	f[rise] = 1
	return model{name: "rise from one", members: "abc", order: "abc", quorums: quorums{1, 1}, second: quorums{2, 2}, faults: f}
}

// Every state within the bounds of these worlds keeps the claim, and a fair run from each state of a
// sample ends well.
func TestExplorer(t *testing.T) {
	worlds := []model{
		ofTwo("cut", faults{cut: 1}), ofTwo("restart", faults{restart: 1}), ofTwo("drain", faults{drain: 1}), joining("join", faults{}),
		ofTwo("crash", faults{crash: 1}), rising("rise", faults{}), fromOne(faults{}),
	}
	for i := range worlds {
		if worlds[i].faults[cut] == 0 {
			worlds[i].victims = ""
		}
	}
	pairs := []model{
		ofTwo("crash and restart", faults{crash: 1, restart: 1}), ofTwo("crash and drain", faults{crash: 1, drain: 1}), ofTwo("crash and cut", faults{crash: 1, cut: 1}),
		ofTwo("restart and drain", faults{restart: 1, drain: 1}), ofTwo("restart and cut", faults{restart: 1, cut: 1}), ofTwo("drain and cut", faults{drain: 1, cut: 1}),
		joining("join and crash", faults{crash: 1}), joining("join and restart", faults{restart: 1}), joining("join and drain", faults{drain: 1}),
		joining("join and cut", faults{cut: 1}), joining("join and rise", faults{rise: 1}), rising("rise and crash", faults{crash: 1}),
		rising("rise and restart", faults{restart: 1}), rising("rise and drain", faults{drain: 1}), rising("rise and cut", faults{cut: 1}),
	}
	for i := range pairs {
		if m := &pairs[i]; m.faults[rise] > 0 {
			if m.second = (quorums{3, 2}); m.faults[drain] > 0 {
				m.members, m.order = "abcd", "abcd" // more than three members are active, so that one may drain
			}
		}
	}
	for _, victim := range []string{"b", "c"} {
		m := ofTwo("cut of "+victim, faults{cut: 1})
		m.victims = victim
		pairs = append(pairs, m)
	}
	for i, m := range append(worlds, pairs...) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			most := explored("HANDOFF_STATES", 4_000_000, 10_000, 2_000)
			if i >= len(worlds) {
				most = explored("HANDOFF_STATES", 50_000, 3_000, 1_000)
			}
			s := newSearch(m)
			s.sample = 64
			began := processorTime()
			f, whole := s.run(most)
			took := processorTime() - began
			s.report(t, f)
			t.Logf("%d states to depth %d, the end: %v; about %v of a processor; %d states of processes, %d messages, %d bytes a state; %d fair runs",
				len(s.parents), s.depth, whole, took.Round(time.Millisecond), len(s.locals), len(s.messages), s.memory()/len(s.parents), s.runs)
			ends := 4_000_000
			switch {
			case m.faults[cut] > 0:
				ends = 13_000_000
			case m.faults[rise]+m.faults[crash] > 0:
				ends = 10_000
			}
			if i < len(worlds) && most >= ends {
				require.True(t, whole, "it does not end within %d states", most)
			}
		})
	}
}

// processorTime returns the processor time that this process has used; other tests use some of it too.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano())
}

// report fails the test, with a scenario, when there is a failure.
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
		ofThree("three of three", "abc", all), ofThree("three of four", "abcd", faults{crash: 1, drain: 1, cut: 1}),
		attesting("two of three that stay", faults{crash: 1, cut: 1}), ofTwo("two of three", all),
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.victims, m.overtake = "", true
			full := 340_000
			if m.factor < 3 {
				full = 50_000 // TestExplorer explores this world to the end
			}
			seed := uint64(explored("HANDOFF_SEED", 1, 1, 1))
			w := &walks{random: rand.New(rand.NewPCG(seed, 0))}
			f := w.run(m, explored("HANDOFF_STEPS", full, 15_000, 1_500))
			if f != nil {
				_, file := play(t, w.space, w.print(w.start, f))
				require.FailNow(t, f.what, "seed %d: %d moves\n%s", seed, len(f.moves), file)
			}
			t.Logf("seed %d: %d steps", seed, w.steps)
		})
	}
}

// In worlds that end, the same failures show with the reductions and without them, whichever safeguard is
// switched off.
func TestReductionsHideNothing(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("looks at many worlds")
	}
	one := model{members: "ab", order: "ab", quorums: quorums{1, 1}}
	joins, drains, cuts := one, one, one
	joins.name, joins.members, joins.spare, joins.order, joins.faults = "join of one", "a", "b", "ba", faults{join: 1}
	drains.name, drains.faults = "drain of one", faults{drain: 1}
	cuts.name, cuts.faults = "cut of one", faults{cut: 1}
	worlds := []model{ofTwo("crash", faults{crash: 1}), fromOne(faults{}), joins, drains, cuts}
	if os.Getenv("CLUSTERKIT_SIM_FULL") != "" {
		worlds = append(worlds, rising("rise", faults{}))
	}
	for _, m := range worlds {
		all := 0
		for without := Safeguards(0); without <= WithoutAttestation; without = max(1, 2*without) {
			found := func(plain bool) []string {
				m.without, m.plain = without, plain
				s, found := newSearch(m), make(map[string]bool)
				s.sample, s.excused = 8, func(f *failure) bool { found[f.what] = true; return true }
				_, whole := s.run(100_000)
				require.True(t, whole)
				return slices.Sorted(maps.Keys(found))
			}
			plain := found(true)
			require.Equal(t, plain, found(false), "%s without %b", m.name, without)
			if all += len(plain); without == 0 {
				require.Empty(t, plain)
			}
		}
		t.Logf("%s: %d failures", m.name, all)
	}
}
