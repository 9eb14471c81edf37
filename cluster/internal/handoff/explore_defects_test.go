package handoff

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// defect is a world in which a rule of the model does not hold, and how the explorer looks for the
// failure that follows.
type defect struct {
	model
	how     seek
	seed    uint64
	without Safeguards
}

// seek says how the explorer looks for the failure of a defect.
type seek byte

const (
	walking  seek = iota // by random walks
	unfair               // the same, without fair runs
	bursting             // the same, with fair rounds in between
	breadth              // breadth first
)

// defects returns the safeguards, each switched off, and two rules that once did not hold. Requests
// replace the effect of some safeguards. So these safeguards are switched off together with requests.
func defects() map[string]defect {
	all := faults{crash: 1, restart: 1, drain: 1, cut: 1}
	uncut := faults{crash: 1, restart: 1, drain: 1}
	departing := model{members: "abcd", order: "abcd", quorums: quorums{2, 2}, faults: faults{crash: 1, drain: 1, cut: 1}}
	recording := joining("", faults{power: 3})
	recording.journal = true
	naming := ofTwo("", faults{restart: 1})
	naming.names = true
	rising := ofThree("", "abcd", faults{rise: 1})
	rising.second, rising.defect = quorums{4, 3}, needOfNow
	return map[string]defect{
		"fence":       {ofTwo("", all), walking, 1, WithoutFence},
		"proof":       {ofTwo("", uncut), unfair, 1, WithoutProof | WithoutRequests},
		"pending":     {joining("", faults{crash: 1}), breadth, 1, WithoutPending | WithoutRequests},
		"quorum":      {ofThree("", "abcd", uncut), unfair, 1, WithoutQuorum | WithoutRequests},
		"unanimity":   {ofTwo("", all), walking, 1, WithoutUnanimity},
		"freshness":   {ofTwo("", all), walking, 1, WithoutFreshness},
		"merges":      {ofTwo("", all), walking, 1, WithoutMerges},
		"requests":    {ofTwo("", all), bursting, 13, WithoutRequests},
		"loss check":  {ofTwo("", all), walking, 1, WithoutLossCheck},
		"records":     {recording, breadth, 1, WithoutRecords},
		"departures":  {departing, walking, 3, WithoutDepartures},
		"attestation": {attesting("", faults{}), walking, 3, WithoutAttestation},
		// A request that is older than a restart counts, because tokens name members and not starts.
		"starts in tokens": {naming, walking, 1, 0},
		// The number of sources follows from the write quorum in use, and not from that of the set
		// that is pending.
		"quorums of sets": {rising, unfair, 1, 0},
	}
}

func needOfNow(m *Machine) {
	for _, pt := range m.parts {
		for i := 0; pt != nil && i < len(pt.sets); i++ {
			if pt.sets[i].is(markPending) && m.around.quorums.writes > 0 {
				pt.sets[i].writes = m.around.quorums.writes
			}
		}
	}
}

// Each defect leads to a failure within 30 moves, where the same moves succeed without the defect. The
// failure is printed as a scenario, which ends in the same state when it is played.
func TestExplorerFindsDefects(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("searches for a while")
	}
	for name, d := range defects() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := d.model
			m.name, m.victims, m.without, m.overtake = name, "", d.without, d.how != breadth
			f, x, start := d.search(m)
			require.NotNil(t, f, "nothing goes wrong that goes well otherwise")
			require.LessOrEqual(t, len(f.moves), 30)
			lines := x.print(start, f)
			s, file := play(t, x, lines)
			t.Logf("%s, in %d moves:\n%s", f.what, len(f.moves), file)
			x.samePlaces(t, s, start, f)
			if strings.Contains(f.what, "possible loss") {
				require.True(t, s.reports(), "the scenario reports possible loss")
				x.without = 0
				s, _ = play(t, x, lines)
				require.False(t, s.reports(), "the same scenario with the safeguard")
			}
		})
	}
}

// search returns the first failure that the defect causes, with the space and the start of the search.
func (d defect) search(m model) (*failure, *space, global) {
	right := m
	right.names, right.defect = false, nil
	if right.without &= WithoutRequests; d.without == WithoutRequests {
		right.without = 0
	}
	var x *space
	var start global
	excused := func(f *failure) bool {
		if x == nil || len(x.locals) > 20_000 {
			x = newSpace(right)
			start = x.form()
		}
		return x.again(start, f.moves, f.fair) != nil
	}
	if d.how == breadth {
		s := newSearch(m)
		s.sample, s.excused = 64, excused
		f, _ := s.run(200_000)
		if f != nil {
			f = s.shrink(s.start, f)
		}
		return f, s.space, s.start
	}
	w := &walks{random: rand.New(rand.NewPCG(d.seed, 0)), unfair: d.how == unfair, bursts: d.how == bursting, excuse: excused}
	f := w.run(m, 300_000)
	return f, w.space, w.start
}

// reports says whether a process reports possible loss.
func (s *scenario) reports() bool {
	for _, p := range s.running {
		if pt := p.machine.parts[0]; pt != nil && pt.lost {
			return true
		}
	}
	return false
}

// samePlaces requires that a scenario ends in the same state as the failure that it was printed from: the
// same processes run, own, are ready, and have the write.
func (x *space) samePlaces(t *testing.T, s *scenario, g global, f *failure) {
	if strings.Contains(f.what, "releases") {
		return // the explorer stops before the end of the last move
	}
	for _, m := range x.withFairRun(g, f) {
		x.apply(&g, m)
	}
	for i, id := range strings.Split(x.ids, "") {
		l, p := x.locals[g.locals[i]], s.running[id]
		require.Equal(t, l.machine != nil, p != nil, id)
		if p != nil {
			pt := p.machine.parts[0]
			require.Equal(t, l.ready, pt != nil && pt.ready(), "%s is ready", id)
			require.Equal(t, l.has, p.data["x"], "%s has the write", id)
		}
	}
}
