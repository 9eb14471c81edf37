package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// Quorum is how many owners take part: in a write W of the serving owners and W of the
// target owners, in a read R of the serving owners. Both numbers are for the configured
// replication factor, and W + R must be more than it.
type Quorum struct{ Write, Read int }

// The waits between two attempts. A change of the owners ends a wait.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 320 * time.Millisecond
)

// quorumWithin is how long a write waits for a read quorum, to get a version. On one
// side of a cut there may be no read quorum for as long as the cut lasts.
const quorumWithin = 300 * time.Millisecond

// view has the methods of *cluster.Cluster that a coordinator uses.
type view interface {
	Lookup(key string) ring.Placement
	Member(id string) (cluster.Member, bool)
}

// Coordinator reads and writes keys for users, on the replicas that own them. Every
// member has one. It is safe for concurrent use.
type Coordinator struct {
	cluster  view
	id       string
	local    *Replica
	peers    *Peers
	clock    *Clock
	quorum   Quorum
	patience time.Duration
	tasks    sync.WaitGroup // the work that goes on after the user has an answer

	mu    sync.Mutex
	moved chan struct{} // closed at the next change of the owners
}

// NewCoordinator returns a coordinator that tries for the time patience to get a
// quorum.
func NewCoordinator(c view, local *Replica, peers *Peers, q Quorum, patience time.Duration) *Coordinator {
	return &Coordinator{cluster: c, id: local.cluster.Local().ID, local: local, peers: peers, clock: local.clock, quorum: q, patience: patience, moved: make(chan struct{})}
}

// Follow wakes waiting requests after each change of the owners, until the events end.
func (c *Coordinator) Follow(events iter.Seq[cluster.Event]) {
	for e := range events {
		if e.Kind == cluster.RingChanged {
			c.mu.Lock()
			close(c.moved)
			c.moved = make(chan struct{})
			c.mu.Unlock()
		}
	}
}

// Close waits for the work in the background. Read and Write must not be called any
// more.
func (c *Coordinator) Close() { c.tasks.Wait() }

// Write stores a value, or its deletion, and returns its version. It returns nil
// when a write quorum has it. Its version is higher than that of every write that a
// read quorum has, and than after, the highest that the user has seen.
//
// After an error the value may be stored or not, and a later read may return it, with
// the returned version or a lower one. With the zero version it is not stored.
func (c *Coordinator) Write(ctx context.Context, key string, content []byte, deleted bool, after Version) (Version, error) {
	began := time.Now()
	e := Entry{Deleted: deleted, Content: content}
	err := c.retry(ctx, "writing", key, func(ctx context.Context) (err error) {
		if e.Version.IsZero() {
			if e.Version, err = c.version(ctx, key, after, time.Since(began) < quorumWithin); err != nil {
				return err
			}
		}
		for {
			newer, err := c.write(ctx, key, e)
			if newer.IsZero() {
				return err
			}
			// A process that hung and goes on must not overwrite later writes. It may
			// not have noticed yet that its time is over.
			if end, _ := ctx.Deadline(); ctx.Err() != nil || !time.Now().Before(end) {
				return errors.New("others write it, too")
			}
			e.Version = c.clock.Next(0, newer) // this write should win over a concurrent one
		}
	})
	return e.Version, err
}

// Read returns the newest entry of a read quorum. Owners with an older entry get the
// newest one in the background.
func (c *Coordinator) Read(ctx context.Context, key string) (e Entry, err error) {
	err = c.retry(ctx, "reading", key, func(ctx context.Context) (err error) {
		e, err = c.read(ctx, key)
		return err
	})
	return e, err
}

