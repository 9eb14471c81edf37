package handoff

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// A ring without owners moves nothing. A member has such a ring when it cannot run the
// configuration.
func TestAnEmptyRingMovesNothing(t *testing.T) {
	w := newWorld(t, 1)
	a := w.start("a", true)
	w.start("b", false)
	w.run(20 * time.Second)
	require.Empty(t, w.wrong)
	fence := a.machine.count.fences
	require.NotContains(t, a.machine.parts, (*partition)(nil))
	for _, empty := range []*ring.Ring{nil, {}} {
		require.Zero(t, a.machine.Step(View{Ring: empty, Starts: map[string]uint64{}}))
	}
	require.NotContains(t, a.machine.parts, (*partition)(nil))
	require.Equal(t, fence, a.machine.count.fences)
	for pt := range a.machine.all() {
		require.True(t, pt.ready())
	}
}

// A paused machine begins nothing while any cause lasts. Then the machine goes on where it stopped.
func TestAPausedMachineBeginsNothing(t *testing.T) {
	w := newWorld(t, 1)
	w.start("a", true)
	w.run(20 * time.Second)
	b := w.start("b", false)
	b.step(Paused{Isolated, true})
	w.run(20 * time.Second)
	b.step(Paused{Superseded, true})
	w.run(20 * time.Second)
	b.step(Paused{Isolated, false})
	w.run(20 * time.Second)
	require.False(t, b.machine.Summary().Joined)
	require.Zero(t, b.machine.count.jobs)
	b.step(Paused{Superseded, false})
	w.run(20 * time.Second)
	require.True(t, b.machine.Summary().Joined)
	require.Empty(t, w.wrong)
}

// A machine depends only on its events: a clone returns the same effects, reaches the same state, and
// shares nothing with the original.
func TestMachinesAreDeterministic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(seedCount(2, 40)) {
		runPlan(t, seed+1, plan{members: 5, events: 12, edit: func(w *world) { w.cloning = true }}).require(t)
	}
	require.Equal(t, activity{}, *inactive, "all partitions that rest share it")
}

// W of the processes that acknowledged a write lose their state at once. Then the owners that are left
// report possible loss and do not become ready. Without the loss check they would become ready.
func TestLosingAWriteQuorumIsReported(t *testing.T) {
	silent := 0
	for seed := range uint64(20) {
		lost, reported := loseTwoOfFive(t, seed+1, 0)
		for p := range lost {
			require.True(t, reported[p], "seed %d: partition %d", seed+1, p)
		}
		lost, reported = loseTwoOfFive(t, seed+1, WithoutLossCheck)
		for p := range lost {
			if !reported[p] {
				silent++
			}
		}
	}
	require.Positive(t, silent)
}

// loseTwoOfFive ends two of five members at once. It returns the partitions of which an
// acknowledged write is gone, and the partitions that an owner reports as possibly lost.
func loseTwoOfFive(t *testing.T, seed uint64, without Safeguards) (lost, reported map[int]bool) {
	w := newWorld(t, seed)
	w.without = without
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		w.start(id, id == "a")
		w.run(2 * time.Second)
	}
	w.await(time.Minute, "the beginning")
	for range 40 {
		w.one().write(w.rand.IntN(w.partitions))
		w.run(100 * time.Millisecond)
	}
	w.run(5 * time.Second)
	require.Empty(t, w.wrong)
	lost, reported = make(map[int]bool), make(map[int]bool)
	gone := []*worldProcess{w.live["d"], w.live["e"]}
	for _, a := range gone {
		delete(w.live, a.ID)
		a.dead = true
		w.reportGone(a, 0)
	}
	for _, x := range w.writes {
		if !w.exists(x) {
			lost[x.partition] = true
		}
	}
	w.run(time.Minute)
	for p := range w.partitions {
		for _, a := range w.live {
			pt := a.machine.parts[p]
			require.NotNil(t, pt, "three members own everything")
			if pt.lost {
				require.False(t, pt.ready())
				reported[p] = true
			}
		}
	}
	return lost, reported
}

