package cluster_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/transport/api"
)

// hooks are a store and a journal that call functions first.
type hooks struct {
	*store
	*book
	receive, release func(partition int)
	save             func(key string)
	load             func()
}

func (h *hooks) Receive(ctx context.Context, p int, from []cluster.Member, need int) error {
	h.first(h.receive, p)
	return h.store.Receive(ctx, p, from, need)
}

func (h *hooks) Release(ctx context.Context, p int) error {
	h.first(h.release, p)
	return h.store.Release(ctx, p)
}

func (h *hooks) Save(ctx context.Context, key string, value []byte) error {
	if h.save != nil {
		h.save(key)
	}
	return h.book.Save(ctx, key, value)
}

func (h *hooks) Load() (map[string][]byte, error) {
	if h.load != nil {
		h.load()
	}
	return h.book.Load()
}

func (h *hooks) first(call func(int), partition int) {
	if call != nil {
		call(partition)
	}
}

// once returns a function that reports true for the first call with each key.
func once[K comparable]() func(K) bool {
	var seen sync.Map
	return func(key K) bool {
		_, again := seen.LoadOrStore(key, true)
		return !again
	}
}

// startHooks starts member i with a store and a journal that call functions first.
func (b *testNet) startHooks(sh *shelf, i int, h *hooks) *cluster.Cluster {
	b.t.Helper()
	h.store, h.book = sh.make(), newBook()
	return b.startWith(h.store, i, func(o *cluster.Options) { o.Handoff.Mover, o.Handoff.Journal = h, h })
}

// A call of the Mover or the Journal that ends its goroutine, as a failed assertion of a test does,
// counts as one that failed. It holds neither its partition nor one of the parallel calls.
func TestACallThatEndsItsGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		first, _ := b.startStore(sh, 1)
		b.still(first)
		receive, release, save := once[int](), once[int](), once[string]()
		exit := func(does bool) {
			if does {
				runtime.Goexit()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		h := &hooks{store: sh.make(), book: newBook(),
			receive: func(p int) { exit(receive(p)) },
			release: func(p int) { exit(release(p)) },
			save:    func(key string) { exit(key != "member" && save(key)) },
		}
		c := b.make(2, func(o *cluster.Options) { o.Handoff.Mover, o.Handoff.Journal = h, h })
		sh.stores[c.Local().Start.Nonce] = h.store
		events := c.Events(ctx)
		require.NoError(t, c.Start(t.Context()))
		b.still(first, c)
		require.NoError(t, c.Drain(within(t, patience)))
		require.GreaterOrEqual(t, c.Handoff().State().Failed, uint64(3*64))
		for e := range events {
			if e.Kind == cluster.HandoffFailed {
				require.ErrorContains(t, e.Err, "the call ended its goroutine with runtime.Goexit: it must return")
				break
			}
		}
	})
}

// A journal that panics in New, Start or Resume is one that returns an error.
func TestAJournalThatPanics(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		broken := &hooks{store: sh.make(), book: newBook(), load: func() { panic("no disk") }}
		with := func(o *cluster.Options) { o.Handoff.Mover, o.Handoff.Journal = broken, broken }
		_, err := cluster.New(options(2, with))
		require.EqualError(t, err, "cluster: loading the journal: panic: no disk")

		broken.load, broken.save = nil, func(string) { panic("no disk") }
		c := b.make(2, with)
		require.EqualError(t, c.Start(t.Context()), "cluster: saving to the journal: panic: no disk")
		require.Equal(t, "starting failed: cluster: saving to the journal: panic: no disk", c.Health().Problems[0].Message)
		require.NoError(t, c.Stop(within(t, patience)))

		first, _ := b.startStore(sh, 1)
		h := &hooks{}
		c = b.startHooks(sh, 2, h)
		b.still(first, c)
		require.NoError(t, c.Drain(within(t, patience)))
		h.save = func(string) { panic("no disk") }
		require.EqualError(t, c.Resume(t.Context()), "cluster: resuming: cluster: saving to the journal: panic: no disk")
		h.save = nil
		require.NoError(t, c.Resume(t.Context()))
		b.still(first, c)
	})
}

// A call of the Mover or the Journal may call the cluster.
func TestCallsThatCallTheCluster(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		first, _ := b.startStore(sh, 1)
		b.still(first)
		var c *cluster.Cluster
		ready := make(chan struct{})
		call := func(p int) {
			<-ready
			_, _, _, _, _ = c.Lookup("k"), c.Health(), c.Metrics(), c.Handoff().State(), c.Handoff().AcceptLoss(p)
			if done, err := c.Handoff().Admit(p, c.Ring().Placement(p).Token()); err == nil {
				done()
			}
		}
		h := &hooks{receive: call, release: call, save: func(key string) {
			if key != "member" {
				call(5)
			}
		}}
		c = b.startHooks(sh, 2, h)
		close(ready)
		b.still(first, c)
		require.NoError(t, c.Drain(within(t, patience)))
		require.NoError(t, c.Resume(within(t, patience)))
		b.still(first, c)
	})
}

