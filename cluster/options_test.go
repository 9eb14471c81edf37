package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

const (
	boundName      = "must be 1 to 128 bytes of letters, digits and . _ : / @ -"
	boundBind      = "must be IP:port, with a port from 0 to 65535"
	boundAdvertise = "must be IP or IP:port that others can reach"
	boundHTTP      = "must be host:port, with a port from 0 to 65535"
	boundReach     = "must be host:port that others can reach"
	boundPlace     = "must be at most 64 bytes of printable UTF-8"
)

// optionCase is one value of one field, and what Validate says; nothing when
// the value is fine.
type optionCase struct {
	set  edit
	want string
}

func checkOptions(t *testing.T, cases []optionCase) {
	t.Helper()
	for i, c := range cases {
		err := options(1, c.set).Validate()
		if c.want == "" {
			require.NoError(t, err, "case %d", i)
			continue
		}
		require.EqualError(t, err, c.want, "case %d", i)
		_, err = cluster.New(options(1, c.set))
		require.EqualError(t, err, "cluster: invalid options: "+c.want, "case %d", i)
	}
}

// text makes cases of one text field: pairs of a value and the bound it breaks,
// or nothing.
func text(field string, set func(*cluster.Options, string), pairs ...string) []optionCase {
	var cases []optionCase
	for i := 0; i < len(pairs); i += 2 {
		c := optionCase{set: func(o *cluster.Options) { set(o, pairs[i]) }}
		if pairs[i+1] != "" {
			c.want = fmt.Sprintf("%s is %q: %s", field, pairs[i], pairs[i+1])
		}
		cases = append(cases, c)
	}
	return cases
}

func TestOptionsNames(t *testing.T) {
	long := strings.Repeat("x", 128)
	values := []string{"", boundName, "a", "", long, "", long + "x", boundName,
		"azAZ09._:/@-", "", "a b", boundName, "a~b", boundName, "ä", boundName, "a\x00", boundName}
	checkOptions(t, text("ClusterName", func(o *cluster.Options, s string) { o.ClusterName = s }, values...))
	checkOptions(t, text("NodeID", func(o *cluster.Options, s string) { o.NodeID = s }, values...))
}

func TestOptionsPlaces(t *testing.T) {
	long := strings.Repeat("x", 64)
	values := []string{"", "", "a", "", long, "", long + "x", boundPlace, "Zürich 1", "", "a\nb", boundPlace, "\xff", boundPlace}
	checkOptions(t, text("Region", func(o *cluster.Options, s string) { o.Region = s }, values...))
	checkOptions(t, text("Zone", func(o *cluster.Options, s string) { o.Zone = s }, values...))
}

func TestOptionsAddresses(t *testing.T) {
	const unbindable = boundBind + "; names cannot be listened on"
	checkOptions(t, text("GossipAddr", func(o *cluster.Options, s string) { o.GossipAddr = s },
		"", boundBind, ":0", "", ":7946", "", "0.0.0.0:0", "", "127.0.0.1:65535", "", "[::1]:1", "",
		":65536", boundBind, ":-1", boundBind, "1.2.3.4", boundBind, "1.2.3.4:", boundBind, "nonsense", boundBind,
		"localhost:1", unbindable, "224.0.0.1:1", unbindable, "[fe80::1%eth0]:1", unbindable))
	checkOptions(t, []optionCase{
		{set: func(o *cluster.Options) { o.GossipAddr = "[::]:1" }, want: `AdvertiseAddr is "": must be set when GossipAddr is every IPv6 address`},
		{set: func(o *cluster.Options) { o.GossipAddr, o.AdvertiseAddr = "[::]:1", "2001:db8::1" }},
	})
	checkOptions(t, text("AdvertiseAddr", func(o *cluster.Options, s string) { o.AdvertiseAddr = s },
		"", "", "10.1.2.3", "", "10.1.2.3:1", "", "10.1.2.3:65535", "", "2001:db8::1", "", "[2001:db8::1]:1", "",
		"10.1.2.3:0", boundAdvertise, "10.1.2.3:65536", boundAdvertise, "host:1", boundAdvertise, "0.0.0.0", boundAdvertise,
		"224.0.0.1:1", boundAdvertise, "255.255.255.255:1", boundAdvertise, "fe80::1%eth0", boundAdvertise))
	checkOptions(t, text("HTTPAddr", func(o *cluster.Options, s string) { o.HTTPAddr = s },
		"", "", ":0", "", ":8080", "", "localhost:65535", "", "[::]:1", "",
		"8080", boundHTTP, ":65536", boundHTTP, ":http", boundHTTP, ":", boundHTTP, "::1:80", boundHTTP))
	checkOptions(t, text("AdvertiseHTTPAddr", func(o *cluster.Options, s string) { o.AdvertiseHTTPAddr = s },
		"", "", "orders-1:1", "", "[::1]:65535", "", ":80", boundReach, "h:0", boundReach, "h", boundReach, "h:65536", boundReach))
	checkOptions(t, text("Seeds[1]", func(o *cluster.Options, s string) { o.Seeds = []string{"fine:1", s} },
		"orders-0", "", "10.0.0.1:1", "", "", "must be host:port or host", ":1", "must be host:port or host",
		"h:0", "must be host:port or host", "h:65536", "must be host:port or host", "http://h:1", "must be host:port or host"))
}

