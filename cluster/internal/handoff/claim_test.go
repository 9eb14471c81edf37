package handoff

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
)

// The world checks the claim of docs/handoff.md: an acknowledged write survives while fewer
// than W of the processes that acknowledged it lose their state before the handoffs of its
// partition complete.

// crash ends a process, and deletes the data of the process.
func (w *world) crash(a *worldProcess) {
	w.note("%s crashes", a.ID)
	w.losses++
	a.dead = true
	delete(w.live, a.ID)
	w.reportGone(a, 300*time.Millisecond)
	w.checkSurvival(a, "the crash of "+a.ID)
}

// restart ends a process, and starts another process of the same member before any member has noticed.
func (w *world) restart(a *worldProcess) {
	w.note("%s restarts", a.ID)
	w.losses++
	a.dead = true
	delete(w.live, a.ID)
	w.start(a.ID, false)
	w.checkSurvival(a, "the restart of "+a.ID)
}

// retire ends a process that has handed everything over.
func (w *world) retire(a *worldProcess) {
	w.note("%s is gone", a.ID)
	for p, writes := range a.store {
		if len(writes) > 0 && len(w.live) > 1 {
			w.fail("%s leaves with data of partition %d", a.ID, p)
		}
	}
	a.dead = true
	delete(w.live, a.ID)
	w.reportGone(a, 0)
	w.checkSurvival(a, "the leave of "+a.ID)
}

// checkRelease checks a release that is about to begin. Each live owner, in the view of the releasing
// process, must have all of the data, or must have released the partition itself. From then on the claim
// counts the processes that have the data.
func (w *world) checkRelease(a *worldProcess, p int) {
	pt := a.machine.parts[p]
	if len(pt.owners.all) == 0 && pt.has != leftover {
		w.fail("%s releases partition %d though it has no owner", a.ID, p)
	}
	for _, o := range pt.owners.all {
		other := w.live[o.ID]
		if other == nil || other.Start != o.Start && w.everywhere == 0 || pt.has == leftover {
			continue
		}
		for id := range a.store[p] {
			// An owner that had the write, and handed it over to other owners in turn, may own again
			// without it.
			if !other.store[p][id] && (!other.dropped[p] || !w.elsewhere(a, p, id)) {
				w.fail("%s releases partition %d, and %s lacks write %d of it", a.ID, p, o.ID, id)
			}
		}
	}
	for _, x := range w.writes {
		if x.partition == p && x.holders[a] {
			delete(x.holders, a)
			for _, other := range w.live {
				if other != a && other.store[p][x.id] {
					x.holders[other] = true
				}
			}
		}
	}
}

// checkSurvival requires that a live process has each acknowledged write that a process had which is
// gone.
func (w *world) checkSurvival(gone *worldProcess, after string) {
	for _, x := range w.writes {
		if len(gone.store[x.partition]) > 0 && gone.store[x.partition][x.id] && !w.exists(x) {
			w.fail("write %d of partition %d is lost with %s", x.id, x.partition, after)
		}
	}
}

// checkAll requires that a process has each acknowledged write.
func (w *world) checkAll() {
	for _, x := range w.writes {
		if !w.exists(x) {
			w.fail("write %d of partition %d is lost", x.id, x.partition)
		}
	}
}

func (w *world) elsewhere(but *worldProcess, p, id int) bool {
	for _, a := range w.live {
		if a != but && a.store[p][id] {
			return true
		}
	}
	return false
}

func (w *world) exists(x *write) bool {
	for _, a := range w.live {
		if a.store[x.partition][x.id] {
			return true
		}
	}
	return false
}

// spares reports whether the claim allows a process to lose its state now: no acknowledged write may lose
// its W-th holder. Unless the world is loose, all owners must also become ready again. So no partition
// may lose W of the processes that any member takes for its owners. Processes that acknowledged nothing
// count too, because the owners that are left cannot know that. Views differ while news travels, so the
// losses of all partitions are counted together.
func (w *world) spares(victim *worldProcess) bool {
	if !w.loose && w.losses+1 >= w.quorum {
		return false
	}
	for _, x := range w.writes {
		lost := 0
		for a := range x.holders {
			if a.dead || a == victim {
				lost++
			}
		}
		if x.holders[victim] && lost >= w.quorum {
			return false
		}
	}
	return true
}