// A call of the Mover that does not return keeps Stop from returning nil. It keeps the member neither in the cluster nor
// at its address.
func TestStopBesideACallThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		first, _ := b.startStore(sh, 1)
		b.still(first)
		hang := make(chan struct{})
		release := sync.OnceFunc(func() { close(hang) })
		defer release() // also when the test fails
		s := sh.make()
		s.fault = func(context.Context, int) error { <-hang; return nil }
		c := b.startWith(s, 2)
		b.await("it receives", func() bool { return len(first.Members()) == 2 })
		stopped := make(chan error, 1)
		go func() { stopped <- c.Stop(context.Background()) }()
		b.await("it has left", func() bool { return len(first.Members()) == 1 })
		require.ErrorIs(t, c.Stop(within(t, time.Second)), context.DeadlineExceeded)
		b.free(2)
		release()
		require.NoError(t, <-stopped)
	})
}

// Health and the error of Drain say how the last call failed, and that calls do not return.
func TestCallsThatFailOrHangAreNamed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		first, _ := b.startStore(sh, 1)
		b.still(first)
		hang := make(chan struct{})
		release := sync.OnceFunc(func() { close(hang) })
		defer release() // also when the test fails
		s := sh.make()
		s.fault = func(_ context.Context, p int) error {
			switch p {
			case 3:
				<-hang
			case 4:
				return errors.New("no space left on device")
			}
			return nil
		}
		c := b.startWith(s, 2, func(o *cluster.Options) { o.Handoff.CallLimit, o.Handoff.OverdueAfter = 5*time.Second, 20*time.Second })
		b.await("it is overdue", func() bool { return slices.Contains(problems(c), api.ProblemHandoffOverdue) })
		message := problem(t, c, api.ProblemHandoffOverdue).Message
		const stuck = "; 1 calls have not returned, though their context has ended after Handoff.CallLimit, 5s: the Mover and the Journal must return when it ends"
		require.Regexp(t, `^2 partitions have been moving for more than 20s; \d+ calls failed so far, the last one \d+s ago: `+
			"cluster: receiving partition 4: no space left on device"+stuck+"$", message)
		err := c.Drain(within(t, 10*time.Second))
		require.ErrorContains(t, err, "receiving partition 4: no space left on device"+stuck)
		require.ErrorIs(t, c.Stop(within(t, 10*time.Second)), context.DeadlineExceeded)
		release()
		require.NoError(t, c.Stop(within(t, 10*time.Second)))
	})
}

// A call that has been running for long, and has not reached its limit, is named too.
func TestCallsThatRunForLongAreNamed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		first, _ := b.startStore(sh, 1)
		b.still(first)
		s := sh.make()
		s.fault = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
		c := b.startWith(s, 2)
		time.Sleep(70 * time.Second)
		require.Equal(t, "64 partitions have been moving for more than 1m0s; 0 calls failed so far; 8 calls have been running for more than 1m0s",
			problem(t, c, api.ProblemHandoffOverdue).Message)
	})
}

// The code of a service that forgets to say that a write is done, as after an error, keeps other members from receiving.
// The member that admitted the write says so, and the receiving one where to look.
func TestWritesThatAreNeverDone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		all, members, _ := b.startStores(sh, 3)
		b.still(all...)
		at := all[0].Ring().Placement(3)
		var done []func()
		for _, owner := range at.All() {
			end, err := members[owner.ID()].Handoff().Admit(3, at.Token())
			require.NoError(t, err)
			done = append(done, end)
		}
		owner, _ := at.Primary()
		last, _ := b.startStore(sh, 4)
		holder := members[owner.ID()]
		b.await("the owners of the partition change", func() bool { return holder.Ring().Placement(3).Token() != at.Token() })
		time.Sleep(50 * time.Second)
		require.NotContains(t, problems(holder), api.ProblemHandoffOverdue)
		time.Sleep(20 * time.Second)
		const says = "1 partitions, the first of them 3, wait for writes that this member admitted before their owners changed: " +
			"the function that Admit returned must be called, also when the write failed"
		require.Equal(t, says, problem(t, holder, api.ProblemHandoffOverdue).Message)
		require.Equal(t, "1 partitions have been moving for more than 1m0s; no call failed here: see the health of the other owners",
			problem(t, last, api.ProblemHandoffOverdue).Message)
		require.ErrorContains(t, holder.Drain(within(t, 10*time.Second)), says)
		for _, end := range done {
			end()
		}
		require.NoError(t, holder.Resume(t.Context()))
		b.still(append(all, last)...)
		require.NotContains(t, problems(holder), api.ProblemHandoffOverdue)
	})
}
