package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// drainUntil drains a member, and returns when a condition holds. The channel gets the error of
// Drain.
func (f *fleet) drainUntil(c *cluster.Cluster, what string, holds func() bool) <-chan error {
	f.t.Helper()
	done := make(chan error, 1)
	go func() { done <- c.Drain(within(f.t, 5*time.Minute)) }()
	f.awaitBusy(what, holds)
	return done
}

// Drain is undone by Resume at every step, again and again, while the cluster is written and read.
func TestResumeAtEveryStage(t *testing.T) {
	t.Parallel()
	for _, stage := range []struct {
		name  string
		holds func(f *fleet, c *cluster.Cluster) bool
		ended bool // Drain has returned
	}{
		{"it drains", func(_ *fleet, c *cluster.Cluster) bool { return c.Local().State == membership.Draining }, false},
		{"others receive", func(f *fleet, _ *cluster.Cluster) bool {
			return slices.ContainsFunc(f.all(), func(c *cluster.Cluster) bool { return c.Handoff().State().Receiving > 0 })
		}, false},
		{"it leaves", func(_ *fleet, c *cluster.Cluster) bool { return c.Local().State == membership.Leaving }, false},
		{"it releases", func(_ *fleet, c *cluster.Cluster) bool { return c.Handoff().State().Released > 0 }, false},
		{"it has drained", nil, true},
	} {
		for _, journal := range []bool{false, true} {
			if journal && stage.name != "it leaves" && !stage.ended {
				continue // the journal makes a difference after it has announced that it leaves
			}
			t.Run(fmt.Sprint(stage.name, ", journal ", journal), func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *testNet) {
					f := newFleet(t, b, 5, journal)
					for _, s := range f.stores { // so that each step lasts
						s.fault = func(ctx context.Context, _ int) error {
							select {
							case <-time.After(50 * time.Millisecond):
							case <-ctx.Done():
							}
							return nil
						}
					}
					before, resumes := f.members["n1"].Ring().Fingerprint(), []string{"n4"}
					if stage.ended {
						resumes = append(resumes, "n5")
					}
					times := 2
					if testing.Short() {
						times = 1
					}
					for range times {
						for _, id := range resumes {
							c := f.members[id]
							if stage.ended {
								require.NoError(t, f.busy(func() error { return c.Drain(within(t, 5*time.Minute)) }))
								require.NotNil(t, c.Ring(), "it answers lookups")
								require.Equal(t, 4, c.Ring().Len())
								require.Empty(t, f.stores[id].data)
								require.NoError(t, c.Resume(t.Context()))
							} else {
								released := c.Handoff().State().Released
								done := f.drainUntil(c, stage.name, func() bool {
									return stage.holds(f, c) && (stage.name != "it releases" || c.Handoff().State().Released > released)
								})
								require.NoError(t, c.Resume(t.Context()))
								if err := <-done; err != nil { // it may just have ended
									require.ErrorContains(t, err, "cluster: draining: Resume was called")
								}
							}
							require.NoError(t, c.Resume(t.Context()), "nothing to resume")
							require.NoError(t, f.busy(func() error { return c.WaitReady(within(t, patience)) }))
							f.calm()
							f.check()
							require.Equal(t, before, f.members["n1"].Ring().Fingerprint())
							for id, m := range f.members {
								require.Empty(t, m.Handoff().State().Lost, id)
								require.Equal(t, membership.Active, m.Local().State, id)
							}
						}
					}
					require.NoError(t, f.busy(func() error { return f.members["n5"].Drain(within(t, 5*time.Minute)) }))
					if journal {
						// After a member has joined again, its journal matches its data.
						f.crash(4)
						f.begin(4)
						f.awaitBusy("n4 is ready", func() bool { return f.members["n4"].Health().Ready })
					}
				})
			})
		}
	}
}

// crash ends a member without an announcement. The data on its disk stays.
func (f *fleet) crash(i int) {
	id := fmt.Sprint("n", i)
	f.b.net.Crash(addrPort(i))
	f.shelf.mu.Lock()
	delete(f.shelf.stores, f.members[id].Local().Start.Nonce)
	f.shelf.mu.Unlock()
	_ = f.members[id].Stop(ended())
	delete(f.members, id)
}

