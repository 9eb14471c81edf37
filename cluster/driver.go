package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/alarm"
	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/lifecycle"
	"github.com/clusterkit/clusterkit/ring"
)

// driver gives events to the state machine of handoff, and carries out its effects: timers, messages, and
// calls of the user's code. The driver never holds its lock while it waits for one of these.
type driver struct {
	c       *Cluster
	user    Mover
	options HandoffOptions
	self    handoff.Process
	nonce   uint64 // the nonce of this start
	gates   []gate
	cookies cookies
	changed lifecycle.Broadcast // a partition may be ready, handed over or released
	before  *ring.Ring          // the ring of the last view with owners; only the method view uses it

	life  context.Context // the context of messages and jobs
	end   context.CancelFunc
	tasks sync.WaitGroup

	mu      sync.Mutex // guards what follows
	machine *handoff.Machine
	clock   alarm.Clock[handoff.Timer]
	jobs    map[uint64]running // by Job.ID
	sending map[handoff.Process]int
	closed  bool
	report  progress
	// unsettled has the partitions with writes under way that were admitted before the last fence, and since when.
	unsettled map[int]time.Time
}

// delay returns how long a timer of the machine takes. Queries must be quick where something is new, and
// rare where a member does not answer.
func (o HandoffOptions) delay(kind handoff.TimerKind) alarm.Delay {
	switch kind {
	case handoff.Batch:
		return alarm.Delay{Least: 20 * time.Millisecond, Most: 20 * time.Millisecond, Spaced: true, Lasting: true}
	case handoff.Patience:
		return alarm.Delay{Least: 2 * time.Second, Most: 2 * time.Second}
	case handoff.Retry:
		return alarm.Delay{Least: o.RetryAfter, Most: 128 * o.RetryAfter, Lasting: true}
	default:
		return alarm.Delay{Least: 250 * time.Millisecond, Most: 5 * time.Second}
	}
}

// maxSends is how many messages to one process may be on their way. Further messages are dropped, and the
// machine asks again, after a longer time each time. So there must be room while some messages hang.
const maxSends = 8

// A message is sent again after this time, then after twice this time, while no earlier attempt has ended.
const (
	sendAgainAfter = 500 * time.Millisecond
	sendAttempts   = 3
)

func newDriver(c *Cluster, o HandoffOptions) *driver {
	local := c.members.Local()
	self := handoff.Process{ID: local.ID, Start: view.Origin(local)}
	d := &driver{
		c: c, user: o.Mover, options: o, self: self, nonce: local.Start.Nonce,
		gates: make([]gate, c.settings.PartitionCount), jobs: make(map[uint64]running), sending: make(map[handoff.Process]int),
		unsettled: make(map[int]time.Time), report: progress{since: time.Now()},
	}
	d.machine = d.newMachine()
	d.life, d.end = context.WithCancel(context.Background())
	d.clock = alarm.NewClock[handoff.Timer](d.tick)
	membership.Drive(c.members).HoldsNothing(d.bare)
	return d
}

func (d *driver) newMachine() *handoff.Machine {
	return handoff.New(handoff.Config{Self: d.self, Partitions: len(d.gates), Parallel: d.options.Parallel, Durable: d.options.Journal != nil})
}

// listen receives messages until the cluster stops.
func (d *driver) listen() {
	d.tasks.Go(func() {
		for {
			select {
			case <-d.life.Done():
				return
			case msg := <-membership.Drive(d.c.members).Messages():
				from, known := d.c.view.Load().Member(msg.From)
				if known && from.Start.Nonce == msg.Start { // otherwise the sender asks again
					d.hear(from, msg.Payload)
				}
			}
		}
	})
}

// hear gives the machine a message with the cookie of the member that it is from.
func (d *driver) hear(from Member, payload []byte) {
	payload, send := d.cookies.open(keyOf(from), payload, time.Now())
	process := handoff.Process{ID: from.ID, Start: view.Origin(from)}
	if len(send) > 0 {
		d.mu.Lock()
		for _, b := range send {
			d.post(process, func() []byte { return b })
		}
		d.mu.Unlock()
	}
	if len(payload) == 0 {
		return
	}
	m, err := handoff.ParseMessage(payload, len(d.gates))
	if err != nil {
		d.c.settings.Logger.Debug("ignoring a message", "from", from.ID, "error", err)
		return
	}
	d.drive(handoff.Received{From: process, Message: m})
}

// resume restores the journal of an earlier start, and records that this start begins.
func (d *driver) resume(ctx context.Context) error {
	journal := d.c.settings.journal
	if journal == nil {
		return nil
	}
	if err := journal.unchanged(d.c.settings.Logger, d.options.Journal); err != nil {
		return err
	}
	if err := journal.begin(ctx, d.c.settings.Logger, d.options.Journal, d.nonce); err != nil {
		return err
	}
	d.drive(handoff.Restored{Starts: journal.head.Starts, Records: journal.records, Departed: journal.departed, Since: journal.since})
	journal.records = nil
	return nil
}

// close ends messages and jobs. Calls of the user's code may still run: tasks has them.
func (d *driver) close() {
	d.mu.Lock()
	d.closed = true
	d.clock.Stop()
	d.mu.Unlock()
	d.end()
}

