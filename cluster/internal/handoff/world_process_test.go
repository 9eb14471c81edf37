package handoff

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster/internal/alarm"
	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// learn stores news of a member, unless the process has newer news.
func (a *worldProcess) learn(news announced) {
	id := news.member.ID
	if a.dead || a.known[id].version >= news.version {
		return
	}
	a.known[id] = news
	a.refresh()
}

// refresh derives the view of the process, and gives the view to its machine.
func (a *worldProcess) refresh() {
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
	state := a.known[a.ID].member.State
	a.w.detailView(a)
	a.step(View{Ring: a.view.Ring, Starts: starts, Draining: state == membership.Draining, Leaving: state == membership.Leaving})
	a.progress()
}

func (w *world) detailView(a *worldProcess) {
	if w.follow > 0 && a.view.Ring.Len() > 0 {
		place := a.view.Ring.Placement(w.follow - 1)
		ids := func(p ring.Placement) (ids []string) {
			for _, o := range p.All() {
				ids = append(ids, o.ID())
			}
			return ids
		}
		ready := false
		if pt := a.machine.parts[w.follow-1]; pt != nil {
			ready = pt.ready()
		}
		w.detail(w.follow-1, "%s sees %v toward %v, is ready %v", a.ID, ids(place), ids(place.Target()), ready)
	}
}

func (a *worldProcess) gate(p int) *worldGate {
	g := a.gates[p]
	if g == nil {
		g = &worldGate{}
		a.gates[p] = g
	}
	return g
}

// step gives the machine an event and carries out the effects.
func (a *worldProcess) step(e Event) Effects {
	if a.dead {
		return Effects{}
	}
	effects := a.advance(e)
	a.follow(effects)
	var drained []int
	for _, f := range effects.Fences {
		g := a.gate(f.Partition)
		g.late, g.now, g.token, g.epoch = g.late+g.now, 0, f.Token, g.epoch+1
		if g.late == 0 {
			drained = append(drained, f.Partition)
		}
	}
	for _, s := range effects.Send {
		a.send(s.To, s.Message.Bytes())
	}
	for _, id := range effects.Cancel {
		delete(a.jobs, id)
	}
	for _, job := range effects.Start {
		a.begin(job)
	}
	for _, arm := range effects.Arm {
		a.alarms.Set(arm.Timer, worldDelay(arm.Kind), arm.Anew, a.w.now)
	}
	if len(drained) > 0 {
		a.step(Drained{drained})
	}
	a.sleep()
	return effects
}

// follow keeps how the process stands with each partition, as the effects report it. It must be as the
// machine says. The token of a partition that the process does not own is not reported. Where something is left to do,
// a job runs, or other processes are asked.
func (a *worldProcess) follow(effects Effects) {
	for _, c := range effects.Changed {
		a.standing[c.Partition] = c.Standing
	}
	for p := range a.w.partitions {
		reported, is := a.standing[p], a.machine.Standing(p)
		if !is.Owner {
			reported.Token = is.Token
		}
		if reported != is {
			a.w.fail("%s reports %+v of partition %d, and is %+v", a.ID, reported, p, is)
		}
		pt := a.machine.parts[p]
		if pt != nil && pt.unfinished(&a.machine.around) && (pt.rests || pt.job == nil && pt.asking == quiet) {
			a.w.fail("%s has partition %d to finish, and waits for nothing: %+v", a.ID, p, pt)
		}
	}
}

// advance steps the machine. Where the world is cloning, it steps a clone too, and compares the two.
func (a *worldProcess) advance(e Event) Effects {
	if !a.w.cloning {
		return a.machine.Step(e)
	}
	number := func(p Process) byte { return byte(p.Start) }
	before := a.machine.AppendState(nil, number)
	clone := a.machine.Clone()
	want := clone.Step(e)
	require.Equal(a.w.t, before, a.machine.AppendState(nil, number), "the original has changed with its clone")
	got := a.machine.Step(e)
	require.Equal(a.w.t, want, got)
	require.Equal(a.w.t, clone.AppendState(nil, number), a.machine.AppendState(nil, number))
	return got
}