// The departure that a member announced before Resume does not excuse its crash after it.
func TestACrashAfterResumeIsALoss(t *testing.T) {
	for _, resumed := range []bool{true, false} {
		t.Run(fmt.Sprint("resumed ", resumed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				f := newFleet(t, b, 5, false)
				for _, i := range []int{4, 5} {
					c := f.members[fmt.Sprint("n", i)]
					require.NoError(t, f.busy(func() error { return c.Drain(within(t, 5*time.Minute)) }))
					if resumed {
						require.NoError(t, c.Resume(t.Context()))
						require.NoError(t, f.busy(func() error { return c.WaitReady(within(t, patience)) }))
						f.calm()
					}
				}
				f.crash(4)
				f.crash(5)
				lost := func() bool {
					return slices.ContainsFunc(f.all(), func(c *cluster.Cluster) bool { return len(c.Handoff().State().Lost) > 0 })
				}
				if resumed {
					b.await("a possible loss is reported", lost)
					return
				}
				f.calm()
				require.False(t, lost())
			})
		})
	}
}

func (f *fleet) all() (all []*cluster.Cluster) {
	for _, c := range f.members {
		all = append(all, c)
	}
	return all
}

func TestResumeWithoutHandoff(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.make(1)
		require.ErrorIs(t, c.Resume(t.Context()), cluster.ErrNotStarted)
		require.NoError(t, c.Start(t.Context()))
		other := b.start(2)
		observer := b.start(3, func(o *cluster.Options) { o.Observer = true })
		b.agree(c, other, observer)
		before := c.Fingerprint()
		for _, m := range []*cluster.Cluster{c, observer, other} {
			for range 2 {
				require.NoError(t, m.Drain(within(t, patience)))
				require.Equal(t, membership.Leaving, m.Local().State)
				require.ErrorIs(t, m.WaitReady(within(t, patience)), cluster.ErrStopped)
				require.ErrorIs(t, m.Resume(ended()), context.Canceled)
				require.NoError(t, m.Resume(t.Context()))
				require.NoError(t, m.WaitReady(within(t, patience)))
				b.agree(c, other, observer)
				require.Equal(t, before, c.Fingerprint())
			}
		}
		require.Equal(t, membership.Observer, observer.Local().State)
		require.NoError(t, c.Stop(within(t, patience)))
		require.ErrorIs(t, c.Resume(t.Context()), cluster.ErrStopped)
	})
}

// A member that takes itself back is ready when its own ring has it, and not before.
func TestReadyMeansInTheRing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3)
		b.agree(all...)
		for range 3 {
			require.NoError(t, all[0].Drain(within(t, patience)))
			require.NoError(t, all[0].Resume(t.Context()))
			for !all[0].Health().Ready {
				time.Sleep(time.Millisecond) // of the bubble
			}
			require.Equal(t, 3, all[0].Ring().Len())
		}
	})
}

// A member does not join again while its journal cannot save that it holds no data.
func TestResumeWithAJournalThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		f := newFleet(t, b, 4, true)
		c := f.members["n4"]
		require.NoError(t, f.busy(func() error { return c.Drain(within(t, 5*time.Minute)) }))
		full := errors.New("the disk is full")
		f.books[4].setFault(func(string) error { return full })
		require.ErrorIs(t, c.Resume(t.Context()), full)
		require.Equal(t, membership.Leaving, c.Local().State)
		f.books[4].setFault(nil)
		require.NoError(t, c.Resume(t.Context()))
		f.calm()
		f.check()
	})
}

func (b *book) setFault(fault func(string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = fault
}

// Calls of Drain, Resume and Stop that run at once end in one of their states, and all
// return.
func TestDrainResumeAndStopAtOnce(t *testing.T) {
	for seed := range 6 {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				f := newFleet(t, b, 4, seed%2 == 0)
				c := f.members["n4"]
				var calls sync.WaitGroup
				for i := range 12 {
					calls.Go(func() {
						time.Sleep(time.Duration(i*i*seed) * 10 * time.Millisecond)
						if i%2 == 0 {
							_ = c.Drain(within(t, patience))
						} else {
							_ = c.Resume(within(t, patience))
						}
					})
				}
				if seed%3 == 0 {
					calls.Go(func() {
						time.Sleep(time.Duration(seed) * 100 * time.Millisecond)
						_ = c.Stop(within(t, patience))
					})
				}
				require.NoError(t, f.busy(func() error { calls.Wait(); return nil }))
				if seed%3 == 0 {
					require.ErrorIs(t, c.Resume(t.Context()), cluster.ErrStopped)
					delete(f.members, "n4")
				} else {
					require.NoError(t, c.Resume(t.Context()))
				}
				f.calm()
				f.check()
			})
		})
	}
}
