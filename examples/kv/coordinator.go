package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership/lifecycle"
	"github.com/clusterkit/clusterkit/ring"
)

// Quorum is how many owners take part: W of those who serve and W of those who
// will in a write, R of those who serve in a read. Both are counted against the
// configured replication factor, and W + R must exceed it.
type Quorum struct{ Write, Read int }

// The waits between two attempts, unless the owners change before.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 320 * time.Millisecond
)

// view is what a coordinator asks the cluster.
type view interface {
	Lookup(key string) ring.Placement
	Member(id string) (cluster.Member, bool)
}

// Coordinator reads and writes for users, on behalf of whichever replicas own a
// key. Every member has one. It is safe for concurrent use.
type Coordinator struct {
	cluster  view
	id       string
	local    *Replica
	peers    *Peers
	clock    *Clock
	quorum   Quorum
	patience time.Duration
	moved    lifecycle.Broadcast
	tasks    sync.WaitGroup // what goes on after the user has been answered
}

// NewCoordinator returns a coordinator that tries for so long to get a quorum.
func NewCoordinator(c view, local *Replica, peers *Peers, q Quorum, patience time.Duration) *Coordinator {
	return &Coordinator{cluster: c, id: local.cluster.Local().ID, local: local, peers: peers, clock: local.clock, quorum: q, patience: patience}
}

// Follow wakes those who wait for other owners whenever there are others, until
// the events end.
func (c *Coordinator) Follow(events iter.Seq[cluster.Event]) {
	for e := range events {
		if e.Kind == cluster.RingChanged {
			c.moved.Signal()
		}
	}
}

// Close waits for what goes on in the background. Nothing must be read or
// written any more.
func (c *Coordinator) Close() { c.tasks.Wait() }

// Write stores a value, or its deletion, and returns its version. It returns nil
// when a write quorum has it. Otherwise it may have been stored or not, and may
// come to light later.
func (c *Coordinator) Write(ctx context.Context, key string, content []byte, deleted bool) (Version, error) {
	e := Entry{Version: c.clock.Next(), Deleted: deleted, Content: content}
	err := c.retry(ctx, "writing", key, func(ctx context.Context) error {
		for {
			newer, err := c.write(ctx, key, e)
			if newer.IsZero() {
				return err
			}
			// A process that hung and goes on must not overwrite what was written
			// since. That its time is over it may not have been told yet.
			if end, _ := ctx.Deadline(); ctx.Err() != nil || !time.Now().Before(end) {
				return errors.New("others write it, too")
			}
			// By the clock of another member something was written later, but it
			// was there before this write. This one shall win.
			if err := c.clock.See(newer); err != nil {
				return err
			}
			e.Version = c.clock.Next()
		}
	})
	return e.Version, err
}

// Read returns the newest of what a read quorum has. Owners that turn out to
// have an older one are given the newest in the background.
func (c *Coordinator) Read(ctx context.Context, key string) (e Entry, err error) {
	err = c.retry(ctx, "reading", key, func(ctx context.Context) (err error) {
		e, err = c.read(ctx, key)
		return err
	})
	return e, err
}

// retry tries until it succeeds, or patience ends. What fails is tried again when
// the owners have changed here, or soon in case that it was the others who had not
// heard.
func (c *Coordinator) retry(ctx context.Context, doing, key string, attempt func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		moved := c.moved.Wait()
		err := attempt(ctx)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-moved:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("kv: %s %q: %w", doing, key, err)
		}
		timer.Stop()
	}
}

// answer is what one replica says.
type answer struct {
	id    string
	entry Entry // of a write only the version
	err   error
}

// write makes one attempt. When a replica has a higher version already, it
// returns that.
func (c *Coordinator) write(ctx context.Context, key string, e Entry) (newer Version, err error) {
	placement := c.cluster.Lookup(key)
	owners := ring.Writers(placement)
	answers, asked := c.ask(ctx, owners.All(), func(ctx context.Context, m cluster.Member, local bool) (Entry, error) {
		var newest Version
		var err error
		if local {
			newest, err = c.local.Write(placement.Partition(), placement.Token(), key, e)
		} else {
			newest, err = c.peers.Write(ctx, m, placement.Partition(), placement.Token(), key, e)
		}
		return Entry{Version: newest}, err
	})
	took := make(map[string]bool)
	var failed []error
	for range asked {
		select {
		case a := <-answers:
			switch {
			case a.err != nil:
				failed = append(failed, fmt.Errorf("%s: %w", a.id, a.err))
				continue
			case a.entry.Version != e.Version:
				return a.entry.Version, nil
			}
			if took[a.id] = true; owners.Enough(c.quorum.Write, func(id string) bool { return took[id] }) {
				return Version{}, nil
			}
		case <-ctx.Done():
			return Version{}, noQuorum(len(took), c.quorum.Write, append(failed, context.Cause(ctx)))
		}
	}
	return Version{}, noQuorum(len(took), c.quorum.Write, failed)
}

