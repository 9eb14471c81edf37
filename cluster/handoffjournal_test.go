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
		w := newWorld(t, seed+1)
		w.follow, _ = strconv.Atoi(os.Getenv("HANDOFF_FOLLOW"))
		w.disks, w.enough, w.treachery = make(map[string]*disk), 4, 0
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
				a := w.one()
				active := 0
				for _, other := range w.live {
					if other.known[other.id].member.State == membership.Active {
						active++
					}
				}
				if self := a.known[a.id].member; self.State == membership.Active && active > w.enough+1 {
					w.note("%s drains", a.id)
					self.State = membership.Draining
					w.announce(a, self)
				}
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
		w.require(t)
		require.Zero(t, w.lost(), "seed %d", seed+1)
		writes += len(w.writes)
	}
	t.Logf("%d writes", writes)
}
