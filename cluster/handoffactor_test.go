package cluster

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// learn takes news of a member unless there is newer.
func (a *actor) learn(news announced) {
	id := news.member.ID
	if a.dead || a.known[id].version >= news.version {
		return
	}
	a.known[id] = news
	a.refresh()
}

// refresh derives the view and tells the core.
func (a *actor) refresh() {
	var members []membership.Member
	starts := make(map[string]uint64)
	for _, id := range slices.Sorted(maps.Keys(a.known)) {
		if k := a.known[id]; k.alive {
			members = append(members, k.member)
			starts[id] = view.Origin(k.member)
		}
	}
	a.view = a.builder.Derive(members, a.view)
	if a.view.Failure != nil {
		a.w.t.Fatal(a.view.Failure)
	}
	state := a.known[a.id].member.State
	a.w.detailView(a)
	a.core.view(handoffView{ring: a.view.Ring, starts: starts, draining: state == membership.Draining, leaving: state == membership.Leaving}, a.fence, a.w.now)
	a.drive()
}

func (w *world) detailView(a *actor) {
	if w.follow > 0 && a.view.Ring.Len() > 0 {
		place := a.view.Ring.Placement(w.follow - 1)
		ids := func(p ring.Placement) (ids []string) {
			for _, o := range p.All() {
				ids = append(ids, o.ID())
			}
			return ids
		}
		ready := false
		if pt := a.core.parts[w.follow-1]; pt != nil {
			ready = pt.ready()
		}
		w.detail(w.follow-1, "%s sees %v toward %v, is ready %v", a.id, ids(place), ids(place.Target()), ready)
	}
}

func (a *actor) gate(p int) *worldGate {
	g := a.gates[p]
	if g == nil {
		g = &worldGate{}
		a.gates[p] = g
	}
	return g
}

func (a *actor) fence(p int, token ring.Token) bool {
	g := a.gate(p)
	g.late, g.now, g.token, g.epoch = g.late+g.now, 0, token, g.epoch+1
	return g.late == 0
}

// drive carries out what the core wants.
func (a *actor) drive() {
	if a.dead {
		return
	}
	due := a.core.step(a.w.now)
	for _, action := range a.core.take() {
		switch {
		case action.message != nil:
			a.send(action.to, action.message.bytes())
		case action.start != nil:
			a.begin(action.start)
		default:
			delete(a.jobs, action.cancel)
		}
	}
	if !due.IsZero() && (a.asleep.IsZero() || due.Before(a.asleep) || a.asleep.Before(a.w.now)) {
		a.asleep = due
		a.w.after(max(due.Sub(a.w.now), time.Microsecond), func() {
			if !a.dead && a.asleep.Equal(due) {
				a.asleep = time.Time{}
				a.drive()
			}
		})
	}
	a.progress()
}

// progress takes a process to its next state of life.
func (a *actor) progress() {
	self := a.known[a.id].member
	switch {
	case self.State == membership.Joining && a.back:
		if !view.Formed(a.view.Members) && len(a.view.Members) < a.w.enough {
			return
		}
		self.State = membership.Active
	case self.State == membership.Joining && a.core.joined():
		self.State = membership.Active
	case self.State == membership.Draining && !a.leaving && a.core.handedOver():
		self.State = membership.Leaving
		a.leaving = true
	case self.State == membership.Leaving && a.core.bare():
		a.w.retire(a)
		return
	default:
		return
	}
	a.w.note("%s is %v", a.id, self.State)
	a.w.announce(a, self)
}

func (a *actor) send(to process, b []byte) {
	w := a.w
	w.messages++
	if w.rand.Float64() < w.lossy {
		return
	}
	m, err := parseHandoff(b, w.partitions)
	if err != nil {
		w.t.Fatal(err)
	}
	w.after(w.upTo(w.latency), func() {
		other := w.live[to.id]
		if other == nil || other.start != to.start || w.apart(a.id, to.id) {
			return
		}
		other.core.hear(a.process, m, w.now)
		other.drive()
	})
}

var errWorld = errors.New("made up")