// read makes one attempt.
func (c *Coordinator) read(ctx context.Context, key string) (newest Entry, err error) {
	placement := c.cluster.Lookup(key)
	answers, asked := c.ask(ctx, servers(placement), func(ctx context.Context, m cluster.Member, local bool) (Entry, error) {
		if local {
			return c.local.Read(placement.Partition(), placement.Token(), key)
		}
		return c.peers.Read(ctx, m, placement.Partition(), placement.Token(), key)
	})
	var good []answer
	var failed []error
	for range asked {
		select {
		case a := <-answers:
			if a.err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", a.id, a.err))
				continue
			}
			good = append(good, a)
			if a.entry.Version.Compare(newest.Version) > 0 {
				newest = a.entry
			}
		case <-ctx.Done():
			return Entry{}, noQuorum(len(good), c.quorum.Read, append(failed, context.Cause(ctx)))
		}
		if len(good) == c.quorum.Read {
			c.repair(ctx, placement, key, good, answers, asked-len(good)-len(failed))
			return newest, nil
		}
	}
	return Entry{}, noQuorum(len(good), c.quorum.Read, failed)
}

// repair awaits the answers that are outstanding, and gives the newest to those
// who have something older.
func (c *Coordinator) repair(ctx context.Context, placement ring.Placement, key string, known []answer, answers <-chan answer, outstanding int) {
	ctx = context.WithoutCancel(ctx) // the user does not wait for it
	c.tasks.Go(func() {
		for range outstanding {
			if a := <-answers; a.err == nil {
				known = append(known, a)
			}
		}
		var newest Entry
		for _, a := range known {
			if a.entry.Version.Compare(newest.Version) > 0 {
				newest = a.entry
			}
		}
		for _, a := range known {
			if a.entry.Version == newest.Version {
				continue
			}
			if a.id == c.id {
				_, _ = c.local.Write(placement.Partition(), placement.Token(), key, newest) // the next reader tries again
			} else if m, ok := c.cluster.Member(a.id); ok {
				_, _ = c.peers.Write(ctx, m, placement.Partition(), placement.Token(), key, newest)
			}
		}
	})
}

// ask asks owners at the same time. Each answers exactly once; who does not in
// time is answered for. They go on when the user has got an answer or given up: a
// write is to reach all owners.
func (c *Coordinator) ask(ctx context.Context, owners iter.Seq[ring.Owner], do func(ctx context.Context, m cluster.Member, local bool) (Entry, error)) (answers <-chan answer, asked int) {
	var all []string
	for o := range owners {
		all = append(all, o.ID())
	}
	ctx = context.WithoutCancel(ctx)
	out := make(chan answer, len(all)) // nobody has to wait for a reader
	for _, id := range all {
		c.tasks.Go(func() {
			m, ok := c.cluster.Member(id)
			if !ok {
				out <- answer{id: id, err: errors.New("it is gone")}
				return
			}
			e, err := do(ctx, m, id == c.id)
			out <- answer{id, e, err}
		})
	}
	return out, len(all)
}

// servers are the owners that serve.
func servers(p ring.Placement) iter.Seq[ring.Owner] {
	return func(yield func(ring.Owner) bool) {
		for _, o := range p.All() {
			if !yield(o) {
				return
			}
		}
	}
}

// QuorumError says that too few owners took part.
type QuorumError struct {
	Got, Needed int
	Err         error // why the others did not; nil when there are no others
}

// Error says how many, and why the others did not.
func (e *QuorumError) Error() string {
	return fmt.Sprintf("no quorum: %d owners answered, %d are needed: %v", e.Got, e.Needed, e.Err)
}

// Unwrap returns why.
func (e *QuorumError) Unwrap() error { return e.Err }

func noQuorum(got, needed int, why []error) error {
	if len(why) == 0 {
		why = []error{errors.New("there are no others")}
	}
	return &QuorumError{got, needed, errors.Join(why...)}
}
