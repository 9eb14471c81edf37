package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/examples/internal/testcluster"
	"github.com/clusterkit/clusterkit/ring"
)

// roster records which members run a worker of which partition.
type roster struct {
	mu      sync.Mutex
	workers map[int]map[string]int
	most    int // the largest number of workers of one partition at once in one member
	begun   int // the number of workers so far
}

func newRoster() *roster { return &roster{workers: make(map[int]map[string]int)} }

func (r *roster) add(partition int, id string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.workers[partition] == nil {
		r.workers[partition] = make(map[string]int)
	}
	r.workers[partition][id] += n
	r.begun += max(n, 0)
	r.most = max(r.most, r.workers[partition][id])
}

// of returns the members that run a worker of a partition, once for each worker.
func (r *roster) of(partition int) (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, n := range r.workers[partition] {
		for range n {
			ids = append(ids, id)
		}
	}
	return ids
}

func (r *roster) job(id string) Job {
	return func(ctx context.Context, partition int, _ ring.Token) {
		r.add(partition, id, +1)
		defer r.add(partition, id, -1)
		<-ctx.Done()
	}
}

// testMember is a member with its runner.
type testMember struct {
	*cluster.Cluster
	done chan struct{} // closed when Run has returned
}

func startMember(b *testcluster.Cluster, r *roster, i int, agreement time.Duration) *testMember {
	b.T.Helper()
	c := b.Make(i, func(o *cluster.Options) { o.ReplicationFactor = 1 })
	h := &testMember{Cluster: c, done: make(chan struct{})}
	runner := &Runner{View: c, Job: r.job(testcluster.ID(i)), Agreement: agreement}
	events := c.Events(context.Background())
	go func() {
		defer close(h.done)
		runner.Run(events)
	}()
	require.NoError(b.T, c.Start(b.T.Context()))
	return h
}

// exactlyOne waits until the members agree, and requires one worker for each partition,
// on its primary.
func exactlyOne(b *testcluster.Cluster, r *roster, all ...*testMember) {
	b.T.Helper()
	var clusters []*cluster.Cluster
	for _, h := range all {
		clusters = append(clusters, h.Cluster)
	}
	b.Agree(clusters...)
	time.Sleep(time.Second) // virtual: for members that wait for agreement
	synctest.Wait()
	for partition, p := range clusters[0].Ring().All() {
		primary, _ := p.Primary()
		require.Equal(b.T, []string{primary.ID()}, r.of(partition), "partition %d", partition)
	}
}

func TestOneWorkerForEveryPartition(t *testing.T) {
	for _, agreement := range []time.Duration{0, 2 * time.Second} {
		t.Run(fmt.Sprint("agreement ", agreement), func(t *testing.T) {
			testcluster.Run(t, func(t *testing.T, b *testcluster.Cluster) {
				r := newRoster()
				n1, n2, n3 := startMember(b, r, 1, agreement), startMember(b, r, 2, agreement), startMember(b, r, 3, agreement)
				exactlyOne(b, r, n1, n2, n3)

				n4 := startMember(b, r, 4, agreement)
				exactlyOne(b, r, n1, n2, n3, n4)

				require.NoError(t, n2.Drain(t.Context()))
				synctest.Wait()
				for partition := range 64 {
					require.NotContains(t, r.of(partition), "n2", "it has drained, and runs nothing")
				}
				require.NoError(t, n2.Stop(t.Context()))
				<-n2.done
				exactlyOne(b, r, n1, n3, n4)

				b.Net.Crash(testcluster.Addr(3))
				_ = n3.Stop(bubble.Ended()) // no other member gets an announcement
				<-n3.done
				exactlyOne(b, r, n1, n4)
			})
		})
	}
}

// While the network is split, a partition can have two workers: a member cannot know
// whether the others are dead or cut off. A member that is cut off from most of the
// others stops its workers. Then each partition has one worker again.
func TestOneWorkerAgainAfterASplit(t *testing.T) {
	testcluster.Run(t, func(t *testing.T, b *testcluster.Cluster) {
		r := newRoster()
		var all []*testMember
		for i := range 5 {
			all = append(all, startMember(b, r, i+1, 0))
		}
		exactlyOne(b, r, all...)
		b.Net.Isolate(testcluster.Addr(5))
		b.Await("n5 notices that it is cut off", func() bool { return !all[4].Health().Ready })
		synctest.Wait()
		for partition := range 64 {
			require.NotContains(t, r.of(partition), "n5")
		}
		exactlyOne(b, r, all[:4]...)
		b.Net.Heal()
		exactlyOne(b, r, all...)
	})
}
