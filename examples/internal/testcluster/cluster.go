// Package testbed runs clusters over a network in memory, for the tests of the
// examples. Use it inside testing/synctest, where waiting takes no time.
package testcluster

import (
	"context"
	"log/slog"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

const (
	patience  = time.Minute      // for a condition, in virtual time
	afterlife = 40 * time.Second // of probes that were under way when a member stopped
)

// Cluster is a network and the members that ran on it.
type Cluster struct {
	T   *testing.T
	Net *memnet.Network
	all []*cluster.Cluster
}

// Run runs a test in virtual time. What the test started is stopped, and the
// test fails when a goroutine is left.
func Run(t *testing.T, test func(t *testing.T, b *Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network, err := memnet.New(memnet.Options{Seed: 1, Latency: time.Millisecond})
		require.NoError(t, err)
		b := &Cluster{T: t, Net: network}
		defer b.end()
		test(t, b)
	})
}

func (b *Cluster) end() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range b.all {
		_ = c.Stop(ctx)
	}
	time.Sleep(afterlife)
}

// ID returns the NodeID of member i, 1 and up; HTTPAddr what it announces; Addr
// where it gossips.
func ID(i int) string { return "n" + strconv.Itoa(i) }

// HTTPAddr returns what member i announces.
func HTTPAddr(i int) string { return ID(i) + ":80" }

// Addr returns where member i gossips.
func Addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 7946)
}

// Make makes member i, which stands in zone a, b or c, without starting it.
func (b *Cluster) Make(i int, edit func(*cluster.Options)) *cluster.Cluster {
	b.T.Helper()
	o := cluster.Options{
		ClusterName: "test", NodeID: ID(i), Zone: string("abc"[(i-1)%3]),
		GossipAddr: Addr(i).String(), AdvertiseHTTPAddr: HTTPAddr(i), Seeds: []string{Addr(1).String(), Addr(2).String()},
		PartitionCount: 64, Network: b.Net, Logger: slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&o)
	}
	c, err := cluster.New(o)
	require.NoError(b.T, err)
	b.all = append(b.all, c)
	return c
}

// Agree waits until the members are one cluster of one view.
func (b *Cluster) Agree(all ...*cluster.Cluster) {
	b.T.Helper()
	b.Await("one view of as many members as there are", func() bool {
		for _, c := range all {
			if len(c.Members()) != len(all) || c.Fingerprint() != all[0].Fingerprint() {
				return false
			}
		}
		return true
	})
	synctest.Wait()
}

// Await waits for a condition in virtual time.
func (b *Cluster) Await(what string, condition func() bool) {
	b.T.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		require.True(b.T, time.Now().Before(deadline), "waited in vain for %v: %s", patience, what)
		time.Sleep(10 * time.Millisecond) // virtual
	}
}
