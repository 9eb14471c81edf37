package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
)

func TestMetadataThatDoesNotFitIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		note := func(n int) edit {
			return func(o *cluster.Options) { o.Metadata = map[string]string{"note": strings.Repeat("x", n)} }
		}
		_, err := cluster.New(options(1, note(500)))
		var size *membership.MetadataSizeError
		require.ErrorAs(t, err, &size)
		require.Equal(t, 448, size.Limit)
		require.EqualError(t, err, fmt.Sprintf("cluster: invalid options: membership: what this member gossips about itself takes %d bytes, "+
			"the limit is 448: shorten Metadata, which takes most (Region, Zone, HTTPAddr, Services, Metadata, Configurations and Version count)", size.Size))

		// The bound is exact: attributes one byte smaller than those that are refused
		// are accepted, and reach the members.
		fits := 500 - (size.Size - size.Limit)
		_, err = cluster.New(options(1, note(fits+1)))
		require.ErrorAs(t, err, &size)
		require.Equal(t, 449, size.Size)
		c := b.start(1, note(fits))
		other := b.start(2)
		b.agree(c, other)

		before := c.Local()
		err = c.Update(t.Context(), func(a *membership.Attributes) { a.Metadata["note"] += "x" })
		require.ErrorAs(t, err, &size)
		require.Equal(t, membership.MetadataSizeError{Size: 449, Limit: 448, Largest: "Metadata"}, *size)
		require.Equal(t, before, c.Local(), "nothing has changed")

		// The bytes of the library are not taken from the bytes of the attributes.
		require.NoError(t, c.Drain(within(t, patience)))
		m, ok := other.Member("n1")
		require.True(t, ok)
		require.Equal(t, membership.Leaving, m.State)
		require.Len(t, m.Metadata["note"], fits)
	})
}

func TestUpdateReachesTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3, func(o *cluster.Options) { o.Metadata = map[string]string{"rack": "r1", "old": "yes"} })
		fingerprint := all[0].Fingerprint()
		var kept membership.Attributes
		require.NoError(t, all[0].Update(t.Context(), func(a *membership.Attributes) {
			require.Equal(t, map[string]string{"rack": "r1", "old": "yes"}, a.Metadata)
			delete(a.Metadata, "old")
			a.Metadata["rack"] = "r2"
			a.Services = map[string]string{"kv": "10.0.0.1:9000"}
			a.HTTPAddr = "10.0.0.1:80"
			kept = *a
		}))
		kept.Metadata["rack"], kept.Services["kv"] = "scribbled", "scribbled"
		for _, c := range all {
			b.await("the update is everywhere", func() bool {
				m, ok := c.Member("n1")
				return ok && m.Metadata["rack"] == "r2" && len(m.Metadata) == 1 && m.Services["kv"] == "10.0.0.1:9000" && m.HTTPAddr == "10.0.0.1:80"
			})
			require.Equal(t, fingerprint, c.Fingerprint(), "metadata does not place keys")
		}
		require.ErrorContains(t, all[0].Update(t.Context(), func(a *membership.Attributes) { a.Metadata = map[string]string{"\xff": ""} }), "is not UTF-8")
		require.ErrorContains(t, all[0].Update(t.Context(), func(a *membership.Attributes) { a.Services = map[string]string{"kv": "x"} }), `Services["kv"] is "x": must be host:port that others can reach`)
		require.Equal(t, map[string]string{"rack": "r2"}, all[0].Local().Metadata)
	})
}

// A function of Update that does not return, as one that asks a service for the load, holds up other calls of Update
// alone. It may call the cluster.
func TestAnUpdateThatDoesNotReturn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		other, c := b.start(1), b.make(2)
		goOn, updated := make(chan struct{}), make(chan error, 1)
		go func() {
			updated <- c.Update(t.Context(), func(a *membership.Attributes) {
				<-goOn
				_ = c.Health()
				_ = c.Local()
				if err := c.Resume(t.Context()); err != nil {
					t.Error(err)
				}
				if err := c.Update(ended(), func(*membership.Attributes) {}); !errors.Is(err, context.Canceled) {
					t.Errorf("an update within an update: %v", err)
				}
				a.Weight = 3
			})
		}()
		require.NoError(t, c.Start(within(t, patience)))
		b.agree(other, c)
		require.Equal(t, membership.Active, c.Local().State)
		require.NoError(t, c.Drain(within(t, patience)))
		require.ErrorIs(t, c.Update(within(t, time.Second), func(*membership.Attributes) {}), context.DeadlineExceeded)
		close(goOn)
		require.NoError(t, <-updated)
		b.agree(other, c)
		require.Equal(t, 3, c.Local().Weight)
		require.NoError(t, c.WaitReady(within(t, patience)), "it was resumed")

		stuck := make(chan struct{})
		defer close(stuck)
		go func() { _ = c.Update(t.Context(), func(*membership.Attributes) { <-stuck }) }()
		time.Sleep(time.Second)
		require.NoError(t, c.Stop(within(t, patience)))
		b.free(2)
	})
}

func TestOptionsAreCopied(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		key := []byte("0123456789abcdef")
		o := options(1, func(o *cluster.Options) {
			o.Gossip.Network = b.net
			o.Metadata, o.Services = map[string]string{"a": "1"}, map[string]string{"s": "s:1"}
			o.AlsoRuns = []cluster.Configuration{{ReplicationFactor: 2}}
			o.Gossip.Keys = [][]byte{key}
			o.Seeds = []string{gossipAddr(2)}
		})
		c, err := cluster.New(o)
		require.NoError(t, err)
		b.Add(c)
		o.Metadata["a"], o.Services["s"], o.Seeds[0] = "2", "s:2", gossipAddr(99)
		o.AlsoRuns[0] = cluster.Configuration{ReplicationFactor: 5, Strategy: rebalance.RoundRobin{}}
		clear(key)
		o.Gossip.Keys[0] = nil

		other := b.start(2, func(o *cluster.Options) { o.Gossip.Keys, o.Seeds = [][]byte{[]byte("0123456789abcdef")}, nil })
		require.NoError(t, c.Start(t.Context()))
		b.agree(c, other)
		m, ok := other.Member("n1")
		require.True(t, ok)
		require.Equal(t, map[string]string{"a": "1"}, m.Metadata)
		require.Equal(t, map[string]string{"s": "s:1"}, m.Services)
		require.Equal(t, []string{"rf2:balanced/3", "rf3:balanced/3"}, m.Configurations)
	})
}

func TestDefaultsOfOptions(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.start(1, func(o *cluster.Options) {
			*o = cluster.Options{ClusterName: "orders", NodeID: "a", GossipAddr: gossipAddr(1), Gossip: membership.GossipOptions{Network: b.net}, Logger: o.Logger}
		})
		require.Equal(t, 4096, c.Ring().PartitionCount())
		require.Equal(t, 3, c.Ring().Config().ReplicationFactor)
		require.Equal(t, rebalance.Balanced{}, c.Ring().Config().Strategy)
		require.Equal(t, 1, c.Local().Weight)
		require.Empty(t, c.HTTPAddr())
		require.Empty(t, c.Local().HTTPAddr)
	})
}
