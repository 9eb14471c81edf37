package cluster

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

// off takes the power from a process: it is gone, what is on its disk is not.
func (w *world) off(a *actor) {
	w.note("%s loses its power", a.id)
	a.dead = true
	delete(w.live, a.id)
	w.bury(a, 300*time.Millisecond)
}

// on starts a member again, on its disk.
func (w *world) on(id string) {
	old := w.disks[id]
	a := w.start(id, false)
	if a.disk != old {
		return // it had nothing
	}
	for _, x := range w.writes {
		for holder := range x.holders {
			if holder.id == id && holder.dead {
				delete(x.holders, holder)
				x.holders[a] = true
			}
		}
	}
}

// outage takes the power from some members, at least so many, and gives it back to
// each in its time.
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

// Where data survives restarts, so does what was acknowledged, however many lose
// their power, and nobody takes anything for lost when they are back.
func TestJournalKeepsWhatWasAcknowledged(t *testing.T) {
	writes := 0
	for seed := range uint64(handoffSeeds(20, 200)) {
		w := lightsOut(t, seed+1, safeguards{})
		w.require(t)
		require.Zero(t, w.lost(), "seed %d", seed+1)
		writes += len(w.writes)
	}
	t.Logf("%d writes", writes)
}

// A process that has just begun to own, and is the only one that comes back, does not
// vouch for what it never had: the journal has what it owes.
func TestJournalRemembersDebts(t *testing.T) {
	for safe, want := range map[safeguards]bool{{}: false, {noRecords: true}: true} {
		w := newWorld(t, 1)
		w.disks, w.enough, w.safe = make(map[string]*disk), 1, safe
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
		require.False(t, late.core.joined())
		for _, id := range []string{"a", "b", "c"} {
			w.live[id].dead = true
			delete(w.live, id)
			delete(w.disks, id) // it burns
		}
		w.off(late)
		w.on("d")
		w.run(time.Minute)
		ready := 0
		for p := range w.disks["d"].records {
			if pt := w.live["d"].core.parts[p]; pt.ready() {
				ready++
			} else {
				require.True(t, pt.lost, "partition %d", p)
			}
		}
		require.Equal(t, want, ready > 0)
	}
}

// Who was merged from before the power went may have accepted more since.
func TestJournalCountsNoMergeOfBefore(t *testing.T) {
	a, b, c := process{"a", 1}, process{"b", 1}, process{"c", 1}
	with, before := []process{a, b, c}, debt{owed: []process{b, c}, paid: 1}
	core := newCore(a, 3, 2, handoffPace{})
	core.restore(&journalState{records: map[int]report{5: {
		partition: 5, flags: recordHeld,
		debts:   []debt{{owed: with, paid: 2, vouched: true}, before},
		tenures: []tenure{{with, tenureServing}},
	}}})
	require.Equal(t, []debt{before, {owed: with}}, core.parts[5].debts, "to others it is what it was")
}

// A release that a power cut interrupts is made again, and until then what is left
// counts for nobody.
func TestJournalReleasesWhatIsLeftOver(t *testing.T) {
	a, b := process{"a", 1}, process{"b", 1}
	core := newCore(a, 2, 1, handoffPace{})
	core.starts[b.id] = b.start
	core.restore(&journalState{records: map[int]report{5: {partition: 5, tenures: []tenure{{[]process{a, b}, tenureReady}}}}})
	core.wake(5)
	require.Equal(t, report{partition: 5}, core.report(5, b))
	core.step(time.Time{})
	job := core.take()[0].start
	require.True(t, job.release)
	require.False(t, core.bare())
	core.done(5, job.id, nil, time.Time{})
	core.step(time.Time{})
	require.Empty(t, core.parts)
	require.Empty(t, core.take())
	require.True(t, core.bare())
}

// lightsOut is a world in which members lose their power, some or all, while others
// come and go.
func lightsOut(t *testing.T, seed uint64, safe safeguards) *world {
	w := newWorld(t, seed)
	w.disks, w.enough, w.treachery, w.safe = make(map[string]*disk), 4, 0, safe
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
			w.dismiss()
		case dice < 5:
			a := w.one()
			self := a.known[a.id].member
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

// dismiss lets a member drain, unless too few would be left to begin again.
func (w *world) dismiss() {
	active := 0
	for _, a := range w.live {
		if a.known[a.id].member.State == membership.Active {
			active++
		}
	}
	a := w.one()
	if self := a.known[a.id].member; self.State == membership.Active && active > w.enough+1 {
		w.note("%s drains", a.id)
		self.State = membership.Draining
		w.announce(a, self)
	}
}
