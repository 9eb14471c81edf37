package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
)

// Resume takes this member back into ownership after [Cluster.Drain], without a restart. A call of
// Drain that is under way ends with an error that says so. The effect depends on how far Drain
// was:
//
//   - This member drains and has not announced that it leaves. It is active again, and owns the
//     same partitions as before.
//   - It has announced that it leaves, or Drain has returned nil. It joins again, as a member that
//     starts. With a [Mover] it receives its partitions first, and then owns them. Data that it
//     has released does not count as held.
//   - It neither drains nor leaves. Nothing changes.
//
// Resume returns nil when the new state is announced. [Cluster.WaitReady] waits until this member
// owns. Drain and Resume may be called again, in any order and from any goroutine. When calls run
// at one time, the last one to take effect decides.
//
// Resume returns [ErrNotStarted], or [ErrStopped], also when Stop begins meanwhile. It returns the
// context's error when the context ends first. It returns the error of the [Journal] when that
// cannot save that this member holds no data. It returns an error when a later start of this NodeID
// runs. After an error this member is as before, except that the call of Drain has ended. Resume
// may be called again.
func (c *Cluster) Resume(ctx context.Context) error {
	if err := c.checkCall(ctx, "resuming"); err != nil {
		return err
	}
	if err := c.service.take(ctx); err != nil {
		return fmt.Errorf("cluster: resuming: %w", err)
	}
	defer c.service.release()
	c.service.interrupt()
	self, err := c.members.Local(), error(nil)
	switch {
	case c.superseded(self):
		err = fmt.Errorf("a later process of NodeID %q has replaced this one: stop one of the two", self.ID)
	case self.State == membership.Draining:
		err = membership.Drive(c.members).Rejoin(ctx, membership.Active, 0)
	case self.State == membership.Leaving && c.settings.Observer:
		err = membership.Drive(c.members).Rejoin(ctx, membership.Observer, 0)
	case self.State == membership.Leaving && c.handoff == nil:
		err = membership.Drive(c.members).Rejoin(ctx, membership.Joining, 0)
	case self.State == membership.Leaving:
		err = c.handoff.rejoin(ctx)
	}
	switch {
	case errors.Is(err, membership.ErrStopped), c.leaving.Load() && err != nil:
		return ErrStopped
	case err != nil:
		return fmt.Errorf("cluster: resuming: %w", err)
	}
	return nil
}

// errResumed is the error of a call of Drain that [Cluster.Resume] has ended.
var errResumed = errors.New("Resume was called")

// service serializes Drain and Resume.
type service struct {
	turn chan struct{} // holds one value while no call changes the state

	mu    sync.Mutex
	calls map[*context.CancelCauseFunc]bool // the calls of Drain under way
}

func newService() *service {
	s := &service{turn: make(chan struct{}, 1), calls: make(map[*context.CancelCauseFunc]bool)}
	s.release()
	return s
}

// take waits for its turn to change the state. It returns an error, without the turn,
// when the context ends first.
func (s *service) take(ctx context.Context) error {
	select {
	case <-s.turn:
		if ctx.Err() == nil {
			return nil
		}
		s.release()
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

func (s *service) release() { s.turn <- struct{}{} }

// begin returns a context for a call of Drain, which also ends when Resume is called. The caller
// must call the function at its end.
func (s *service) begin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[&cancel] = true
	return ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.calls, &cancel)
		cancel(nil)
	}
}

// interrupt ends all calls of Drain that are under way.
func (s *service) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cancel := range s.calls {
		(*cancel)(errResumed)
	}
}

// leave announces that this member is draining or leaving, unless Resume was called.
func (c *Cluster) leave(ctx context.Context, state membership.State) error {
	if err := c.service.take(ctx); err != nil {
		return err
	}
	defer c.service.release()
	return membership.Drive(c.members).SetState(ctx, state)
}

// call runs a function in the goroutine of the loop, so that no view is derived meanwhile. It
// returns nil once the function has run, and ErrStopped when the cluster stops first.
func (c *Cluster) call(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case c.calls <- func() { defer close(done); f() }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.life.Ending().Done():
		return ErrStopped
	}
}

// rejoin makes a leaving member join again. Until the member has announced that it departed, it
// joins as a former owner with its data. Once it has announced that, the other members hold that
// this data start has no data, for good. So the member joins with a new data start.
func (d *driver) rejoin(ctx context.Context) error {
	local := d.c.members.Local()
	departed := false
	var err error
	if stopped := d.c.call(ctx, func() {
		// After this step the machine is not leaving, and will not announce that it
		// departed.
		d.view(&d.c.view.Load().View, membership.Joining)
		if departed = d.is((*handoff.Machine).Departed); !departed {
			// The announced data start does not make this member an owner at once: it
			// announces that it joins.
			err = membership.Drive(d.c.members).Rejoin(ctx, membership.Joining, view.Origin(local))
		}
	}); stopped != nil || !departed {
		return errors.Join(stopped, err)
	}
	dataStart := unguessable() | 1 // not 0
	if journal := d.c.settings.journal; journal != nil {
		if err := journal.begin(ctx, d.c.settings.Logger, d.options.Journal, dataStart); err != nil {
			return err
		}
	}
	for renewed := false; !renewed; {
		// The jobs that remain save records of departures, and end soon.
		if err := d.await(ctx, func(*handoff.Machine) bool { return len(d.jobs) == 0 }); err != nil {
			return err
		}
		if stopped := d.c.call(ctx, func() {
			if renewed = d.renew(dataStart); renewed {
				err = membership.Drive(d.c.members).Rejoin(context.WithoutCancel(ctx), membership.Joining, dataStart)
			}
		}); stopped != nil {
			return stopped
		}
	}
	return err
}

// renew replaces the machine by an empty one with another data start. It reports whether it did so:
// it does not while a job runs.
func (d *driver) renew(dataStart uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.jobs) > 0 {
		return false
	}
	d.self.Start = dataStart
	d.machine = d.newMachine()
	d.report.moving, d.report.counts = nil, [4]int{}
	if d.options.Journal != nil {
		d.machine.Step(handoff.Restored{Starts: 1})
	}
	return true
}