// worldDelay is how long a timer takes.
func worldDelay(kind TimerKind) alarm.Delay {
	switch kind {
	case Batch:
		return alarm.Delay{Least: 20 * time.Millisecond, Most: 20 * time.Millisecond, Spaced: true, Lasting: true}
	case Patience:
		return alarm.Delay{Least: time.Second, Most: time.Second}
	case Retry:
		return alarm.Delay{Least: 200 * time.Millisecond, Most: 6400 * time.Millisecond, Lasting: true}
	default:
		return alarm.Delay{Least: 100 * time.Millisecond, Most: 2 * time.Second}
	}
}

// sleep schedules the process to wake when its next timer is due.
func (a *worldProcess) sleep() {
	next := a.alarms.Next()
	if next.IsZero() || !a.asleep.IsZero() && !next.Before(a.asleep) {
		return
	}
	a.asleep = next
	a.w.after(max(next.Sub(a.w.now), time.Microsecond), func() {
		if !a.dead && a.asleep.Equal(next) {
			a.asleep = time.Time{}
			a.step(Due{a.alarms.Due(a.w.now)})
			a.progress()
		}
	})
}

// progress announces the next lifecycle state of a process, when the process may take it.
func (a *worldProcess) progress() {
	self := a.known[a.ID].member
	switch {
	case self.State == membership.Joining && a.back:
		if !view.Formed(a.view.Members, a.view.Configuration) && len(a.view.Members) < a.w.enough {
			return
		}
		self.State = membership.Active
	case self.State == membership.Joining && a.machine.Summary().Joined:
		self.State = membership.Active
	case self.State == membership.Draining && !a.leaving && a.machine.Summary().HandedOver:
		self.State = membership.Leaving
		a.leaving = true
	case self.State == membership.Leaving && a.machine.Summary().Bare:
		a.w.retire(a)
		return
	default:
		return
	}
	a.w.note("%s is %v", a.ID, self.State)
	a.w.announce(a, self)
}

func (a *worldProcess) send(to Process, b []byte) {
	w := a.w
	w.messages++
	if w.rand.Float64() < w.lossy {
		return
	}
	m, err := ParseMessage(b, w.partitions)
	if err != nil {
		w.t.Fatalf("seed %d: %v: %x", w.seed, err, b)
	}
	w.after(w.upTo(w.latency), func() {
		other := w.live[to.ID]
		if other == nil || other.Start != to.Start || w.apart(a.ID, to.ID) {
			return
		}
		other.step(Received{a.Process, m})
		other.progress()
	})
}

var errWorld = errors.New("made up")

// begin carries out a job. A merge copies the data at some moment before its end.
func (a *worldProcess) begin(job Job) {
	w := a.w
	a.jobs[job.ID] = true
	var err error
	finish := func() {
		if a.dead {
			return
		}
		if !a.jobs[job.ID] {
			err = errWorld
		}
		delete(a.jobs, job.ID)
		w.detail(job.Partition, "%s has done %+v: %v", a.ID, job, err)
		if err == nil {
			a.alarms.Reset(Timer{job.Partition, Retry})
		}
		a.step(Ended{Partition: job.Partition, ID: job.ID, Failed: err != nil})
		a.progress()
	}
	if job.Kind == Release && a.disk != nil {
		a.disk.records[job.Partition] = job.Record
	}
	if w.rand.IntN(30) == 0 {
		err = errWorld
		w.after(w.upTo(100*time.Millisecond), finish)
		return
	}
	if job.Kind == Save {
		w.after(w.upTo(30*time.Millisecond), func() {
			if !a.dead {
				a.disk.records[job.Partition] = job.Record
			}
			finish()
		})
		return
	}
	if job.Kind == Release {
		w.checkRelease(a, job.Partition)
		a.store[job.Partition] = nil
		a.dropped[job.Partition] = true
		w.moved++
		w.after(w.upTo(100*time.Millisecond), finish)
		return
	}
	sources := slices.Clone(job.Sources)
	w.rand.Shuffle(len(sources), func(i, j int) { sources[i], sources[j] = sources[j], sources[i] })
	if victim := w.live[sources[0].ID]; w.formed && w.rand.Float64() < w.unreliable && victim != nil && w.spares(victim) {
		w.restart(victim) // while the merge relies on this source
	}
	w.after(w.upTo(150*time.Millisecond), func() {
		got := 0
		for _, s := range sources {
			if other := w.live[s.ID]; got < job.Need && other != nil && !w.apart(a.ID, s.ID) && !a.dead && a.jobs[job.ID] {
				a.merge(job.Partition, other.store[job.Partition]) // the start of the source is not compared
				got++
			}
		}
		if got < job.Need {
			err = errWorld
		}
		w.after(w.upTo(100*time.Millisecond), finish)
	})
}