// A former owner asks for a merge, and the merge fails. The merge begins again when its timer is due,
// without another message from the former owner.
func TestARequestedMergeIsRetried(t *testing.T) {
	a, b := Process{"a", 1}, Process{"b", 1}
	m := newMachine(a, false, b)
	r, err := ring.Build(ring.Config{PartitionCount: 1, ReplicationFactor: 1, WriteQuorum: 1, Strategy: rebalance.Rendezvous{}}, []ring.Node{{ID: "a", Start: 1}})
	require.NoError(t, err)
	m.Step(Founding{})
	m.Step(View{Ring: r, Starts: map[string]uint64{"a": 1, "b": 1}})
	require.True(t, m.Standing(0).Ready())

	asks := &Message{kind: query, query: 1, to: a.Start, reports: []report{{flags: flagOffers, fence: 7, asked: 7}}}
	first := m.Step(Received{b, asks}).Start
	require.Len(t, first, 1)
	require.Equal(t, []Process{b}, first[0].Sources)
	failed := m.Step(Ended{ID: first[0].ID, Failed: true})
	require.Contains(t, failed.Arm, Arm{Timer: Timer{0, Retry}})
	require.Empty(t, failed.Start)
	again := m.Step(Due{[]Timer{{0, Retry}}}).Start
	require.Len(t, again, 1)
	require.Equal(t, first[0].Sources, again[0].Sources)
}

// see gives a machine the view in which some of the members a, b and c own.
func see(t *testing.T, m *Machine, q quorums, ids ...string) {
	t.Helper()
	var nodes []ring.Node
	for _, id := range ids {
		nodes = append(nodes, ring.Node{ID: id, Start: 1})
	}
	r, err := ring.Build(ring.Config{PartitionCount: 1, ReplicationFactor: int(q.factor), WriteQuorum: int(q.writes), Strategy: rebalance.Rendezvous{}}, nodes)
	require.NoError(t, err)
	m.Step(View{Ring: r, Starts: map[string]uint64{"a": 1, "b": 1, "c": 1}})
}

// beginRelease lets a found the cluster and hand over to another process. It returns the release that a
// begins.
func beginRelease(t *testing.T, a *Machine, b Process, q quorums) Job {
	t.Helper()
	a.Step(Founding{})
	see(t, a, q, "a")
	see(t, a, q, b.ID)
	a.Step(Drained{[]int{0}})
	merged := &Message{kind: answer, to: a.around.self.Start, reports: []report{{flags: flagOwner | flagReady, fence: 1, merged: a.parts[0].fence}}}
	jobs := a.Step(Received{b, merged}).Start
	require.Len(t, jobs, 1)
	return jobs[0]
}

// A process becomes an owner of a partition while it deletes the partition. Its ownership begins when the
// release has ended, also when the release has failed.
func TestAnOwnerAgainWhileItReleases(t *testing.T) {
	for _, fails := range []bool{false, true} {
		a, b := Process{"a", 1}, Process{"b", 1}
		m := newMachine(a, false, b)
		release := beginRelease(t, m, b, quorums{1, 1})
		require.Equal(t, Release, release.Kind)

		see(t, m, quorums{1, 1}, "a")
		st := m.Standing(0)
		require.True(t, st.Owner && !st.Accepts, "it is still deleting")
		m.Step(Ended{ID: release.ID, Failed: fails})
		require.Equal(t, owning, m.parts[0].ownership, "fails %v", fails)
		st = m.Standing(0)
		require.True(t, st.Owner && st.Accepts && !st.Ready(), "it may lack what b has")
	}
}

// An owner that waited for the end of a release may lack later writes too: two other owners may
// acknowledge a write without it.
func TestAnOwnerThatWaitedForAReleaseMayMissWrites(t *testing.T) {
	a, b, c := Process{"a", 1}, Process{"b", 1}, Process{"c", 1}
	m := newMachine(a, false, b, c)
	release := beginRelease(t, m, b, quorums{3, 2})
	see(t, m, quorums{3, 2}, "a", "b", "c")
	require.Equal(t, awaiting, m.parts[0].ownership)
	m.Step(Ended{ID: release.ID})
	require.Equal(t, owning, m.parts[0].ownership)
	require.Equal(t, partial, m.parts[0].has)
}
