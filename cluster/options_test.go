package cluster_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport"
)

const (
	boundName      = "must be 1 to 128 bytes of letters, digits and . _ : / @ -"
	boundBind      = "must be IP:port, with a port from 0 to 65535"
	boundAdvertise = "must be IP or IP:port that others can reach"
	boundHTTP      = "must be host:port, with a port from 0 to 65535"
	boundReach     = "must be host:port that others can reach"
	boundPlace     = "must be at most 64 bytes of printable UTF-8"
)

// optionCase is one value of one field, and the error of Validate, which is empty for a
// valid value.
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

// text makes cases of one text field, from pairs of a value and the bound that it
// breaks. An empty bound means that the value is valid.
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
	checkOptions(t, text("Version", func(o *cluster.Options, s string) { o.Version = s }, values...))
	checkOptions(t, text("Zone", func(o *cluster.Options, s string) { o.Zone = s }, values...))
}

func TestOptionsAddresses(t *testing.T) {
	const unbindable = boundBind + "; names cannot be listened on"
	checkOptions(t, text("GossipAddr", func(o *cluster.Options, s string) { o.GossipAddr = s },
		"", boundBind, ":0", "", ":7946", "", "0.0.0.0:0", "", "127.0.0.1:65535", "", "[::1]:1", "",
		":65536", boundBind, ":-1", boundBind, "1.2.3.4", boundBind, "1.2.3.4:", boundBind, "nonsense", boundBind,
		"localhost:1", unbindable, "224.0.0.1:1", unbindable, "[fe80::1%eth0]:1", unbindable))
	checkOptions(t, []optionCase{
		{set: func(o *cluster.Options) { o.GossipAddr = "[::]:1" }, want: `Gossip.AdvertiseAddr is "": must be set when GossipAddr is every IPv6 address`},
		{set: func(o *cluster.Options) { o.GossipAddr, o.Gossip.AdvertiseAddr = "[::]:1", "2001:db8::1" }},
	})
	checkOptions(t, text("Gossip.AdvertiseAddr", func(o *cluster.Options, s string) { o.Gossip.AdvertiseAddr = s },
		"", "", "10.1.2.3", "", "10.1.2.3:1", "", "10.1.2.3:65535", "", "2001:db8::1", "", "[2001:db8::1]:1", "",
		"10.1.2.3:0", boundAdvertise, "10.1.2.3:65536", boundAdvertise, "host:1", boundAdvertise, "0.0.0.0", boundAdvertise,
		"224.0.0.1:1", boundAdvertise, "255.255.255.255:1", boundAdvertise, "fe80::1%eth0", boundAdvertise))
	checkOptions(t, text("HTTPAddr", func(o *cluster.Options, s string) { o.HTTPAddr = s },
		"", "", ":0", "", ":8080", "", "localhost:65535", "", "[::]:1", "",
		"8080", boundHTTP, ":65536", boundHTTP, ":http", boundHTTP, ":", boundHTTP, "::1:80", boundHTTP))
	checkOptions(t, text("HTTP.AdvertiseAddr", func(o *cluster.Options, s string) { o.HTTP.AdvertiseAddr = s },
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
		-1:            "Bootstrap.Timeout is -1ns: must be between 0s and 1h0m0s",
		time.Hour + 1: "Bootstrap.Timeout is 1h0m0.000000001s: must be between 0s and 1h0m0s",
	} {
		cases = append(cases, optionCase{set: func(o *cluster.Options) { o.Bootstrap.Timeout = d }, want: want})
	}
	number(func(o *cluster.Options, n int) { o.Gossip.Profile = membership.Profile(n) }, []int{0, 1, 2}, map[int]string{
		3: "Gossip.Profile is profile(3): must be LAN, WAN or Local", 255: "Gossip.Profile is profile(255): must be LAN, WAN or Local",
	})
	checkOptions(t, cases)
}

func TestOptionsOfBootstrapAndHandoff(t *testing.T) {
	set := func(change func(o *cluster.Options)) optionCase { return optionCase{set: change} }
	bad := func(want string, change func(o *cluster.Options)) optionCase {
		return optionCase{set: change, want: want}
	}
	checkOptions(t, []optionCase{
		set(func(o *cluster.Options) { o.Handoff.WriteQuorum = 3 }),
		set(func(o *cluster.Options) { o.Handoff.Off, o.ReplicationFactor = true, 1 }),
		bad("Handoff.WriteQuorum is 2: must be zero with Off", func(o *cluster.Options) { o.Handoff.Off, o.Handoff.WriteQuorum = true, 2 }),
		bad("Handoff.WriteQuorum is 4: must be between 1 and 3", func(o *cluster.Options) { o.Handoff.WriteQuorum = 4 }),
		bad("Handoff.WriteQuorum is -1: must be between 1 and 3", func(o *cluster.Options) { o.Handoff.WriteQuorum = -1 }),
		bad("Handoff.Parallel is 1025: must be between 1 and 1024", func(o *cluster.Options) { o.Handoff.Parallel = 1025 }),
		bad("Handoff.RetryAfter is 2h0m0s: must be between 1ms and 1h0m0s", func(o *cluster.Options) { o.Handoff.RetryAfter = 2 * time.Hour }),
		bad("Handoff.CallLimit is 1ns: must be between 1ms and 168h0m0s", func(o *cluster.Options) { o.Handoff.CallLimit = 1 }),
		bad("Handoff.OverdueAfter is -1s: must be between 1ms and 168h0m0s", func(o *cluster.Options) { o.Handoff.OverdueAfter = -time.Second }),
		bad("Handoff.Mover is <nil>: must be set where Journal is", func(o *cluster.Options) { o.Handoff.Journal = newBook() }),
		bad("Bootstrap.MinMembers is -1: must be between 0 and 65535", func(o *cluster.Options) { o.Bootstrap.MinMembers = -1 }),
		bad("Bootstrap.ExpectedMembers is 65536: must be between 0 and 65535", func(o *cluster.Options) { o.Bootstrap.ExpectedMembers = 65536 }),
	})
}

// A stranger at a gossip port without keys could make members delete data.
func TestHandoffInClearIsRefused(t *testing.T) {
	const want = "Gossip.Keys is <nil>: must be set with Handoff.Mover, or Gossip.TrustedNetwork set where strangers cannot " +
		"reach the gossip port: a stranger could make members delete data"
	inClear := func(change func(o *cluster.Options)) func(o *cluster.Options) {
		return func(o *cluster.Options) {
			o.Gossip.TrustedNetwork = false
			change(o)
		}
	}
	checkOptions(t, []optionCase{
		{set: inClear(func(*cluster.Options) {})},
		{set: inClear(func(o *cluster.Options) { o.Handoff.Mover = &store{} }), want: want},
		{set: inClear(func(o *cluster.Options) { o.Handoff.Mover, o.Handoff.Off = &store{}, true }), want: want},
		{set: inClear(func(o *cluster.Options) { o.Handoff.Mover, o.Gossip.Keys = &store{}, [][]byte{} }), want: want},
		{set: inClear(func(o *cluster.Options) { o.Handoff.Mover, o.Gossip.Keys = &store{}, [][]byte{make([]byte, 32)} })},
		{set: inClear(func(o *cluster.Options) { o.Handoff.Mover, o.Gossip.TrustedNetwork = &store{}, true })},
	})
}

func TestOptionsOfTheHandler(t *testing.T) {
	checkOptions(t, []optionCase{
		{set: func(o *cluster.Options) { o.HTTP.Handler.MaxKeys = 100 }},
		{
			set: func(o *cluster.Options) {
				o.HTTP.Handler = transport.HandlerOptions{MaxBodyBytes: -1, MaxKeys: -1, MaxChanges: -1, MaxMoves: -1, Middleware: []func(http.Handler) http.Handler{nil}}
			},
			want: "HTTP.Handler.MaxBodyBytes is -1: must be between 1024 and 67108864, or zero for the default\n" +
				"HTTP.Handler.MaxKeys is -1: must be between 1 and 100000, or zero for the default\n" +
				"HTTP.Handler.MaxChanges is -1: must be between 1 and 10000, or zero for the default\n" +
				"HTTP.Handler.MaxMoves is -1: must be between 1 and 1000000, or zero for the default\n" +
				"HTTP.Handler.Middleware[0] is <nil>: must be set",
		},
	})
}

// misnamed is a strategy with a given name.
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
	alsoRuns := func(c ...cluster.Configuration) edit { return func(o *cluster.Options) { o.AlsoRuns = c } }
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
		{set: alsoRuns()},
		{set: alsoRuns(rf(1), rf(2), rf(4))},
		{set: alsoRuns(rf(1), rf(2), rf(4), rf(5)), want: "AlsoRuns is 4: must be at most 3 configurations"},
		{set: alsoRuns(rf(0)), want: `AlsoRuns[0] is "rf3:balanced/3": must be a configuration that is not listed twice`},
		{set: alsoRuns(rf(17), rf(3)), want: "AlsoRuns[0].ReplicationFactor is 17: must be between 1 and 16\n" +
			`AlsoRuns[1] is "rf3:balanced/3": must be a configuration that is not listed twice`},
		{set: alsoRuns(rf(2), rf(5), rf(2)), want: `AlsoRuns[0] is "rf2:balanced/3": must be a configuration that is not listed twice`},
		{set: alsoRuns(rf(2), cluster.Configuration{ReplicationFactor: -1, Strategy: misnamed{","}}),
			want: "AlsoRuns[1].ReplicationFactor is -1: must be between 1 and 16\n" + `AlsoRuns[1].Strategy.Name() is ",": ` + boundStrategy},
		{set: alsoRuns(cluster.Configuration{ReplicationFactor: 2, WriteQuorum: 2}), want: "AlsoRuns[0].WriteQuorum is 2: must be zero without Handoff.Mover"},
		{set: func(o *cluster.Options) {
			o.Handoff.Mover = &store{}
			o.AlsoRuns = []cluster.Configuration{{WriteQuorum: 1}, {WriteQuorum: 3}, {ReplicationFactor: 2, WriteQuorum: 3}}
		}, want: "AlsoRuns[2].WriteQuorum is 3: must be between 1 and 2"},
		{set: func(o *cluster.Options) {
			o.Handoff.Mover, o.AlsoRuns = &store{}, []cluster.Configuration{{WriteQuorum: 2}}
		},
			want: `AlsoRuns[0] is "rf3w2:balanced/3": must be a configuration that is not listed twice`},
		{set: func(o *cluster.Options) {
			o.Handoff.Mover, o.AlsoRuns = &store{}, []cluster.Configuration{{HandoffOff: true}, {HandoffOff: true, WriteQuorum: 2}}
		},
			want: "AlsoRuns[1].WriteQuorum is 2: must be zero with HandoffOff"},
		{set: func(o *cluster.Options) {
			o.Handoff, o.AlsoRuns = cluster.HandoffOptions{Mover: &store{}, Off: true}, []cluster.Configuration{{HandoffOff: true}}
		},
			want: `AlsoRuns[0] is "rf3:balanced/3": must be a configuration that is not listed twice`},
		{set: func(o *cluster.Options) { o.AlsoRuns, o.PartitionCount = []cluster.Configuration{rf(2)}, -5 },
			want: "PartitionCount is -5: must be between 1 and 1048576"},
	})
}

