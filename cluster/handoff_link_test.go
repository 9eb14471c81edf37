package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// link is a bad link between members, and how copies go over it.
type link struct {
	loss    float64       // the share of packets and dials
	latency time.Duration // in one direction, with a quarter of it as jitter
	copying bool          // a copy takes two round trips, and is lost as often as a dial
	within  time.Duration // on the average, without the time of the copies. A few losses in a row take longer
	busy    time.Duration // how long the member that copies most may be busy with copies
}

// copyLimit is how long a lost copy takes: the time-out of a request in examples/kv.
const copyLimit = time.Second

// A drain of 256 partitions over a bad link ends soon. A message that is not gone after half a second is
// sent again, and does not wait until its connection fails after five seconds. With copies the drain takes
// little longer than the member that copies most is busy: eight copies run at a time there, and a lost one
// lasts until its time-out.
func TestDrainOverABadLink(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]link{
		"3 % and 40 ms":                {loss: 0.03, latency: 40 * time.Millisecond, within: 5 * time.Second},
		"10 % and 100 ms":              {loss: 0.1, latency: 100 * time.Millisecond, within: 20 * time.Second},
		"30 % and 40 ms":               {loss: 0.3, latency: 40 * time.Millisecond, within: 20 * time.Second},
		"3 % and 40 ms, with copies":   {loss: 0.03, latency: 40 * time.Millisecond, copying: true, within: 15 * time.Second, busy: 9 * time.Second},
		"10 % and 100 ms, with copies": {loss: 0.1, latency: 100 * time.Millisecond, copying: true, within: 30 * time.Second, busy: 24 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if l.copying && testing.Short() {
				t.Skip("a guard against getting worse")
			}
			seeds := uint64(2)
			switch {
			case os.Getenv("CLUSTERKIT_SIM_FULL") != "":
				seeds = 40
			case l.copying, testing.Short():
				seeds = 1
			}
			var took, copying time.Duration
			for seed := range seeds {
				drained, busy := l.drain(t, seed+1)
				took, copying = took+drained/time.Duration(seeds), copying+busy/time.Duration(seeds)
			}
			t.Logf("%v, of which copying %v", took, copying)
			require.LessOrEqual(t, took-copying, l.within)
			require.LessOrEqual(t, copying, l.busy, "a new owner copies a partition twice: from all owners, and once more when the earlier owner has left")
		})
	}
}

// drain drains one of five members. It returns how long that takes, and how long the member that copies most
// is busy with copies meanwhile.
func (l link) drain(t *testing.T, seed uint64) (took, copying time.Duration) {
	bubble.Run(t, memnet.Options{Seed: seed, Latency: time.Millisecond}, func(t *testing.T, inner *bubble.Bubble) {
		b, sh := &testNet{Bubble: inner, t: t, net: inner.Net}, newShelf()
		var all []*cluster.Cluster
		var stores []*store
		for i := range 5 {
			c, s := b.startStore(sh, i+1, func(o *cluster.Options) { o.PartitionCount = 256 })
			all, stores = append(all, c), append(stores, s)
		}
		b.still(all...)
		copies := &copies{link: l, random: rand.New(rand.NewPCG(seed, 1)), busy: make([]time.Duration, len(stores))}
		for i, s := range stores {
			s.mu.Lock()
			if l.copying {
				s.fault = func(ctx context.Context, _ int) error { return copies.make(ctx, i) }
			}
			s.mu.Unlock()
		}
		require.NoError(t, b.net.SetLatency(l.latency, l.latency/4))
		require.NoError(t, b.net.SetPacketLoss(l.loss))
		require.NoError(t, b.net.SetStreamLoss(l.loss))
		sent := func() (n uint64) {
			for _, c := range all {
				n += c.Handoff().State().Messages
			}
			return n
		}
		before, begun := sent(), time.Now()
		drained := make(chan error, 1)
		go func() { drained <- all[0].Drain(within(t, 5*patience)) }()
		awaitWithin(t, 4*l.within, "the others own", func() bool { return all[0].Local().State == membership.Leaving })
		handed := time.Since(begun)
		require.NoError(t, <-drained)
		took = time.Since(begun)
		copying = slices.Max(copies.busy)
		t.Logf("seed %d: owned by others after %v, drained after %v, %d messages, copying busy for %v", seed, handed, took, sent()-before, copies.busy)
		// Over a link this bad, members may take each other for dead, and partitions move. So the link is good
		// when the test looks whether anything is said where nothing moves.
		require.NoError(t, b.net.SetPacketLoss(0))
		require.NoError(t, b.net.SetStreamLoss(0))
		time.Sleep(time.Minute) // virtual
		before = sent()
		time.Sleep(time.Minute)
		require.Equal(t, before, sent(), "seed %d: nothing is said where nothing moves", seed)
	})
	return took, copying
}

// copies simulates the copies that all members make over the link.
type copies struct {
	link
	mu     sync.Mutex
	random *rand.Rand
	busy   []time.Duration // by member, the share of one of eight calls at a time
}

func (c *copies) make(ctx context.Context, member int) error {
	c.mu.Lock()
	takes, lost := 4*c.latency, c.random.Float64() < c.loss
	if lost {
		takes = copyLimit
	}
	c.busy[member] += takes / 8
	c.mu.Unlock()
	timer := time.NewTimer(takes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if lost {
		return fmt.Errorf("copying: %w", context.DeadlineExceeded)
	}
	return ctx.Err()
}
