// Package bubble runs clusters in virtual time over a network in memory, for tests. It
// is a testing/synctest bubble with a network in it: waiting takes no real time, and a
// test does the same on a busy machine.
package bubble

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// Patience is how long tests wait for a condition, in virtual time.
const Patience = time.Minute

// probesEnd is how long probes of memberlist may run after it has shut down.
const probesEnd = 40 * time.Second

// Bubble is a network in memory and the members that ran on it.
type Bubble struct {
	T   *testing.T
	Net *memnet.Network
	all []*cluster.Cluster
}

// Run runs a test in virtual time, and writes the network's seed to its log. When the
// test ends, Run stops the members that were added, and the test fails if a goroutine
// is left.
func Run(t *testing.T, options memnet.Options, test func(t *testing.T, b *Bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network, err := memnet.New(options)
		require.NoError(t, err)
		t.Log("network seed", options.Seed)
		b := &Bubble{T: t, Net: network}
		defer func() {
			network.Heal()
			for _, c := range b.all {
				_ = c.Stop(Ended()) // the goroutines of memberlist end within probesEnd
			}
			time.Sleep(probesEnd) // virtual
		}()
		test(t, b)
	})
}

// Add makes Run stop these members when the test ends, if they still run.
func (b *Bubble) Add(members ...*cluster.Cluster) { b.all = append(b.all, members...) }

// Agree waits until the members are one cluster with one view. If they do not agree in
// time, the test fails and names the member that differs.
func (b *Bubble) Agree(members ...*cluster.Cluster) {
	b.T.Helper()
	b.Eventually("the members have one view, of as many members as there are", func() error {
		first := members[0]
		for _, c := range members {
			switch {
			case len(c.Members()) != len(members):
				return fmt.Errorf("%s sees %d members, not %d", c.Local().ID, len(c.Members()), len(members))
			case c.Fingerprint() != first.Fingerprint():
				return fmt.Errorf("%s has fingerprint %v, and %s has %v", c.Local().ID, c.Fingerprint(), first.Local().ID, first.Fingerprint())
			}
		}
		return nil
	})
	synctest.Wait()
}

// Await waits for a condition.
func (b *Bubble) Await(what string, condition func() bool) {
	b.T.Helper()
	b.Eventually(what, func() error {
		if !condition() {
			return errors.New("it does not hold")
		}
		return nil
	})
}

// Eventually waits for a condition, which holds when it returns nil. Otherwise the
// failure shows the error that it returns.
func (b *Bubble) Eventually(what string, condition func() error) {
	b.T.Helper()
	Eventually(b.T, Patience, what, condition)
}

// Eventually waits for a condition, up to a limit, in virtual or in real time.
func Eventually(t testing.TB, limit time.Duration, what string, condition func() error) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			require.FailNow(t, "waited in vain: "+what, "for %v: %v", limit, err)
		}
	}
}

// Ended returns a context that has ended. Stop with it does not wait.
func Ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
