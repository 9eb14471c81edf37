package handoff

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
)

// A process that departed on one side of a cut does not count as gone on the other side. This holds also
// when another process crashes.
func TestADepartedProcessIsNotGone(t *testing.T) {
	for without, want := range map[Safeguards]bool{0: false, WithoutDepartures: true} {
		w := newWorld(t, 1)
		w.without = without
		for i := range 8 {
			w.start(fmt.Sprintf("n%d", i), i == 0)
			w.run(time.Second)
		}
		w.await(time.Minute, "the beginning")
		for p := range w.partitions {
			w.one().write(p)
		}
		w.run(time.Second)
		require.NotEmpty(t, w.writes)
		w.divide("n6")
		w.run(10 * time.Second)
		for _, id := range []string{"n3", "n4", "n5"} {
			a := w.live[id]
			self := a.known[id].member
			self.State = membership.Draining
			w.announce(a, self)
			w.run(10 * time.Second)
			require.NotContains(t, w.live, id, "it has left")
		}
		w.crash(w.live["n7"])
		w.run(10 * time.Second)
		w.heal()
		w.run(time.Minute)
		w.checkAll()
		w.require(t)
		require.Equal(t, want, w.lost() > 0, "%d are reported as lost, with %+v", w.lost(), without)
	}
}

func newMachine(self Process, durable bool, alive ...Process) *Machine {
	m := New(Config{Self: self, Partitions: 16, Parallel: 1, Durable: durable})
	starts := map[string]uint64{self.ID: self.Start}
	for _, p := range alive {
		starts[p.ID] = p.Start
	}
	m.Step(View{Starts: starts})
	return m
}

func TestDeparturesAreBounded(t *testing.T) {
	a, b := Process{"a", 1}, Process{"b", 1}
	m := newMachine(a, false, b)
	sent := 0
	for i := range uint64(maxDeparted + 5) {
		for range 2 {
			sent += len(m.Step(Received{b, &Message{kind: query, query: i, to: a.Start, departed: []Process{{"c", i}}}}).Send)
		}
	}
	require.Equal(t, 2*(maxDeparted+5), sent, "each is answered")
	require.Len(t, m.around.departed, maxDeparted)
	require.Equal(t, Process{"c", 5}, m.around.departed[0], "the first are forgotten")
	want := &Message{kind: answer, departed: m.around.departed, reports: []report{}}
	got, err := ParseMessage(want.Bytes(), 2)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for flag, want := range map[byte][]Process{0: nil, flagAsks: m.around.departed} {
		effects := m.Step(Received{b, &Message{kind: query, query: 1, to: a.Start, reports: []report{{partition: 0, flags: flag}}}})
		require.Equal(t, want, effects.Send[0].Message.departed, "only a process that asks is told")
	}
}

// A process that is alive departs only by its own word.
func TestADepartureOfALiveProcessIsItsOwnWord(t *testing.T) {
	a, b, c := Process{"a", 1}, Process{"b", 1}, Process{"c", 1}
	m := newMachine(a, false, b, c)
	notice := func(from Process, departed ...Process) {
		m.Step(Received{from, &Message{kind: query, query: 1, to: a.Start, departed: departed}})
	}
	notice(b, c, a)
	require.Empty(t, m.around.departed, "c and this process are alive")
	require.False(t, m.Departed())
	m.Step(View{Starts: map[string]uint64{"a": 1, "b": 1, "c": 1}, Away: map[string]bool{"c": true}})
	notice(b, c)
	require.Empty(t, m.around.departed, "c is expected back")
	notice(c, c)
	require.Empty(t, m.around.departed, "c does not answer: the message is not of this time")
	m.Step(View{Starts: map[string]uint64{"a": 1, "b": 1, "c": 1}})
	notice(c, c)
	require.Equal(t, []Process{c}, m.around.departed)
	d := Process{"d", 1}
	notice(b, d)
	require.Equal(t, []Process{c, d}, m.around.departed, "d is not in the view")
}