func TestOptionsKeysAreNeverShown(t *testing.T) {
	var cases []optionCase
	for _, n := range []int{16, 24, 32} {
		cases = append(cases, optionCase{set: func(o *cluster.Options) { o.Gossip.Keys = [][]byte{make([]byte, n)} }})
	}
	const secret = "hunter2 is secret"
	for _, key := range []string{"", secret[:15], secret, strings.Repeat("s", 33)} {
		cases = append(cases, optionCase{
			set:  func(o *cluster.Options) { o.Gossip.Keys = [][]byte{make([]byte, 16), []byte(key)} },
			want: fmt.Sprintf("Gossip.Keys[1] is \"%d bytes\": must be 16, 24 or 32 bytes", len(key)),
		})
	}
	checkOptions(t, cases)
}

func TestOptionsReportAllProblemsAtOnce(t *testing.T) {
	o := cluster.Options{
		HTTPAddr: "x", Seeds: []string{"", "a:1", ":0"},
		Region: "\n", Zone: "\x00", Weight: -1, PartitionCount: -1, ReplicationFactor: -1, Strategy: misnamed{"a b"},
		AlsoRuns:  []cluster.Configuration{{ReplicationFactor: 99}},
		Metadata:  map[string]string{"": "nameless", "big": strings.Repeat("x", 500)},
		Gossip:    membership.GossipOptions{AdvertiseAddr: "z", Profile: 9, Keys: [][]byte{nil}},
		HTTP:      cluster.HTTPOptions{AdvertiseAddr: "y", Server: transport.ServerOptions{ReadTimeout: -1}},
		Bootstrap: cluster.BootstrapOptions{Timeout: -1, MinMembers: -1},
		Handoff:   cluster.HandoffOptions{Parallel: -1},
	}
	want := []string{
		"AlsoRuns[0].ReplicationFactor", "PartitionCount", "ReplicationFactor", "Strategy.Name()", "Seeds[0]", "Seeds[2]", "HTTPAddr",
		"HTTP.AdvertiseAddr", "HTTP.Server.ReadTimeout", "Bootstrap.Timeout", "Bootstrap.MinMembers", "Handoff.Parallel",
		"ClusterName", "NodeID", "GossipAddr", "Region", "Zone", "Weight", "Gossip.AdvertiseAddr", "Gossip.Profile", "Gossip.Keys[0]",
		"Metadata has an entry without a name", "membership: what this member gossips about itself takes",
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
	var bad *option.Error
	require.ErrorAs(t, first, &bad)
	require.Equal(t, option.Error{Field: "AlsoRuns[0].ReplicationFactor", Value: 99, Bound: "between 1 and 16"}, *bad)
}