// retry calls try until it succeeds or patience ends. After a failure it calls try
// again when the owners have changed in this view, or after a short wait, because the
// other members may have had the older view.
func (c *Coordinator) retry(ctx context.Context, doing, key string, attempt func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		c.mu.Lock()
		moved := c.moved
		c.mu.Unlock()
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

// version issues a version that is higher than all that a read quorum has, and than
// after. Its time is the earliest by the clocks of these replicas and of this member.
// So a clock that is ahead has no effect: a write that reaches one replica alone does
// not win over later ones. A clock that is behind does no harm.
//
// Unless a read quorum is required, the answers of a write quorum of replicas are
// sufficient. The clocks then decide against what the other replicas have.
func (c *Coordinator) version(ctx context.Context, key string, after Version, quorate bool) (Version, error) {
	p := c.cluster.Lookup(key)
	answers := ask(ctx, c, servers(p), func(ctx context.Context, m cluster.Member, local bool) (Highest, error) {
		if local {
			return c.local.Highest(p.Partition(), p.Token(), key)
		}
		return c.peers.Highest(ctx, m, p.Partition(), p.Token(), key)
	})
	count := 0
	good, err := answers.gather(ctx, c.quorum.Read, func(a answer[Highest]) bool {
		if a.value.Counts {
			count++
		}
		return count == c.quorum.Read
	})
	if err != nil && (quorate || ctx.Err() != nil || len(good) < c.quorum.Write) {
		return Version{}, err
	}
	now, follows := c.clock.Now(), []Version{after}
	for _, a := range good {
		c.clock.See(a.value.Version)
		now, follows = min(now, a.value.Now), append(follows, a.value.Version)
	}
	return c.clock.Next(now, follows...), nil
}

// write makes one attempt. When a replica has a higher version already, it
// returns that.
func (c *Coordinator) write(ctx context.Context, key string, e Entry) (newer Version, err error) {
	p := c.cluster.Lookup(key)
	owners := ring.Writers(p)
	answers := ask(ctx, c, owners.All(), func(ctx context.Context, m cluster.Member, local bool) (Version, error) {
		if local {
			return c.local.Write(p.Partition(), p.Token(), key, e)
		}
		return c.peers.Write(ctx, m, p.Partition(), p.Token(), key, e)
	})
	took := make(map[string]bool)
	_, err = answers.gather(ctx, c.quorum.Write, func(a answer[Version]) bool {
		if a.value != e.Version {
			newer = a.value
			return true
		}
		took[a.id] = true
		return owners.Enough(c.quorum.Write, func(id string) bool { return took[id] })
	})
	return newer, err
}

// read makes one attempt.
func (c *Coordinator) read(ctx context.Context, key string) (Entry, error) {
	p := c.cluster.Lookup(key)
	answers := ask(ctx, c, servers(p), func(ctx context.Context, m cluster.Member, local bool) (Entry, error) {
		if local {
			return c.local.Read(p.Partition(), p.Token(), key)
		}
		return c.peers.Read(ctx, m, p.Partition(), p.Token(), key)
	})
	count := 0
	good, err := answers.gather(ctx, c.quorum.Read, func(answer[Entry]) bool {
		count++
		return count == c.quorum.Read
	})
	if err != nil {
		return Entry{}, err
	}
	c.repair(ctx, p, key, good, answers)
	return newest(good), nil
}

// newest returns the entry with the highest version.
func newest(answers []answer[Entry]) (e Entry) {
	for _, a := range answers {
		if a.value.Version.Compare(e.Version) > 0 {
			e = a.value
		}
	}
	return e
}

// repair waits for the remaining answers, and sends the newest entry to the owners that
// have an older one.
func (c *Coordinator) repair(ctx context.Context, p ring.Placement, key string, known []answer[Entry], outstanding *answers[Entry]) {
	ctx = context.WithoutCancel(ctx) // the user does not wait for it
	c.tasks.Go(func() {
		others, _ := outstanding.gather(ctx, 0, func(answer[Entry]) bool { return false })
		known = append(known, others...)
		newest := newest(known)
		for _, a := range known {
			if a.value.Version == newest.Version {
				continue
			}
			if a.id == c.id {
				_, _ = c.local.Write(p.Partition(), p.Token(), key, newest) // the next reader tries again
			} else if m, ok := c.cluster.Member(a.id); ok {
				_, _ = c.peers.Write(ctx, m, p.Partition(), p.Token(), key, newest)
			}
		}
	})
}

// answer is the answer of one replica.
type answer[T any] struct {
	id    string
	value T
	err   error
}

// answers has the answers of all replicas that were asked.
type answers[T any] struct {
	come        chan answer[T]
	outstanding int
}

// ask sends a request to all owners at the same time. There is exactly one answer for
// each; for an owner that does not answer in time it is an error. The requests go on
// when the user has an answer or has given up, because a write should reach all owners.
func ask[T any](ctx context.Context, c *Coordinator, owners iter.Seq[ring.Owner], do func(ctx context.Context, m cluster.Member, local bool) (T, error)) *answers[T] {
	var all []string
	for o := range owners {
		all = append(all, o.ID())
	}
	ctx = context.WithoutCancel(ctx)
	out := make(chan answer[T], len(all)) // has room for all answers, so no request waits for a reader
	for _, id := range all {
		c.tasks.Go(func() {
			a := answer[T]{id: id, err: errors.New("it is gone, or away")}
			if m, ok := c.cluster.Member(id); ok && (m.State != membership.Away || id == c.id) {
				a.value, a.err = do(ctx, m, id == c.id)
			}
			out <- a
		})
	}
	return &answers[T]{out, len(all)}
}

// gather waits until there are enough answers without errors, and returns them. When
// all answers have arrived before that, it also returns a [QuorumError].
func (a *answers[T]) gather(ctx context.Context, needed int, enough func(answer[T]) bool) (good []answer[T], err error) {
	var failed []error
	for ; a.outstanding > 0; a.outstanding-- {
		select {
		case one := <-a.come:
			if one.err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", one.id, one.err))
				continue
			}
			if good = append(good, one); enough(one) {
				a.outstanding--
				return good, nil
			}
		case <-ctx.Done():
			return good, noQuorum(len(good), needed, append(failed, context.Cause(ctx)))
		}
	}
	return good, noQuorum(len(good), needed, failed)
}

// servers returns the serving owners.
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
	Err         error // why the others did not take part; nil if all did
}

// Error says how many owners took part, and why the others did not.
func (e *QuorumError) Error() string {
	return fmt.Sprintf("no quorum: %d owners answered, %d are needed: %v", e.Got, e.Needed, e.Err)
}

// Unwrap returns the reasons.
func (e *QuorumError) Unwrap() error { return e.Err }

func noQuorum(got, needed int, why []error) error {
	if len(why) == 0 {
		why = []error{errors.New("there are no others")}
	}
	return &QuorumError{got, needed, errors.Join(why...)}
}