func (a *worldProcess) merge(p int, writes map[int]bool) {
	if a.store[p] == nil {
		a.store[p] = make(map[int]bool)
	}
	maps.Copy(a.store[p], writes)
}

// write sends a write to the owners of a partition in the view of this process.
func (a *worldProcess) write(p int) {
	w := a.w
	place := a.view.Ring.Placement(p)
	x := &write{id: w.written, partition: p, acked: make(map[*worldProcess]bool), holders: make(map[*worldProcess]bool)}
	w.written++
	for _, o := range place.All() {
		x.serving = append(x.serving, Process{ID: o.ID()})
	}
	for _, o := range place.Target().All() {
		x.target = append(x.target, Process{ID: o.ID()})
	}
	token := place.Token()
	var all []string
	for _, o := range append(slices.Clone(x.serving), x.target...) {
		if !slices.Contains(all, o.ID) {
			all = append(all, o.ID)
		}
	}
	for _, id := range all {
		w.after(w.transit(), func() {
			if other := w.live[id]; other != nil && !w.apart(a.ID, id) && !a.dead && w.rand.IntN(5) > 0 {
				other.accept(x, token)
			}
		})
	}
}

// transit returns how long a write request is on its way. Proxies and queues may hold a request for a
// long time.
func (w *world) transit() time.Duration {
	if w.tardy > 0 && w.rand.IntN(4) == 0 {
		return w.upTo(w.tardy)
	}
	return w.upTo(w.latency)
}

// accept accepts a write if its token means the same owners, and applies the write later.
func (a *worldProcess) accept(x *write, token ring.Token) {
	w, p := a.w, x.partition
	pt := a.machine.parts[p]
	g := a.gate(p)
	if pt == nil || !pt.accepts() {
		return
	}
	if same := w.without.is(withoutStarts) && named(pt.owners.serving, x.serving) && named(pt.owners.target, x.target); !same && g.token != token {
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
			a.step(Drained{[]int{p}})
			defer a.progress()
		}
		w.after(w.upTo(w.latency), func() { w.ack(x, a) })
	})
}

// withoutStarts switches off a safeguard of the ring, not of the machine: tokens name the starts of the
// owners. Without that safeguard, the gates of a world compare only IDs.
const withoutStarts Safeguards = 1 << 15

// named reports whether two lists name the same members.
func named(a, b []Process) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(p Process) bool {
		return !slices.ContainsFunc(b, func(q Process) bool { return p.ID == q.ID })
	})
}

// ack counts an acknowledgement that has arrived at the writer.
func (w *world) ack(x *write, by *worldProcess) {
	x.acked[by], x.holders[by] = true, true
	count := func(owners []Process) (n int) {
		for a := range x.acked {
			if slices.Contains(owners, Process{ID: a.ID}) {
				n++
			}
		}
		return n
	}
	w.detail(x.partition, "write %d taken by %s", x.id, by.ID)
	if !x.known && count(x.serving) >= w.quorum && count(x.target) >= w.quorum {
		x.known = true
		w.detail(x.partition, "write %d acknowledged: %v %v", x.id, x.serving, x.target)
		w.writes = append(w.writes, x)
	}
}
