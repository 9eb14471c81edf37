package handoff

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
)

// plan says what happens in a world.
type plan struct {
	members, events int
	partitions      int
	edit            func(*world)
	then            Safeguards // safeguards that are switched off once all members are ready
}

// runPlan runs a world by a plan, within the condition of the claim. Afterwards world.wrong names the
// first failure, if there was one.
func runPlan(t testing.TB, seed uint64, o plan) *world {
	w := newWorld(t, seed)
	if o.partitions > 0 {
		w.partitions = o.partitions
	}
	w.follow, _ = strconv.Atoi(os.Getenv("HANDOFF_FOLLOW"))
	if o.edit != nil {
		o.edit(w)
	}
	w.start("n000", true)
	for i := 1; i < o.members; i++ {
		w.run(w.upTo(300 * time.Millisecond))
		w.start(fmt.Sprintf("n%03d", i), false)
	}
	var writes func()
	writing := true
	writes = func() {
		if writing {
			w.one().write(w.rand.IntN(w.partitions))
			w.after(w.upTo(80*time.Millisecond), writes)
		}
	}
	writes()
	var watch func()
	watch = func() {
		w.settle()
		w.readable()
		w.after(100*time.Millisecond, watch)
	}
	watch()
	w.await(time.Minute, "the beginning")
	w.formed = true
	w.without |= o.then
	for _, a := range w.live {
		a.machine.around.config.Without = w.without
	}
	for range o.events {
		w.event(o.members)
		w.run(w.upTo([]time.Duration{200 * time.Millisecond, time.Second, 6 * time.Second}[w.rand.IntN(3)]))
		if w.wrong != "" {
			return w
		}
	}
	w.heal()
	w.replenish()
	writing = false
	if w.loose {
		w.run(30 * time.Second)
		w.checkAll()
		return w
	}
	w.await(2*time.Minute, "the end")
	w.run(w.tardy)
	w.settle()
	if n := w.lost(); w.wrong == "" && n > 0 {
		w.fail("%d partitions are reported as lost", n)
	}
	return w
}

// replenish starts members until RF members are joining or active.
func (w *world) replenish() {
	stay := 0
	for _, a := range w.live {
		if state := a.known[a.ID].member.State; state == membership.Joining || state == membership.Active {
			stay++
		}
	}
	for i := 0; stay < w.factor; i++ {
		if id := fmt.Sprintf("n%03d", i); w.live[id] == nil {
			w.start(id, false)
			stay++
		}
	}
}

func (w *world) await(limit time.Duration, what string) {
	for end := w.now.Add(limit); !w.whole() && w.wrong == ""; {
		if w.now.After(end) {
			w.fail("%s: not all are ready after %v:\n%s", what, limit, w.describe())
			return
		}
		w.run(100 * time.Millisecond)
	}
	w.run(2 * time.Second) // so that writes under way end
	w.settle()
}

func (w *world) one() *worldProcess {
	ids := slices.Sorted(maps.Keys(w.live))
	return w.live[ids[w.rand.IntN(len(ids))]]
}

// event lets one random event happen in the world.
func (w *world) event(size int) {
	active := 0
	for _, a := range w.live {
		if a.known[a.ID].member.State == membership.Active {
			active++
		}
	}
	for range 100 {
		a := w.one()
		self := a.known[a.ID].member
		switch dice := w.rand.IntN(100); {
		case dice < 20 && len(w.live) < size+2:
			for i := 0; ; i++ {
				if id := fmt.Sprintf("n%03d", i); w.live[id] == nil {
					w.start(id, false)
					return
				}
			}
		case dice < 35 && active > size-2 && self.State == membership.Active:
			w.note("%s drains", a.ID)
			self.State = membership.Draining
			w.announce(a, self)
			return
		case dice < 55 && active > size-2 && w.spares(a):
			w.crash(a)
			return
		case dice < 70 && w.spares(a):
			w.restart(a)
			return
		case dice < 90 && self.State == membership.Active:
			self.Weight = 1 + 3*w.rand.IntN(2)
			w.note("%s has weight %d", a.ID, self.Weight)
			w.announce(a, self)
			return
		case dice < 95 && len(w.cut) == 0 && !w.uncut:
			w.split()
			return
		case dice >= 95 && len(w.cut) > 0:
			w.heal()
			return
		}
	}
}