// view gives the machine a view. While another process has this NodeID, the machine is paused.
func (d *driver) view(v *view.View, state membership.State) {
	starts, away := make(map[string]uint64, len(v.Members)), make(map[string]bool)
	ours := false
	for _, m := range v.Members {
		starts[m.ID], away[m.ID] = view.Origin(m), view.Gone(m)
		ours = ours || m.ID == d.self.ID && m.Start.Nonce == d.nonce
	}
	d.drive(handoff.Paused{Cause: handoff.Superseded, On: !ours})
	d.cookies.keep(v.Members)
	if ours {
		next := handoff.View{Ring: v.Ring, Starts: starts, Away: away, Draining: state == membership.Draining, Leaving: state == membership.Leaving}
		d.drive(next.Compared(d.before))
		if v.Ring.Len() > 0 {
			d.before = v.Ring
		}
	}
}

// drive gives the machine an event and carries out the effects.
func (d *driver) drive(e handoff.Event) (stale bool) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return true
	}
	now := time.Now()
	stale = d.step(e, now)
	d.tell(now)
	d.mu.Unlock()
	d.changed.Signal()
	return stale
}

// step carries out the effects of one event. The lock is held.
func (d *driver) step(e handoff.Event, now time.Time) (stale bool) {
	effects := d.machine.Step(e)
	if e, ok := e.(handoff.Drained); ok {
		for _, p := range e.Partitions {
			delete(d.unsettled, p)
		}
	}
	var drained []int
	settled := d.settled
	for _, f := range effects.Fences {
		if d.gates[f.Partition].fence(f.Token, settled) {
			drained = append(drained, f.Partition)
		} else if _, waits := d.unsettled[f.Partition]; !waits {
			d.unsettled[f.Partition] = now
		}
	}
	for _, c := range effects.Changed {
		d.gates[c.Partition].set(c.Token, c.Owner, c.Accepts, c.Ready())
		d.report.show(c.Partition, len(d.gates), c.Standing, now)
	}
	for _, s := range effects.Send {
		d.send(s.To, s.Message)
	}
	for _, id := range effects.Cancel {
		if job, runs := d.jobs[id]; runs {
			job.cancel()
		}
	}
	for _, job := range effects.Start {
		d.begin(job)
	}
	for _, arm := range effects.Arm {
		d.clock.Set(arm.Timer, d.options.delay(arm.Kind), arm.Anew, now)
	}
	if len(drained) > 0 {
		d.step(handoff.Drained{Partitions: drained}, now)
	}
	d.clock.Wind(now)
	return effects.Stale
}

// tick tells the machine which of its timers are due.
func (d *driver) tick() {
	d.mu.Lock()
	due := d.clock.Due(time.Now())
	d.mu.Unlock()
	d.drive(handoff.Due{Timers: due})
}

// settled is called when the last write that was admitted under earlier tokens is done.
func (d *driver) settled(p int) {
	if d.gates[p].settled() {
		d.drive(handoff.Drained{Partitions: []int{p}})
	}
}

// send sends a message in the background. A message that is not gone soon, as when its connection is not
// answered, is sent again beside: a process may get it twice. The lock is held.
func (d *driver) send(to handoff.Process, m *handoff.Message) {
	if member, known := d.c.view.Load().Member(to.ID); known {
		d.post(to, func() []byte { return d.cookies.wrap(keyOf(member), m.Bytes()) })
	}
}

// post sends the bytes that content returns in the background. The lock is held.
func (d *driver) post(to handoff.Process, content func() []byte) {
	if d.closed || d.sending[to] >= maxSends {
		return
	}
	d.sending[to]++
	gone := make(chan struct{}, sendAttempts)
	attempt := func() {
		if err := membership.Drive(d.c.members).Send(d.life, to.ID, content()); err != nil {
			d.c.settings.Logger.Debug("cannot send a message about handoff", "to", to.ID, "error", err)
		}
		gone <- struct{}{}
	}
	d.tasks.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for n := 0; ; n++ {
			select {
			case <-gone:
			case <-timer.C:
				if n < sendAttempts {
					d.tasks.Go(attempt)
					timer.Reset(sendAgainAfter << n)
				}
				continue
			}
			break
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.sending[to]--; d.sending[to] == 0 {
			delete(d.sending, to)
		}
	})
}

// bare reports whether this member holds no data. The other members then do not wait for data of this member
// when it leaves, as before the cluster begins.
func (d *driver) bare() bool {
	return d.is(func(m *handoff.Machine) bool { return !m.Departing() && !m.Off() && m.Summary().Held == 0 })
}

// is reports whether a condition on the machine holds.
func (d *driver) is(what func(*handoff.Machine) bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return what(d.machine)
}

// await waits until a condition on the machine holds. It returns an error when it stops waiting before.
func (d *driver) await(ctx context.Context, what func(*handoff.Machine) bool) error {
	for {
		changed := d.changed.Wait()
		if d.is(what) {
			return nil
		}
		select {
		case <-changed:
		case <-d.c.life.Stopped():
			return ErrStopped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