// begin carries out a job: a merge copies at some moment before its end.
func (a *actor) begin(job *handoffJob) {
	w := a.w
	a.jobs[job.id] = true
	var err error
	finish := func() {
		if a.dead {
			return
		}
		if !a.jobs[job.id] {
			err = errWorld
		}
		delete(a.jobs, job.id)
		w.detail(job.part, "%s has done %+v: %v", a.id, *job, err)
		a.core.done(job.part, job.id, err, w.now)
		a.drive()
	}
	if job.release && a.disk != nil {
		a.disk.records[job.part] = job.record
	}
	if w.rand.IntN(30) == 0 {
		err = errWorld
		w.after(w.upTo(100*time.Millisecond), finish)
		return
	}
	if job.recording {
		w.after(w.upTo(30*time.Millisecond), func() {
			if !a.dead {
				a.disk.records[job.part] = job.record
			}
			finish()
		})
		return
	}
	if job.release {
		w.checkRelease(a, job.part)
		a.store[job.part] = nil
		a.dropped[job.part] = true
		w.moved++
		w.after(w.upTo(100*time.Millisecond), finish)
		return
	}
	sources := slices.Clone(job.sources)
	w.rand.Shuffle(len(sources), func(i, j int) { sources[i], sources[j] = sources[j], sources[i] })
	if victim := w.live[sources[0].id]; w.formed && w.rand.Float64() < w.treachery && victim != nil && w.spares(victim) {
		w.restart(victim) // just when it is counted on
	}
	w.after(w.upTo(150*time.Millisecond), func() {
		got := 0
		for _, s := range sources {
			if other := w.live[s.id]; got < job.need && other != nil && !w.apart(a.id, s.id) && !a.dead && a.jobs[job.id] {
				a.merge(job.part, other.store[job.part]) // nobody looks which start it is
				got++
			}
		}
		if got < job.need {
			err = errWorld
		}
		w.after(w.upTo(100*time.Millisecond), finish)
	})
}

func (a *actor) merge(p int, writes map[int]bool) {
	if a.store[p] == nil {
		a.store[p] = make(map[int]bool)
	}
	maps.Copy(a.store[p], writes)
}

// order writes to a partition by the view of this process.
func (a *actor) write(p int) {
	w := a.w
	place := a.view.Ring.Placement(p)
	x := &write{id: w.written, partition: p, acked: make(map[*actor]bool), holders: make(map[*actor]bool)}
	w.written++
	for _, o := range place.All() {
		x.serving = append(x.serving, process{id: o.ID()})
	}
	for _, o := range place.Target().All() {
		x.target = append(x.target, process{id: o.ID()})
	}
	token := place.Token()
	var all []string
	for _, o := range append(slices.Clone(x.serving), x.target...) {
		if !slices.Contains(all, o.id) {
			all = append(all, o.id)
		}
	}
	for _, id := range all {
		w.after(w.upTo(w.latency), func() {
			if other := w.live[id]; other != nil && !w.apart(a.id, id) && !a.dead && w.rand.IntN(5) > 0 {
				other.accept(x, token)
			}
		})
	}
}

// accept takes a write if it means the same owners, and applies it later.
func (a *actor) accept(x *write, token ring.Token) {
	w, p := a.w, x.partition
	pt := a.core.parts[p]
	g := a.gate(p)
	if pt == nil || !pt.accepts() || g.token != token {
		return
	}
	g.now++
	begun := g.epoch
	w.after(w.upTo(200*time.Millisecond), func() {
		if a.dead {
			return
		}
		a.merge(p, map[int]bool{x.id: true})
		if g.epoch == begun {
			g.now--
		} else if g.late--; g.late == 0 {
			a.core.fenceDone(p, w.now)
			defer a.drive()
		}
		w.after(w.upTo(w.latency), func() { w.ack(x, a) })
	})
}

// ack counts an acknowledgement, which has crossed the network.
func (w *world) ack(x *write, by *actor) {
	x.acked[by], x.holders[by] = true, true
	count := func(owners []process) (n int) {
		for a := range x.acked {
			if slices.Contains(owners, process{id: a.id}) {
				n++
			}
		}
		return n
	}
	w.detail(x.partition, "write %d taken by %s", x.id, by.id)
	if !x.known && count(x.serving) >= w.quorum && count(x.target) >= w.quorum {
		x.known = true
		w.detail(x.partition, "write %d acknowledged: %v %v", x.id, x.serving, x.target)
		w.writes = append(w.writes, x)
	}
}
