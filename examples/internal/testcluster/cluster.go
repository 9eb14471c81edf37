// Package testcluster makes members over a network in memory, for the tests of the
// examples. They run in virtual time.
package testcluster

import (
	"log/slog"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// Cluster is a network and the members that ran on it.
type Cluster struct{ *bubble.Bubble }

// Run runs a test in virtual time. At the end it stops the members, and the test fails
// when a goroutine is left.
func Run(t *testing.T, test func(t *testing.T, c *Cluster)) {
	t.Helper()
	bubble.Run(t, memnet.Options{Seed: 1, Latency: time.Millisecond}, func(t *testing.T, b *bubble.Bubble) {
		test(t, &Cluster{b})
	})
}

// ID returns the NodeID of member i, 1 and up.
func ID(i int) string { return "n" + strconv.Itoa(i) }

// HTTPAddr returns the HTTP address that member i announces.
func HTTPAddr(i int) string { return ID(i) + ":80" }

// Addr returns the gossip address of member i.
func Addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 7946)
}

// Make makes member i, which is in zone a, b or c, without starting it.
func (b *Cluster) Make(i int, edit func(*cluster.Options)) *cluster.Cluster {
	b.T.Helper()
	o := cluster.Options{
		ClusterName: "test", NodeID: ID(i), Zone: string("abc"[(i-1)%3]),
		GossipAddr: Addr(i).String(), Seeds: []string{Addr(1).String(), Addr(2).String()},
		PartitionCount: 64,
		Gossip:         membership.GossipOptions{Network: b.Net, TrustedNetwork: true}, HTTP: cluster.HTTPOptions{AdvertiseAddr: HTTPAddr(i)}, Logger: slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&o)
	}
	c, err := cluster.New(o)
	require.NoError(b.T, err)
	b.Add(c)
	return c
}
