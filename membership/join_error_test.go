package membership

import (
	"bytes"
	"io"
	"log"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
)

// gossiper is a bare memberlist behind a guard on a loopback port.
type gossiper struct {
	*memberlist.Memberlist
	guard *guard.Guard
	addr  netip.AddrPort
}

func startGossiper(t *testing.T, name, cluster string, change func(*memberlist.Config)) gossiper {
	t.Helper()
	logger := log.New(io.Discard, "", 0)
	transport, err := listenNet(netip.MustParseAddrPort("127.0.0.1:0"), logger)
	require.NoError(t, err)
	conf := memberlist.DefaultLocalConfig()
	if change != nil {
		change(conf)
	}
	o := guard.Options{Label: cluster, Logger: logger}
	if conf.Keyring != nil {
		o.Keys = conf.Keyring.GetKeys
	}
	g := guard.New(transport, o)
	ip, port, err := g.FinalAdvertiseAddr("", 0)
	require.NoError(t, err)
	conf.Name, conf.Label, conf.Transport, conf.Logger = name, cluster, g, logger
	conf.BindAddr, conf.BindPort = ip.String(), port
	conf.AdvertiseAddr, conf.AdvertisePort = ip.String(), port
	conf.EnableCompression, conf.TCPTimeout = false, 20*time.Second // long, so that the load of the machine has no effect
	m, err := memberlist.Create(conf)
	if err != nil {
		_ = g.Shutdown()
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Shutdown()) })
	addr, ok := netip.AddrFromSlice(ip)
	require.True(t, ok)
	return gossiper{m, g, netip.AddrPortFrom(addr.Unmap(), uint16(port))}
}

func keys(t *testing.T, names ...byte) func(*memberlist.Config) {
	t.Helper()
	var all [][]byte
	for _, n := range names {
		all = append(all, bytes.Repeat([]byte{n}, 32))
	}
	return func(c *memberlist.Config) {
		ring, err := memberlist.NewKeyring(all, all[0])
		require.NoError(t, err)
		c.Keyring = ring
	}
}

// The test causes memberlist's own errors, so that it fails when a release of
// memberlist changes the texts.
func TestClassifyJoinErrorAgainstMemberlist(t *testing.T) {
	lax := func(c *memberlist.Config) { c.GossipVerifyIncoming, c.GossipVerifyOutgoing = false, false }
	both := func(some ...func(*memberlist.Config)) func(*memberlist.Config) {
		return func(c *memberlist.Config) {
			for _, f := range some {
				f(c)
			}
		}
	}
	for _, tc := range []struct {
		name         string
		ours, theirs func(*memberlist.Config)
		detail       string
	}{
		{"we have no key", nil, keys(t, 'a'), detailNoKey},
		{"they have no key", keys(t, 'a'), nil, detailPlain},
		{"different keys", keys(t, 'a'), keys(t, 'b'), detailTheirKey},
		{"they lack our primary", keys(t, 'a', 'b'), keys(t, 'b'), detailOurKey},
		{"we lack their primary", keys(t, 'a'), keys(t, 'b', 'a'), detailTheirKey},
		{"we speak without our key", both(keys(t, 'a'), lax), keys(t, 'a'), detailNoKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			theirs := startGossiper(t, "theirs", "orders", tc.theirs)
			ours := startGossiper(t, "ours", "orders", tc.ours)
			_, err := ours.Join([]string{theirs.addr.String()})
			require.Error(t, err)
			classified := classifyJoinError(err)
			require.ErrorIs(t, classified, ErrGossipKey, "memberlist said: %v", err)
			var refused *RefusedError
			require.ErrorAs(t, classified, &refused)
			require.Equal(t, tc.detail, refused.Detail, "memberlist said: %v", err)
			require.NoError(t, ours.guard.TakeRefusal(theirs.addr), "not the guard's affair")
		})
	}
}

func TestJoinOtherCluster(t *testing.T) {
	for _, tc := range []struct{ name, ours, theirs string }{
		{"another name", "billing", "orders"},
		{"a longer name", "orders-2", "orders"},
		{"none on our side", "", "orders"},
		{"none on their side", "billing", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			theirs := startGossiper(t, "theirs", tc.theirs, nil)
			ours := startGossiper(t, "ours", tc.ours, nil)
			for range 3 {
				_, err := ours.Join([]string{theirs.addr.String()})
				require.ErrorIs(t, classifyJoinError(err), ErrClusterName, "memberlist said: %v", err)
				refusal := ours.guard.TakeRefusal(theirs.addr)
				require.ErrorIs(t, refusal, ErrClusterName)
				require.EqualError(t, classifyJoinError(refusal), `membership: joining through "`+theirs.addr.String()+
					`": refused: belongs to another cluster: check the seed address, and ClusterName on both sides`)
				require.NoError(t, ours.guard.TakeRefusal(theirs.addr), "asked and forgotten")
			}
			require.Equal(t, guard.Counts{OtherLabel: 3}, theirs.guard.Counts())
			require.Equal(t, 1, theirs.NumMembers())
			require.Equal(t, 1, ours.NumMembers())
		})
	}
}

// The state of a large cluster is still being written when the refusal arrives. A reset
// of the connection must not lose the refusal.
func TestJoinOtherClusterWithLargeState(t *testing.T) {
	theirs := startGossiper(t, "theirs", "orders", nil)
	ours := startGossiper(t, "ours", "billing", func(c *memberlist.Config) { c.Delegate = largeState(8 << 20) })
	for range 3 {
		_, err := ours.Join([]string{theirs.addr.String()})
		require.ErrorIs(t, classifyJoinError(err), ErrClusterName, "memberlist said: %v", err)
		require.ErrorIs(t, ours.guard.TakeRefusal(theirs.addr), ErrClusterName)
	}
}

func TestJoinSameCluster(t *testing.T) {
	for _, cluster := range []string{"orders", ""} {
		one := startGossiper(t, "one", cluster, func(c *memberlist.Config) { c.Delegate = largeState(4 << 20) })
		two := startGossiper(t, "two", cluster, func(c *memberlist.Config) { c.Delegate = largeState(4 << 20) })
		_, err := two.Join([]string{one.addr.String()})
		require.NoError(t, err)
		require.Equal(t, 2, two.NumMembers())
		// The answering side merges after it has answered.
		require.Eventually(t, func() bool { return one.NumMembers() == 2 }, 20*time.Second, time.Millisecond)
		require.NoError(t, two.guard.TakeRefusal(one.addr))
		require.Zero(t, one.guard.Counts())
	}
}

// largeState is a delegate that pushes a number of bytes of state.
type largeState int

func (largeState) NodeMeta(int) []byte             { return nil }
func (largeState) NotifyMsg([]byte)                {}
func (largeState) GetBroadcasts(_, _ int) [][]byte { return nil }
func (n largeState) LocalState(bool) []byte        { return make([]byte, n) }
func (largeState) MergeRemoteState([]byte, bool)   {}