func TestOptionsNumbers(t *testing.T) {
	var cases []optionCase
	number := func(set func(*cluster.Options, int), good []int, want map[int]string) {
		for _, n := range good {
			cases = append(cases, optionCase{set: func(o *cluster.Options) { set(o, n) }})
		}
		for n, message := range want {
			cases = append(cases, optionCase{set: func(o *cluster.Options) { set(o, n) }, want: message})
		}
	}
	number(func(o *cluster.Options, n int) { o.Weight = n }, []int{0, 1, 1 << 20}, map[int]string{
		-1: "Weight is -1: must be between 0 and 1048576", 1<<20 + 1: "Weight is 1048577: must be between 0 and 1048576",
	})
	number(func(o *cluster.Options, n int) { o.PartitionCount = n }, []int{0, 1, 1 << 20}, map[int]string{
		-1: "PartitionCount is -1: must be between 1 and 1048576", 1<<20 + 1: "PartitionCount is 1048577: must be between 1 and 1048576",
	})
	number(func(o *cluster.Options, n int) { o.ReplicationFactor = n }, []int{0, 1, 16}, map[int]string{
		-1: "ReplicationFactor is -1: must be between 1 and 16", 17: "ReplicationFactor is 17: must be between 1 and 16",
	})
	for d, want := range map[time.Duration]string{
		0: "", 1: "", time.Hour: "",
		-1:            "BootstrapTimeout is -1ns: must be between 0 and 1h0m0s",
		time.Hour + 1: "BootstrapTimeout is 1h0m0.000000001s: must be between 0 and 1h0m0s",
	} {
		cases = append(cases, optionCase{set: func(o *cluster.Options) { o.BootstrapTimeout = d }, want: want})
	}
	number(func(o *cluster.Options, n int) { o.Gossip = membership.Profile(n) }, []int{0, 1, 2}, map[int]string{
		3: "Gossip is profile(3): must be LAN, WAN or Local", 255: "Gossip is profile(255): must be LAN, WAN or Local",
	})
	checkOptions(t, cases)
}

// misnamed is a strategy whose name is what a test wants.
type misnamed struct{ name string }

func (m misnamed) Name() string {
	if m.name == "panic" {
		panic("no name")
	}
	return m.name
}

func (misnamed) Assign(ring.Topology, ring.Table) error { return nil }

