package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
)

// Resume takes this member back into ownership after [Cluster.Drain], without a restart. A call of
// Drain that is under way ends with an error that says so. What follows depends on how far Drain
// was:
//
//   - This member drains and has not announced that it leaves. It is active again, and owns what it
//     owned.
//   - It has announced that it leaves, or Drain has returned nil. It joins again, as a member that
//     starts. With a [Mover] it receives what it is to own, and owns when it has that. What it has
//     released is not counted as here.
//   - It neither drains nor leaves. Nothing changes.
//
// Resume returns nil when the new state is announced. [Cluster.WaitReady] waits until this member
// owns. Drain and Resume may be called again, in any order and from any goroutine. Of calls at one
// time the last to take effect counts.
//
// It returns [ErrNotStarted], [ErrStopped] also where Stop begins meanwhile, the context's error
// when that ends first, the error of a [Journal] that cannot save that the data begins anew, or an
// error when a newer process speaks for the NodeID. After an error nothing has changed, but that the
// call of Drain has ended; Resume may be called again.
func (c *Cluster) Resume(ctx context.Context) error {
	if err := c.check(); err != nil {
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
		err = fmt.Errorf("another process of NodeID %q, started later, speaks for it: stop one of the two", self.ID)
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

// errResumed is why a call of Drain ends that [Cluster.Resume] has made pointless.
var errResumed = errors.New("Resume was called")

// service serializes what takes this member out of ownership and back.
type service struct {
	turn chan struct{} // holds one token while no state is being changed

	mu    sync.Mutex
	calls map[*context.CancelCauseFunc]bool // of Drain, under way
}

func newService() *service {
	s := &service{turn: make(chan struct{}, 1), calls: make(map[*context.CancelCauseFunc]bool)}
	s.release()
	return s
}

// take waits for the turn. It takes none for a context that has ended.
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

// begin returns a context that ends with a call of Resume too. The function must be called at the end.
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

// interrupt ends the calls of Drain.
func (s *service) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cancel := range s.calls {
		(*cancel)(errResumed)
	}
}

// leave announces one of the two states of a member that goes, unless Resume was called.
func (c *Cluster) leave(ctx context.Context, state membership.State) error {
	if err := c.service.take(ctx); err != nil {
		return err
	}
	defer c.service.release()
	return membership.Drive(c.members).SetState(ctx, state)
}

// call runs a function in the goroutine of the loop, which derives no view meanwhile. It reports
// whether it did: not once the cluster stops.
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

// rejoin has a member that leaves join again. Once it has announced that it departs, the other members
// take that for a fact about the process: it has nothing. So it goes on as another process, whose
// data starts anew. Before that it is a former owner that comes to own again.
func (d *driver) rejoin(ctx context.Context) error {
	local := d.c.members.Local()
	departed := false
	var err error
	if stopped := d.c.call(ctx, func() {
		// A machine that leaves no longer does not begin to announce that it departs.
		d.view(&d.c.view.Load().View, membership.Joining)
		if departed = d.is((*handoff.Machine).Departed); !departed {
			// A data start that is announced does not let it own at once for what it has.
			err = membership.Drive(d.c.members).Rejoin(ctx, membership.Joining, view.Origin(local))
		}
	}); stopped != nil || !departed {
		return errors.Join(stopped, err)
	}
	dataStart := rand.Uint64() | 1 // not 0
	if journal := d.c.settings.journal; journal != nil {
		if err := journal.begin(ctx, d.options.Journal, dataStart); err != nil {
			return err
		}
	}
	for renewed := false; !renewed; {
		// Jobs that remain are records of departures, and end soon.
		if err := d.await(ctx, func(*handoff.Machine) bool { return len(d.cancels) == 0 }); err != nil {
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

// renew begins anew under another data start. Nothing is held. It reports whether it did: not while a
// job runs.
func (d *driver) renew(dataStart uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.cancels) > 0 {
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
