package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/transport/api"
)

// TestMain collects garbage four times less often than usual: simulated clusters make
// much of it, and a quarter of the processor time of these tests went into collecting it.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	status := m.Run()
	if status == 0 {
		status = leaks()
	}
	os.Exit(status)
}

// leaks returns 1, and says which, when goroutines are left. The probes of memberlist end
// some seconds after it has shut down. Find waits a moment each time.
func leaks() int {
	var err error
	for range 20 {
		if err = goleak.Find(); err == nil {
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// patience is how long a condition is waited for, in virtual time.
const patience = bubble.Patience

// testNet is a network in memory and the clusters that ran on it, in virtual time.
type testNet struct {
	*bubble.Bubble
	t   *testing.T
	net *memnet.Network
}

// edit changes the options of one member.
type edit func(*cluster.Options)

// inBubble runs a test in virtual time. At the end it stops all members, and the bubble
// fails the test when a goroutine is left.
func inBubble(t *testing.T, test func(t *testing.T, b *testNet)) {
	t.Helper()
	bubble.Run(t, memnet.Options{Seed: 1, Latency: time.Millisecond}, func(t *testing.T, b *bubble.Bubble) {
		test(t, &testNet{Bubble: b, t: t, net: b.Net})
	})
}

// gossipAddr is the address of member i.
func gossipAddr(i int) string { return fmt.Sprintf("10.0.0.%d:7946", i) }

func addrPort(i int) netip.AddrPort { return netip.MustParseAddrPort(gossipAddr(i)) }

// options are those of member i, 1 and up, with the ID n<i>, in zone z<i mod 3>.
func options(i int, edits ...edit) cluster.Options {
	o := cluster.Options{
		ClusterName: "orders", NodeID: fmt.Sprintf("n%d", i), GossipAddr: gossipAddr(i),
		Region: "eu", Zone: fmt.Sprintf("z%d", i%3), Seeds: []string{gossipAddr(1), gossipAddr(2)},
		PartitionCount: 64, Logger: slog.New(slog.DiscardHandler),
		Gossip: membership.GossipOptions{TrustedNetwork: true},
	}
	for _, change := range edits {
		change(&o)
	}
	return o
}

// make makes member i of the network without starting it.
func (b *testNet) make(i int, edits ...edit) *cluster.Cluster {
	b.t.Helper()
	c, err := cluster.New(options(i, append([]edit{func(o *cluster.Options) { o.Gossip.Network = b.net }}, edits...)...))
	require.NoError(b.t, err)
	b.Add(c)
	return c
}

// start makes member i and starts it.
func (b *testNet) start(i int, edits ...edit) *cluster.Cluster {
	b.t.Helper()
	c := b.make(i, edits...)
	require.NoError(b.t, c.Start(b.t.Context()))
	return c
}

// startMany starts the members 1 to n, which agree when it returns.
func (b *testNet) startMany(n int, edits ...edit) []*cluster.Cluster {
	b.t.Helper()
	var all []*cluster.Cluster
	for i := range n {
		all = append(all, b.start(i+1, edits...))
	}
	b.agree(all...)
	return all
}

// agree waits until the members are one cluster of one view.
func (b *testNet) agree(all ...*cluster.Cluster) {
	b.t.Helper()
	// WaitConverged does not wait for news that has not arrived.
	b.Agree(all...)
	for _, c := range all {
		require.NoError(b.t, c.WaitConverged(within(b.t, patience)))
	}
	for _, c := range all {
		require.Equal(b.t, all[0].Fingerprint(), c.Fingerprint(), "%s and %s", all[0].Local().ID, c.Local().ID)
	}
}

// await waits for a condition in virtual time.
func (b *testNet) await(what string, condition func() bool) {
	b.t.Helper()
	awaitWithin(b.t, patience, what, condition)
}

// awaitWithin waits for a condition, in virtual or real time.
func awaitWithin(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	bubble.Eventually(t, limit, what, func() error {
		if !condition() {
			return errors.New("it does not hold")
		}
		return nil
	})
}

// during calls one function once in each interval until another function returns. It returns the
// error of the latter.
func during(interval time.Duration, again func(), what func() error) error {
	done := make(chan error, 1)
	go func() { done <- what() }()
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(interval):
			again()
		}
	}
}

// within is a context that ends after a while.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// ended is a context that has ended.
func ended() context.Context { return bubble.Ended() }

// problems are the codes of a member's problems.
func problems(c *cluster.Cluster) []string {
	var codes []string
	for _, p := range c.Health().Problems {
		codes = append(codes, p.Code)
	}
	return codes
}

// problem is a member's problem of a code.
func problem(t *testing.T, c *cluster.Cluster, code string) api.Problem {
	t.Helper()
	for _, p := range c.Health().Problems {
		if p.Code == code {
			return p
		}
	}
	require.FailNow(t, "no such problem", "%s has no problem %q: %+v", c.Local().ID, code, c.Health().Problems)
	return api.Problem{}
}

// long leaves a test out of -short, and so from under the race detector. Such a test does for a long
// time, or in many variants, what shorter ones do too.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("long")
	}
}
