package membership

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// strangers returns a running cluster of two members on loopback, and a check that it
// still works: it has no other member, and a change reaches both.
func strangers(t *testing.T, keys ...[]byte) (addrs []string, unharmed func()) {
	t.Helper()
	_, addrs, unharmed = attacked(t, keys...)
	return addrs, unharmed
}

// attacked is strangers, and also returns the members.
func attacked(t *testing.T, keys ...[]byte) (all []*Membership, addrs []string, unharmed func()) {
	t.Helper()
	for i := range 2 {
		o := Options{
			ClusterName: "orders", NodeID: fmt.Sprintf("n%d", i), GossipAddr: "127.0.0.1:0", Gossip: GossipOptions{Profile: Local, Keys: keys},
			PartitionCount: 16, Configurations: []string{"x"}, Discovery: Static(addrs...),
			Logger: slog.New(slog.DiscardHandler),
		}
		m, err := New(o)
		require.NoError(t, err)
		require.NoError(t, m.Start(t.Context()))
		t.Cleanup(func() { _ = m.Stop(context.Background()) })
		all = append(all, m)
		addrs = append(addrs, m.Local().Addr.String())
	}
	round := 0
	return all, addrs, func() {
		t.Helper()
		round++
		said := fmt.Sprint("round ", round)
		require.NoError(t, all[0].Update(t.Context(), func(a *Attributes) { a.Metadata = map[string]string{"said": said} }))
		require.Eventually(t, func() bool {
			members, _ := all[1].Members()
			return len(members) == 2 && members[0].Metadata["said"] == said
		}, 20*time.Second, 10*time.Millisecond, "the second no longer hears the first")
		for _, m := range all {
			members, _ := m.Members()
			require.Len(t, members, 2)
		}
	}
}

// A process that gossips under the cluster's name with invalid metadata is not
// admitted, and no member passes its message on.
func TestForgedMembersAreNotLetIn(t *testing.T) {
	addrs, unharmed := strangers(t)
	for name, forge := range map[string]func(*memberlist.Config){
		"no metadata":          func(*memberlist.Config) {},
		"name without a nonce": func(c *memberlist.Config) { c.Name = "n7" },
		"metadata that is none": func(c *memberlist.Config) {
			c.Delegate = says(make([]byte, memberlist.MetaMaxSize))
		},
		"another partition count": func(c *memberlist.Config) {
			meta, err := encodeMeta(Member{ID: "n7", Weight: 1, PartitionCount: 17, Configurations: []string{"x"}, State: Active})
			require.NoError(t, err)
			c.Delegate = says(meta)
		},
		"an address that is a group's": func(c *memberlist.Config) {
			meta, err := encodeMeta(Member{ID: "n7", Weight: 1, PartitionCount: 16, Configurations: []string{"x"}, State: Active})
			require.NoError(t, err)
			c.Delegate, c.AdvertiseAddr, c.AdvertisePort = says(meta), "224.0.0.1", 7946
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := memberlist.DefaultLocalConfig()
			c.Name, c.Label, c.BindAddr, c.BindPort = gossipName("n7", 7), "orders", "127.0.0.1", 0
			c.Logger = log.New(io.Discard, "", 0)
			forge(c)
			stranger, err := memberlist.Create(c)
			require.NoError(t, err)
			defer func() { _ = stranger.Shutdown() }()
			_, err = stranger.Join(addrs)
			require.NoError(t, err, "the exchange itself takes place")
			require.NoError(t, stranger.UpdateNode(time.Second))
			unharmed()
		})
	}
}

// says is a memberlist delegate with fixed metadata.
type says []byte

func (s says) NodeMeta(int) []byte           { return s }
func (says) NotifyMsg([]byte)                {}
func (says) GetBroadcasts(int, int) [][]byte { return nil }
func (says) LocalState(bool) []byte          { return nil }
func (says) MergeRemoteState([]byte, bool)   {}

// Random packets and streams to the port have no effect.
func TestNoiseOnTheGossipPort(t *testing.T) {
	addrs, unharmed := strangers(t)
	const seed = 1
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	noise := func(limit int) []byte {
		b := make([]byte, 1+random.IntN(limit))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		if random.IntN(2) == 0 { // get past the label
			b = append([]byte("\xf4\x06orders"), b...)
		}
		return b
	}
	packets, err := (&net.Dialer{}).DialContext(t.Context(), "udp", addrs[0])
	require.NoError(t, err)
	defer func() { _ = packets.Close() }()
	for range 2000 {
		_, err := packets.Write(noise(1400))
		require.NoError(t, err)
	}
	for range 200 {
		stream, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addrs[0])
		require.NoError(t, err)
		_, _ = stream.Write(noise(4096)) // the other side may have closed it already
		require.NoError(t, stream.Close())
	}
	unharmed()
}

// Connections without any data are closed, and do not keep members from joining.
func TestSilentConnectionsDoNotBlockTheGossipPort(t *testing.T) {
	addrs, unharmed := strangers(t)
	for range 500 {
		stream, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addrs[0])
		require.NoError(t, err)
		t.Cleanup(func() { _ = stream.Close() })
	}
	unharmed()
	requireJoin(t, addrs)
}

// requireJoin requires that one more member can join.
func requireJoin(t *testing.T, addrs []string, keys ...[]byte) {
	t.Helper()
	third, err := New(Options{
		ClusterName: "orders", NodeID: "n3", GossipAddr: "127.0.0.1:0", Gossip: GossipOptions{Profile: Local, Keys: keys},
		PartitionCount: 16, Configurations: []string{"x"}, Discovery: Static(addrs...),
		BootstrapTimeout: 30 * time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.NoError(t, third.Start(t.Context()))
	members, _ := third.Members()
	require.Len(t, members, len(addrs)+1)
	require.NoError(t, third.Stop(t.Context()))
}