// The record of departed processes is saved again until a save succeeds. A process reads the record after
// a restart.
func TestDeparturesAreRecorded(t *testing.T) {
	a, b, c := Process{"a", 1}, Process{"b", 1}, Process{"c", 1}
	m := newMachine(a, true, b)
	first := m.Step(Received{b, &Message{kind: query, query: 1, to: a.Start, departed: []Process{c}}}).Start
	require.Len(t, first, 1)
	require.EqualError(t, fmt.Errorf("%v", first[0]), "recording departed members")
	require.Empty(t, m.Step(Due{}).Start, "one at a time")
	failed := m.Step(Ended{Partition: WholeProcess, ID: first[0].ID, Failed: true})
	require.Empty(t, failed.Start, "not at once")
	require.Equal(t, []Arm{{Timer: Timer{WholeProcess, Retry}}}, failed.Arm)
	second := m.Step(Due{[]Timer{{WholeProcess, Retry}}}).Start
	require.Len(t, second, 1)
	m.Step(Ended{Partition: WholeProcess, ID: second[0].ID})
	require.Empty(t, m.Step(Due{}).Start)

	departed, _, err := ParseDeparted(second[0].Record)
	require.NoError(t, err)
	require.Equal(t, []Process{c}, departed)
	_, _, err = ParseDeparted(second[0].Record[1:])
	require.Error(t, err)
	next := newMachine(a, true)
	require.Empty(t, next.Step(Restored{Departed: departed}).Start, "the journal knows")
	require.Contains(t, next.around.departed, c)
}

// In a small cluster, half of the members may be cut off, hand over and depart. Next to no process
// reports possible loss while the claim holds, because the processes that stay attest that the departed
// ones were ready. Of 2,500 worlds one has a report without need (815). Without attestation 38 of the first
// 500 have one.
func TestDepartedProcessesAreEvidence(t *testing.T) {
	t.Parallel()
	reported := func(seed uint64, without Safeguards) bool {
		w := runPlan(t, seed, plan{members: 4, events: 12, partitions: 4, edit: func(w *world) { w.without = without }})
		return w.lost() > 0
	}
	needless, unattested := []uint64(nil), 0
	seeds := seedCount(10, 150)
	for seed := range uint64(seeds) {
		if reported(seed+1, 0) {
			needless = append(needless, seed+1)
		}
	}
	for _, seed := range []uint64{7, 16, 26, 71, 110} {
		if reported(seed, WithoutAttestation) {
			unattested++
		}
	}
	require.LessOrEqual(t, 100*len(needless), seeds, "seeds %v", needless)
	require.Positive(t, unattested, "it makes no difference")
}

// The scenarios of attestation end with possible loss when they are played without it.
func TestAttestedScenarios(t *testing.T) {
	for _, name := range []string{"attested", "attested_drain", "attested_unseen"} {
		file, err := os.ReadFile("testdata/" + name + ".txt")
		require.NoError(t, err)
		var commands []string
		said := false
		for line := range strings.Lines(string(file)) {
			line = strings.TrimSpace(line)
			if said = line != "" && (said || line == "----"); !said && line != "" && line[0] != '#' {
				commands = append(commands, line)
			}
		}
		for without, want := range map[Safeguards]bool{0: false, WithoutAttestation: true} {
			s, log := play(t, &space{model: model{name: name, without: without}}, commands)
			require.Equal(t, want, s.reports(), "%s with %b:\n%s", name, without, log)
		}
	}
}

// A process that has announced its departure owns nothing any more, whatever views the members have.
// Otherwise a crash of this process would count as the departure.
func TestADepartedProcessOwnsNothing(t *testing.T) {
	a, b := Process{"a", 1}, Process{"b", 1}
	m := newMachine(a, false, b)
	release := beginRelease(t, m, b, quorums{1, 1})
	see(t, m, quorums{1, 1}, "a")
	require.True(t, m.Standing(0).Owner, "it has not announced anything")
	see(t, m, quorums{1, 1}, "b")
	m.Step(Ended{Partition: 0, ID: release.ID})
	leaving := View{Ring: m.ring, Starts: map[string]uint64{"a": 1, "b": 1}, Leaving: true}
	require.NotEmpty(t, m.Step(leaving).Send)
	require.True(t, m.Departed())
	see(t, m, quorums{1, 1}, "a")
	require.Equal(t, Standing{Token: m.ring.Placement(0).Token()}, m.Standing(0))
}
