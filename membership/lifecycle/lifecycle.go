// Package lifecycle is the skeleton of a component that is started once and stopped
// once. It has two parts. A [Life] makes Start and Stop safe to call in any order, any
// number of times and from any goroutine. A [Broadcast] wakes every goroutine that waits
// for a change.
//
//	type Worker struct{ life lifecycle.Life }
//
//	func New() *Worker {
//		return &Worker{life: lifecycle.Life{Name: "worker", Ended: ErrStopped}}
//	}
//
//	func (w *Worker) Start(ctx context.Context) error { return w.life.Start(ctx, w.open) }
//
//	func (w *Worker) Stop(ctx context.Context) error {
//		return w.life.Stop(ctx, func(ctx context.Context, started bool) {
//			if started {
//				w.close(ctx)
//			}
//		})
//	}
//
// Packages membership and cluster use it. It imports only the standard library, knows
// nothing of gossip, and starts no goroutine except those of Stop and Undo.
//
// It is for the packages of this module, and may change in any release.
package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Grace is how long Undo still waits after its context has ended, and Linger in all.
const Grace = time.Second

// Life is the state of a component: not started, then started, then stopped. It never
// goes back. Set Name and Ended before the first call; the other fields need no setup.
// All methods are safe for concurrent use. A Life must not be copied after its first
// use.
type Life struct {
	// Name is the beginning of the texts of errors, for example "cluster".
	Name string
	// Ended is the error of a Start after Stop has begun. Nil means context.Canceled.
	Ended error

	made    sync.Once
	ending  context.Context // ends when Stop begins
	end     context.CancelFunc
	stopped chan struct{} // closed when Stop is done
	once    sync.Once     // for Stop

	mu      sync.Mutex
	running chan struct{} // closed when the start is done; nil before it
	err     error         // the error of the start
	undone  chan struct{} // closed when a start that failed is undone; nil: there is nothing to undo
}

func (l *Life) make() {
	l.made.Do(func() {
		l.ending, l.end = context.WithCancel(context.Background())
		l.stopped = make(chan struct{})
		if l.Ended == nil {
			l.Ended = context.Canceled
		}
	})
}

// Start runs the function, and returns what it returns. There is one run: further calls
// wait for it and return the same error. A call whose context ends while it waits returns
// the error of that context.
//
// The context of the run ends with that of the first call, and when Stop begins. The
// cause is Ended in the latter case. When Stop has begun already, Start returns Ended and
// runs nothing. Before it returns an error the function must undo its work, or call Undo: the
// Life counts as started, and does not start again. A run that panics counts as one that returned an
// error, so that Stop does not wait for it. A nil context is an error, and does not count
// as a start.
func (l *Life) Start(ctx context.Context, run func(context.Context) error) error {
	l.make()
	if ctx == nil {
		return fmt.Errorf("%s: starting: the context is nil: pass context.Background() to set no limit", l.Name)
	}
	l.mu.Lock()
	first := l.running == nil
	if first {
		l.running = make(chan struct{})
	}
	running := l.running
	l.mu.Unlock()
	if first {
		err := fmt.Errorf("%s: starting: panicked", l.Name)
		defer func() {
			l.mu.Lock()
			l.err = err
			l.mu.Unlock()
			close(running)
		}()
		err = l.run(ctx, run)
		return err
	}
	if err := await(ctx, running); err != nil {
		return fmt.Errorf("%s: starting: %w", l.Name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *Life) run(ctx context.Context, run func(context.Context) error) error {
	if l.ending.Err() != nil {
		return l.Ended
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ending, func() { cancel(l.Ended) })()
	return run(ctx)
}

// Undo runs a function that undoes a start which failed, in a goroutine of its own. The run of
// Start calls it, once. Undo returns when the function has returned, and [Grace] after the end
// of the context at the latest. Stop waits for the function in any case.
func (l *Life) Undo(ctx context.Context, undo func()) {
	undone := make(chan struct{})
	l.mu.Lock()
	l.undone = undone
	l.mu.Unlock()
	go func() {
		defer close(undone)
		undo()
	}()
	if await(ctx, undone) != nil {
		linger(undone)
	}
}

// Stop ends the context of a run that is under way, waits for that run and what it undoes, and
// then runs the function in a goroutine of its own. The function gets the context of the first call, and
// learns whether Start was called before. It runs once, whatever the number of calls of
// Stop. Every call returns nil when the function has returned, or the error of its own
// context when that ends first; the function continues in that case. A nil context is one
// that never ends.
func (l *Life) Stop(ctx context.Context, run func(ctx context.Context, started bool)) error {
	l.make()
	if ctx == nil {
		ctx = context.Background()
	}
	l.once.Do(func() {
		l.end()
		l.mu.Lock()
		running := l.running
		l.mu.Unlock()
		go func() {
			defer close(l.stopped)
			if running != nil {
				<-running
			}
			l.mu.Lock()
			undone := l.undone
			l.mu.Unlock()
			if undone != nil {
				<-undone
			}
			run(ctx, running != nil)
		}()
	})
	if err := await(ctx, l.stopped); err != nil {
		return fmt.Errorf("%s: stopping: %w", l.Name, err)
	}
	return nil
}

// Ending returns a context that ends when Stop begins.
func (l *Life) Ending() context.Context {
	l.make()
	return l.ending
}

// Stopped returns a channel that is closed when Stop is done.
func (l *Life) Stopped() <-chan struct{} {
	l.make()
	return l.stopped
}

// await waits until a channel is closed. A channel that is closed already counts, even
// when the context has ended too.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Linger waits until Stop is done, for [Grace] at most.
func (l *Life) Linger() { linger(l.Stopped()) }

// linger waits until a channel is closed, for Grace at most.
func linger(done <-chan struct{}) {
	limit := time.NewTimer(Grace)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}