// whole reports whether all members have the same view and nothing is under way.
func (w *world) whole() bool {
	if len(w.cut) > 0 || len(w.live) == 0 {
		return false
	}
	var first *worldProcess
	for _, id := range slices.Sorted(maps.Keys(w.live)) {
		a := w.live[id]
		if first == nil {
			first = a
		}
		if a.view.Fingerprint != first.view.Fingerprint || len(a.view.Members) != len(w.live) {
			return false
		}
		for _, m := range a.view.Members {
			if w.live[m.ID] == nil || w.live[m.ID].Start != view.Origin(m) || m.State != membership.Active {
				return false
			}
		}
		if !a.machine.Summary().Joined || a.busy() || a.view.Ring.Replicas() < w.factor {
			return false
		}
	}
	return true
}

// settle records, whenever the handoffs are complete, which owners hold which writes. From then on the
// claim counts these owners.
func (w *world) settle() bool {
	if !w.whole() {
		return false
	}
	w.losses, w.wasCut = 0, false
	if len(w.live) == 0 {
		return true
	}
	first := w.live[slices.Min(slices.Collect(maps.Keys(w.live)))]
	for _, x := range w.writes {
		clear(x.holders)
		lacking := 0
		for _, o := range first.view.Ring.Placement(x.partition).All() {
			if a := w.live[o.ID()]; a.store[x.partition][x.id] {
				x.holders[a] = true
			} else {
				lacking++
			}
		}
		if lacking > w.factor-w.quorum {
			w.fail("write %d of partition %d is missing from %d owners that are ready", x.id, x.partition, lacking)
		}
	}
	return true
}

// readable checks reads while handoffs go on, when all views are the same and there was no cut: no quorum
// of ready owners misses an acknowledged write. The claim does not promise this. While several moves of a
// partition overlap, serving owners may miss a write that target owners have, and the reverse. So a
// failure counts only where the same plan succeeds with all safeguards.
func (w *world) readable() {
	if !w.reading || w.wasCut {
		return
	}
	var first *worldProcess
	for _, a := range w.live {
		if first == nil {
			first = a
		}
		if a.view.Fingerprint != first.view.Fingerprint || len(a.view.Members) != len(w.live) {
			return
		}
		for _, m := range a.view.Members {
			if w.live[m.ID] == nil || w.live[m.ID].Start != view.Origin(m) {
				return
			}
		}
	}
	for _, x := range w.writes {
		lacking := 0
		for _, o := range first.view.Ring.Placement(x.partition).All() {
			a := w.live[o.ID()]
			if pt := a.machine.parts[x.partition]; pt != nil && pt.ready() && !a.store[x.partition][x.id] {
				lacking++
			}
		}
		if lacking > w.factor-w.quorum {
			w.fail("write %d of partition %d is missing from %d of the owners that are ready", x.id, x.partition, lacking)
		}
	}
}

// lost counts the reports of possible loss.
func (w *world) lost() (n int) {
	for _, a := range w.live {
		for pt := range a.machine.all() {
			if pt.lost {
				n++
			}
		}
	}
	return n
}

// describe returns the state of each process, and of each partition that is not settled.
func (w *world) describe() string {
	var text strings.Builder
	for _, id := range slices.Sorted(maps.Keys(w.live)) {
		a := w.live[id]
		fmt.Fprintf(&text, "%s %v, view %v of %d, joined %v, holds %d:", id, a.known[id].member.State, a.view.Fingerprint, len(a.view.Members), a.machine.Summary().Joined, a.machine.Summary().Held)
		for pt := range a.machine.all() {
			if !pt.unfinished(&a.machine.around) && pt.job == nil {
				continue
			}
			fmt.Fprintf(&text, "\n  p%d ownership %v has %v ready %v lost %v drained %v owners %v sets %+v job %+v",
				pt.id, pt.ownership, pt.has, pt.ready(), pt.lost, pt.drained, pt.owners.all, pt.sets, pt.job)
			for p, said := range pt.check {
				fmt.Fprintf(&text, "\n    %v says of the past %+v", p, said.sets)
			}
			for _, o := range pt.others {
				fmt.Fprintf(&text, "\n    %v: %05b fence %d merged %d asked %d", o.process, o.said.flags, o.said.fence, o.said.merged, o.asked)
			}
		}
		text.WriteString("\n")
	}
	return text.String()
}

// busy reports whether a process has a job that runs, or a partition that is not settled.
func (a *worldProcess) busy() bool {
	for pt := range a.machine.all() {
		if pt.job != nil || pt.unfinished(&a.machine.around) {
			return true
		}
	}
	return false
}
