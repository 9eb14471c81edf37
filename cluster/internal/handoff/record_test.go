package handoff

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
)

// off ends a process by a power cut. The disk of the process stays.
func (w *world) off(a *worldProcess) {
	w.note("%s loses its power", a.ID)
	a.dead = true
	delete(w.live, a.ID)
	w.reportGone(a, 300*time.Millisecond)
}

// on starts a member again with its disk.
func (w *world) on(id string) {
	old := w.disks[id]
	a := w.start(id, false)
	if a.disk != old {
		return // the old disk held no partition
	}
	for _, x := range w.writes {
		for holder := range x.holders {
			if holder.ID == id && holder.dead {
				delete(x.holders, holder)
				x.holders[a] = true
			}
		}
	}
}

// outage cuts the power of a number of members, least or more. Each member gets power again at a time of
// its own.
func (w *world) outage(least int) {
	ids := slices.Sorted(maps.Keys(w.live))
	w.rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids = ids[:least+w.rand.IntN(len(ids)-least+1)]
	for _, id := range ids {
		w.after(w.upTo(100*time.Millisecond), func() {
			if a := w.live[id]; a != nil && a.known[id].member.State == membership.Active {
				w.off(a)
				w.after(w.upTo([]time.Duration{200 * time.Millisecond, 5 * time.Second}[w.rand.IntN(2)]), func() { w.on(id) })
			}
		})
	}
}

// Where data survives restarts, acknowledged writes survive a power cut of any number of members. No
// member reports possible loss when all members are back.
func TestAcknowledgedWritesSurvivePowerCuts(t *testing.T) {
	t.Parallel()
	writes := 0
	for seed := range uint64(seedCount(5, 80)) {
		w := runPowerCuts(t, seed+1, 0)
		w.require(t)
		require.Zero(t, w.lost(), "seed %d", seed+1)
		writes += len(w.writes)
	}
	t.Logf("%d writes", writes)
}

// A process has just become an owner when all members lose their power, and only this process comes back.
// The process does not become ready without the data that it never had: its journal keeps the pending
// sets.
func TestTheJournalKeepsPendingSets(t *testing.T) {
	for without, want := range map[Safeguards]bool{0: false, WithoutRecords: true} {
		w := newWorld(t, 1)
		w.disks, w.enough, w.without = make(map[string]*disk), 1, without
		for _, id := range []string{"a", "b", "c"} {
			w.start(id, id == "a")
			w.run(2 * time.Second)
		}
		w.await(time.Minute, "the beginning")
		late := w.start("d", false)
		for len(late.disk.records) == 0 {
			w.run(5 * time.Millisecond)
			require.Empty(t, w.wrong)
		}
		require.False(t, late.machine.Summary().Joined)
		for _, id := range []string{"a", "b", "c"} {
			w.live[id].dead = true
			delete(w.live, id)
			delete(w.disks, id) // the disk is lost
		}
		w.off(late)
		w.on("d")
		w.run(time.Minute)
		ready := 0
		for p := range w.disks["d"].records {
			if pt := w.live["d"].machine.parts[p]; pt.ready() {
				ready++
			} else {
				require.True(t, pt.lost, "partition %d", p)
			}
		}
		require.Equal(t, want, ready > 0)
	}
}

// A merge before a restart does not cover writes that were accepted since then.
func TestMergesBeforeARestartDoNotCountAfterIt(t *testing.T) {
	a, b, c := Process{"a", 1}, Process{"b", 1}, Process{"c", 1}
	with, before := &set{a, b, c}, ownerSet{&set{b, c}, quorums{3, 3}, 1, 0, markPending}
	m := New(Config{Self: a, Partitions: 6, Parallel: 2})
	m.Step(Restored{Records: []Record{{report{partition: 5, flags: recordHeld, sets: ledger{
		{with, quorums{3, 3}, 2, 0, markPending | markConfirmed | markServing}, before,
	}}}}})
	require.ElementsMatch(t, ledger{before, {with, quorums{3, 3}, 0, 0, markPending}}, m.parts[5].sets, "to others it is the process that it was")
}

// A release that a power cut interrupts is made again. Until then the data that is left does not count.
func TestALeftoverIsReleased(t *testing.T) {
	a, b := Process{"a", 1}, Process{"b", 1}
	m := newMachine(a, true, b)
	effects := m.Step(Restored{Records: []Record{{report{partition: 5, sets: ledger{{&set{a, b}, quorums{3, 2}, 0, 0, markServed | markReady}}}}}})
	require.Equal(t, report{partition: 5}, m.report(5, b, false))
	require.Len(t, effects.Start, 1)
	job := effects.Start[0]
	require.Equal(t, Release, job.Kind)
	require.False(t, m.Summary().Bare)
	require.Empty(t, m.Step(Ended{Partition: 5, ID: job.ID}).Start)
	require.True(t, m.Summary().Bare)
	require.Equal(t, ledger{{&set{a, b}, quorums{3, 2}, 0, 0, markServed | markReady}}, m.parts[5].sets, "it is remembered that it served")
}

// runPowerCuts runs a world in which some or all members lose their power while others come
// and go.
func runPowerCuts(t *testing.T, seed uint64, without Safeguards) *world {
	w := newWorld(t, seed)
	w.disks, w.enough, w.unreliable, w.without = make(map[string]*disk), 4, 0, without
	w.follow, _ = strconv.Atoi(os.Getenv("HANDOFF_FOLLOW"))
	w.start("n000", true)
	for i := 1; i < 6; i++ {
		w.run(w.upTo(300 * time.Millisecond))
		w.start(fmt.Sprintf("n%03d", i), false)
	}
	writing := true
	var write func()
	write = func() {
		if writing && len(w.live) > 0 {
			w.one().write(w.rand.IntN(w.partitions))
		}
		w.after(w.upTo(80*time.Millisecond), write)
	}
	write()
	w.await(time.Minute, "the beginning")
	for i := range 12 {
		switch dice := w.rand.IntN(10); {
		case len(w.live) == 0:
		case dice < 2:
			w.start(fmt.Sprintf("m%03d", i), false)
		case dice < 3:
			w.drainOne()
		case dice < 5:
			a := w.one()
			self := a.known[a.ID].member
			self.Weight = 1 + 3*w.rand.IntN(2)
			w.announce(a, self)
		case dice < 9:
			w.outage(1)
		default:
			w.outage(len(w.live))
		}
		w.run(w.upTo([]time.Duration{300 * time.Millisecond, 2 * time.Second, 8 * time.Second}[w.rand.IntN(3)]))
	}
	writing = false
	w.run(6 * time.Second)
	w.await(2*time.Minute, "the end")
	return w
}

// drainOne lets a member drain, if more than world.enough active members are left after it.
func (w *world) drainOne() {
	active := 0
	for _, a := range w.live {
		if a.known[a.ID].member.State == membership.Active {
			active++
		}
	}
	a := w.one()
	if self := a.known[a.ID].member; self.State == membership.Active && active > w.enough+1 {
		w.note("%s drains", a.ID)
		self.State = membership.Draining
		w.announce(a, self)
	}
}