// split cuts random members off from the rest.
func (w *world) split() {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(w.live)) {
		if w.rand.IntN(3) == 0 {
			ids = append(ids, id)
		}
	}
	w.divide(ids...)
}

// divide cuts members off from the rest. If the cut lasts, the members of each side learn that the other
// side is gone.
func (w *world) divide(ids ...string) {
	w.wasCut = true
	for _, id := range ids {
		w.cut[id] = true
	}
	w.note("cut off: %v", ids)
	cut := maps.Clone(w.cut)
	for _, id := range slices.Sorted(maps.Keys(w.live)) {
		a := w.live[id]
		for _, gone := range slices.Sorted(maps.Keys(w.live)) {
			if !w.apart(id, gone) {
				continue
			}
			w.after(time.Second+w.upTo(w.skew), func() {
				if k := a.known[gone]; maps.Equal(cut, w.cut) && w.apart(id, gone) && k.alive {
					w.versions++
					a.learn(announced{version: w.versions, member: k.member})
				}
			})
		}
	}
}

// heal ends the cut. Each side learns the state of the members of the other side.
func (w *world) heal() {
	if len(w.cut) == 0 {
		return
	}
	w.note("healed")
	clear(w.cut)
	known := make(map[string]announced) // the newest state that is known of each member
	for _, a := range w.live {
		for id, k := range a.known {
			if other := w.live[id]; other != nil {
				k = other.known[id]
			} else if k.alive {
				k.alive = false
			}
			known[id] = k
		}
	}
	for _, id := range slices.Sorted(maps.Keys(known)) {
		news := known[id]
		w.versions++
		news.version = w.versions
		if a := w.live[id]; a != nil {
			a.known[id] = news
			w.spread(a, news)
			continue
		}
		for _, other := range slices.Sorted(maps.Keys(w.live)) {
			a := w.live[other]
			w.after(w.upTo(w.skew), func() { a.learn(news) })
		}
	}
}

func (w *world) require(t testing.TB) {
	if w.wrong != "" {
		history := w.history[max(0, len(w.history)-200):]
		require.FailNow(t, w.wrong, strings.Join(history, "\n"))
	}
}

// seedCount returns how many worlds a test runs: few with -short and under the race detector, many with
// CLUSTERKIT_SIM_FULL, which the gate sets.
func seedCount(normal, full int) int {
	switch {
	case os.Getenv("CLUSTERKIT_SIM_FULL") != "":
		return full
	case underRace:
		return 2
	case testing.Short():
		return max(2, normal/5)
	default:
		return normal
	}
}

// The claim of docs/handoff.md holds: an acknowledged write survives.
func TestAcknowledgedWritesSurvive(t *testing.T) {
	t.Parallel()
	seeds := seedCount(6, 100)
	writes, moved, messages := 0, 0, uint64(0)
	first, _ := strconv.Atoi(os.Getenv("HANDOFF_SEED"))
	for seed := range uint64(seeds) {
		w := runPlan(t, uint64(first)+seed+1, plan{members: 7, events: 25})
		w.require(t)
		writes, moved, messages = writes+len(w.writes), moved+w.moved, messages+w.messages
	}
	t.Logf("%d seeds: %d acknowledged writes, %d partitions released, %d messages", seeds, writes, moved, messages)
}

// A write request may be older than a restart of an owner. Then the acknowledgement of the
// earlier start must not count together with an acknowledgement that comes after the restart.
func TestLateRequestsDoNotCountTwice(t *testing.T) {
	for _, tardy := range []time.Duration{3 * time.Second, 10 * time.Second, time.Minute} {
		t.Run(tardy.String(), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(seedCount(2, 20)) {
				runPlan(t, seed+1, plan{members: 7, events: 25, edit: func(w *world) { w.tardy = tardy }}).require(t)
			}
		})
	}
}

// An acknowledged write survives also when too many processes lose their state for all owners to become
// ready again.
func TestAcknowledgedWritesSurviveFurtherLosses(t *testing.T) {
	t.Parallel()
	for seed := range uint64(seedCount(4, 60)) {
		runPlan(t, seed+1, plan{members: 7, events: 25, edit: func(w *world) { w.loose = true }}).require(t)
	}
}
