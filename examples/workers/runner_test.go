package main

import (
	"context"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// fakeView is a cluster whose ring and health a test sets.
type fakeView struct {
	mu     sync.Mutex
	ring   *ring.Ring
	ready  bool
	agreed chan struct{} // closed when all agree
	events chan cluster.Event
}

// newFakeView returns the view of member n1 before it has joined.
func newFakeView() *fakeView {
	return &fakeView{ring: &ring.Ring{}, ready: true, agreed: make(chan struct{}), events: make(chan cluster.Event)}
}

func (v *fakeView) Ring() *ring.Ring {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ring
}

func (v *fakeView) Health() cluster.Health {
	v.mu.Lock()
	defer v.mu.Unlock()
	return cluster.Health{NodeID: "n1", Ready: v.ready}
}

func (v *fakeView) WaitConverged(ctx context.Context) error {
	select {
	case <-v.agreed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (v *fakeView) all() iter.Seq[cluster.Event] {
	return func(yield func(cluster.Event) bool) {
		for e := range v.events {
			if !yield(e) {
				return
			}
		}
	}
}

// becomes changes the ring to one of some nodes, and sends the event.
func (v *fakeView) becomes(t *testing.T, nodes ...string) {
	t.Helper()
	var all []ring.Node
	for _, id := range nodes {
		all = append(all, ring.Node{ID: id})
	}
	r, err := ring.Build(ring.Config{PartitionCount: 8, ReplicationFactor: 1, Strategy: rebalance.Rendezvous{}}, all)
	require.NoError(t, err)
	v.mu.Lock()
	v.ring = r
	v.mu.Unlock()
	v.events <- cluster.Event{Kind: cluster.RingChanged}
	synctest.Wait()
}

func (v *fakeView) is(ready bool) {
	v.mu.Lock()
	v.ready = ready
	v.mu.Unlock()
	v.events <- cluster.Event{Kind: cluster.HealthChanged}
	synctest.Wait()
}

// count returns how many workers run.
func (r *roster) count() (n int) {
	for partition := range 8 {
		n += len(r.of(partition))
	}
	return n
}

// runFake runs a runner over a fake view in virtual time, and ends it.
func runFake(t *testing.T, edit func(*Runner), test func(v *fakeView, r *roster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v, r := newFakeView(), newRoster()
		runner := &Runner{View: v, Job: r.job("n1")}
		if edit != nil {
			edit(runner)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			runner.Run(v.all())
		}()
		test(v, r)
		close(v.events)
		<-done
		require.Zero(t, r.count(), "Run returns when all workers have ended")
	})
}

func TestWorkersFollowTheRing(t *testing.T) {
	runFake(t, nil, func(v *fakeView, r *roster) {
		require.Zero(t, r.count(), "there is no ring yet")
		v.becomes(t, "n1")
		require.Equal(t, 8, r.count())
		v.becomes(t, "n1", "n2")
		for partition, p := range v.Ring().All() {
			require.Equal(t, p.Owns("n1"), len(r.of(partition)) == 1, "partition %d", partition)
		}
		v.becomes(t, "n2")
		require.Zero(t, r.count())
		v.becomes(t, "n1")
		require.Equal(t, 8, r.count())
	})
}

// For example, this member is not ready when another process has its NodeID.
func TestAMemberThatIsNotReadyRunsNothing(t *testing.T) {
	runFake(t, nil, func(v *fakeView, r *roster) {
		v.becomes(t, "n1")
		v.is(false)
		require.Zero(t, r.count())
		v.is(true)
		require.Equal(t, 8, r.count())
	})
}

// A job that ends slowly delays its successor on this member, which has the same view.
func TestNeverTwoWorkersInOneProcess(t *testing.T) {
	r := newRoster()
	slow := func(edit *Runner) {
		edit.Job = func(ctx context.Context, partition int, _ ring.Token) {
			r.add(partition, "n1", +1)
			<-ctx.Done()
			time.Sleep(time.Minute) // virtual
			r.add(partition, "n1", -1)
		}
	}
	runFake(t, slow, func(v *fakeView, _ *roster) {
		for range 3 {
			v.becomes(t, "n1")
			v.becomes(t, "n2")
		}
		v.becomes(t, "n1")
		require.Equal(t, 8, r.count(), "the first ones have not ended")
		time.Sleep(90 * time.Second)
		require.Equal(t, 8, r.count(), "the last ones have begun")
		require.Equal(t, 1, r.most)
	})
}

func TestWorkersWaitForAgreement(t *testing.T) {
	patient := func(r *Runner) { r.Agreement = 2 * time.Second }
	t.Run("which comes", func(t *testing.T) {
		runFake(t, patient, func(v *fakeView, r *roster) {
			v.becomes(t, "n1")
			require.Zero(t, r.count())
			close(v.agreed)
			synctest.Wait()
			require.Equal(t, 8, r.count())
		})
	})
	t.Run("which does not", func(t *testing.T) {
		runFake(t, patient, func(v *fakeView, r *roster) {
			v.becomes(t, "n1")
			time.Sleep(2*time.Second - time.Millisecond)
			synctest.Wait()
			require.Zero(t, r.count())
			time.Sleep(time.Millisecond)
			synctest.Wait()
			require.Equal(t, 8, r.count(), "no worker would be no better")
		})
	})
	t.Run("and is no owner any more", func(t *testing.T) {
		runFake(t, patient, func(v *fakeView, r *roster) {
			v.becomes(t, "n1")
			v.becomes(t, "n2")
			close(v.agreed)
			time.Sleep(time.Minute)
			require.Zero(t, r.begun, "not even for a moment")
		})
	})
}