func TestOptionsConfigurations(t *testing.T) {
	strategy := func(s ring.RebalanceStrategy) edit { return func(o *cluster.Options) { o.Strategy = s } }
	accept := func(c ...cluster.Configuration) edit { return func(o *cluster.Options) { o.Accept = c } }
	rf := func(n int) cluster.Configuration { return cluster.Configuration{ReplicationFactor: n} }
	const boundStrategy = "must be 1 to 48 bytes of printable ASCII without spaces or commas"
	name := strings.Repeat("x", 48)
	checkOptions(t, []optionCase{
		{set: strategy(nil)},
		{set: strategy(rebalance.RoundRobin{})},
		{set: strategy(misnamed{name})},
		{set: strategy(misnamed{name + "x"}), want: fmt.Sprintf("Strategy.Name() is %q: %s", name+"x", boundStrategy)},
		{set: strategy(misnamed{}), want: `Strategy.Name() is "": ` + boundStrategy},
		{set: strategy(misnamed{"a b"}), want: `Strategy.Name() is "a b": ` + boundStrategy},
		{set: strategy(misnamed{"panic"}), want: `Strategy is "cluster_test.misnamed": must be sound: ` +
			`ring: strategy "cluster_test.misnamed": Name does not panic: panic: no name`},
		{set: strategy(rebalance.ConsistentHash{Load: 5, VirtualNodes: -1}), want: "Strategy.Load is 5: must be between 1000 and 10000\n" +
			"Strategy.VirtualNodes is -1: must be between 1 and 1000"},
		{set: accept()},
		{set: accept(rf(1), rf(2), rf(4))},
		{set: accept(rf(1), rf(2), rf(4), rf(5)), want: "len(Accept) is 4: must be at most 3"},
		{set: accept(rf(0)), want: `Accept[0] is "rf3:balanced/1": must be another configuration than the rest`},
		{set: accept(rf(17), rf(3)), want: "Accept[0].ReplicationFactor is 17: must be between 1 and 16\n" +
			`Accept[1] is "rf3:balanced/1": must be another configuration than the rest`},
		{set: accept(rf(2), rf(5), rf(2)), want: `Accept[0] is "rf2:balanced/1": must be another configuration than the rest`},
		{set: accept(rf(2), cluster.Configuration{ReplicationFactor: -1, Strategy: misnamed{","}}),
			want: "Accept[1].ReplicationFactor is -1: must be between 1 and 16\n" + `Accept[1].Strategy.Name() is ",": ` + boundStrategy},
		{set: func(o *cluster.Options) { o.Accept, o.PartitionCount = []cluster.Configuration{rf(2)}, -5 },
			want: "PartitionCount is -5: must be between 1 and 1048576"},
	})
}

func TestOptionsKeysAreNeverShown(t *testing.T) {
	var cases []optionCase
	for _, n := range []int{16, 24, 32} {
		cases = append(cases, optionCase{set: func(o *cluster.Options) { o.GossipKeys = [][]byte{make([]byte, n)} }})
	}
	const secret = "hunter2 is secret"
	for _, key := range []string{"", secret[:15], secret, strings.Repeat("s", 33)} {
		cases = append(cases, optionCase{
			set:  func(o *cluster.Options) { o.GossipKeys = [][]byte{make([]byte, 16), []byte(key)} },
			want: fmt.Sprintf("GossipKeys[1] is \"%d bytes\": must be 16, 24 or 32 bytes", len(key)),
		})
	}
	checkOptions(t, cases)
}

func TestOptionsReportAllProblemsAtOnce(t *testing.T) {
	o := cluster.Options{
		HTTPAddr: "x", AdvertiseHTTPAddr: "y", Seeds: []string{"", "a:1", ":0"}, BootstrapTimeout: -1,
		Region: "\n", Zone: "\x00", Weight: -1, PartitionCount: -1, ReplicationFactor: -1, Strategy: misnamed{"a b"},
		Accept: []cluster.Configuration{{ReplicationFactor: 99}}, AdvertiseAddr: "z", Gossip: 9,
		GossipKeys: [][]byte{nil}, Metadata: map[string]string{"": "nameless", "big": strings.Repeat("x", 500)},
	}
	want := []string{
		"Accept[0].ReplicationFactor", "PartitionCount", "ReplicationFactor", "Strategy.Name()", "Seeds[0]", "Seeds[2]", "HTTPAddr",
		"AdvertiseHTTPAddr", "ClusterName", "NodeID", "GossipAddr", "Region", "Zone", "Weight", "BootstrapTimeout", "AdvertiseAddr",
		"Gossip", "GossipKeys[0]", "Metadata has an entry without a name", "membership: what this member gossips about itself takes",
	}
	first := o.Validate()
	require.Error(t, first)
	lines := strings.Split(first.Error(), "\n")
	require.Len(t, lines, len(want), "%v", first)
	for i, line := range lines {
		require.True(t, strings.HasPrefix(line, want[i]), "problem %d is %q, not of %s", i, line, want[i])
	}
	for range 10 {
		require.EqualError(t, o.Validate(), first.Error(), "the order is stable")
	}
	var bad *cluster.OptionError
	require.ErrorAs(t, first, &bad)
	require.Equal(t, cluster.OptionError{Field: "Accept[0].ReplicationFactor", Value: 99, Bound: "between 1 and 16"}, *bad)
}
