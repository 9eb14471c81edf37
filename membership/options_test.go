package membership

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	const (
		name      = "must be 1 to 128 bytes of letters, digits and . _ : / @ -"
		bind      = "must be IP:port, with a port from 0 to 65535"
		advertise = "must be IP or IP:port that others can reach"
		place     = "must be at most 64 bytes of printable UTF-8"
		dial      = "must be host:port that others can reach"
	)
	long := strings.Repeat("x", 128)
	for i, c := range []struct {
		set  func(*Options)
		want string
	}{
		{func(*Options) {}, ""},
		{func(o *Options) { o.ClusterName = "" }, `ClusterName is "": ` + name},
		{func(o *Options) { o.ClusterName = long }, ""},
		{func(o *Options) { o.ClusterName = long + "x" }, fmt.Sprintf("ClusterName is %q: %s", long+"x", name)},
		{func(o *Options) { o.NodeID = "a b" }, `NodeID is "a b": ` + name},
		{func(o *Options) { o.NodeID = long }, ""},
		{func(o *Options) { o.GossipAddr = "" }, `GossipAddr is "": ` + bind},
		{func(o *Options) { o.GossipAddr = "localhost:1" }, `GossipAddr is "localhost:1": ` + bind + "; names cannot be listened on"},
		{func(o *Options) { o.GossipAddr = "[::]:0" }, `Gossip.AdvertiseAddr is "": must be set when GossipAddr is every IPv6 address`},
		{func(o *Options) { o.GossipAddr, o.Gossip.AdvertiseFrom = "[::]:0", "eth1" }, ""},
		{func(o *Options) { o.GossipAddr, o.Gossip.AdvertiseFrom = "10.0.0.1:7946", "eth1" },
			`Gossip.AdvertiseFrom is "eth1": must be empty when GossipAddr or AdvertiseAddr names an address`},
		{func(o *Options) {
			o.GossipAddr, o.Gossip.AdvertiseAddr, o.Gossip.AdvertiseFrom = ":0", "10.0.0.1", "eth1"
		},
			`Gossip.AdvertiseFrom is "eth1": must be empty when GossipAddr or AdvertiseAddr names an address`},
		{func(o *Options) { o.Gossip.ForgetAfter = time.Minute }, "Gossip.ForgetAfter is 1m0s: must be 0, or between 1h0m0s and 8760h0m0s"},
		{func(o *Options) { o.Gossip.AdvertiseAddr = "10.0.0.1:0" }, `Gossip.AdvertiseAddr is "10.0.0.1:0": ` + advertise},
		{func(o *Options) { o.Gossip.AdvertiseAddr = "10.0.0.1" }, ""},
		{func(o *Options) { o.Region = long }, fmt.Sprintf("Region is %q: %s", long, place)},
		{func(o *Options) { o.Zone = "\t" }, `Zone is "\t": ` + place},
		{func(o *Options) { o.Version = long[:64] }, ""},
		{func(o *Options) { o.Version = long[:65] }, fmt.Sprintf("Version is %q: %s", long[:65], place)},
		{func(o *Options) { o.Version = "v1\n" }, `Version is "v1\n": ` + place},
		{func(o *Options) { o.Version, o.Metadata = "v1.0.0", map[string]string{"k": strings.Repeat("x", 430)} }, "Metadata, Configurations and Version count"},
		{func(o *Options) { o.Weight = -1 }, "Weight is -1: must be between 0 and 1048576"},
		{func(o *Options) { o.Weight = 1 << 20 }, ""},
		{func(o *Options) { o.Weight = 1<<20 + 1 }, "Weight is 1048577: must be between 0 and 1048576"},
		{func(o *Options) { o.PartitionCount = 0 }, "PartitionCount is 0: must be between 1 and 1048576"},
		{func(o *Options) { o.PartitionCount = 1 << 20 }, ""},
		{func(o *Options) { o.PartitionCount = 1<<20 + 1 }, "PartitionCount is 1048577: must be between 1 and 1048576"},
		{func(o *Options) { o.Configurations = nil }, "Configurations is 0: must be between 1 and 4 names"},
		{func(o *Options) { o.Configurations = []string{"a", "b", "c", "d"} }, ""},
		{func(o *Options) { o.Configurations = []string{"a", "b", "c", "d", "e"} }, "Configurations is 5: must be between 1 and 4 names"},
		{func(o *Options) { o.Configurations = []string{""} }, "a configuration has no name"},
		{func(o *Options) { o.BootstrapTimeout = -1 }, "BootstrapTimeout is -1ns: must be between 0 and 1h0m0s"},
		{func(o *Options) { o.BootstrapTimeout = time.Hour }, ""},
		{func(o *Options) { o.BootstrapTimeout = time.Hour + 1 }, "BootstrapTimeout is 1h0m0.000000001s: must be between 0 and 1h0m0s"},
		{func(o *Options) { o.RestartGrace = -1 }, "RestartGrace is -1ns: must be 0, or between 1ms and 1h0m0s"},
		{func(o *Options) { o.RestartGrace = time.Millisecond - 1 }, "RestartGrace is 999.999µs: must be 0, or between 1ms and 1h0m0s"},
		{func(o *Options) { o.RestartGrace = time.Millisecond }, ""},
		{func(o *Options) { o.RestartGrace = time.Hour }, ""},
		{func(o *Options) { o.ZoneGrace = time.Millisecond - 1 }, "ZoneGrace is 999.999µs: must be 0, or between 1ms and 1h0m0s"},
		{func(o *Options) { o.ZoneGrace = time.Hour }, ""},
		{func(o *Options) { o.ZoneGrace = time.Hour + 1 }, "ZoneGrace is 1h0m0.000000001s: must be 0, or between 1ms and 1h0m0s"},
		{func(o *Options) { o.ZoneGrace, o.Zone = time.Minute, "" }, "ZoneGrace is 1m0s: must be 0 when Zone is empty"},
		{func(o *Options) { o.RestartGrace = time.Hour + 1 }, "RestartGrace is 1h0m0.000000001s: must be 0, or between 1ms and 1h0m0s"},
		{func(o *Options) { o.Gossip.Profile = 3 }, "Gossip.Profile is profile(3): must be LAN, WAN or Local"},
		{func(o *Options) { o.Gossip.Keys = [][]byte{make([]byte, 16), []byte("secret")} }, `Gossip.Keys[1] is "6 bytes": must be 16, 24 or 32 bytes`},
		{func(o *Options) { o.Metadata = map[string]string{"": "x"} }, "Metadata has an entry without a name"},
		{func(o *Options) { o.Services = map[string]string{"a": "\xff"} }, `value of "a" in Services "\xff" is not UTF-8`},
		{func(o *Options) { o.HTTPAddr = "\xff" }, `HTTPAddr is "\xff": ` + dial},
		{func(o *Options) { o.HTTPAddr = "0.0.0.0:80" }, `HTTPAddr is "0.0.0.0:80": ` + dial},
		{func(o *Options) { o.HTTPAddr = "kv.example:80" }, ""},
		{func(o *Options) { o.HTTPAddr = "[2001:db8::1]:80" }, ""},
		{func(o *Options) { o.HTTPAddr = "[fe80::1%eth0]:80" }, `HTTPAddr is "[fe80::1%eth0]:80": ` + dial},
		{func(o *Options) { o.Services = map[string]string{"kv": "no port"} }, `Services["kv"] is "no port": ` + dial},
		{func(o *Options) { o.Services = map[string]string{"kv": "host"} }, `Services["kv"] is "host": ` + dial},
		{func(o *Options) { o.Services = map[string]string{"kv": "host:0"} }, `Services["kv"] is "host:0": ` + dial},
		{func(o *Options) { o.Services = map[string]string{"kv": "host:70000"} }, `Services["kv"] is "host:70000": ` + dial},
		{func(o *Options) { o.Services = map[string]string{"kv": ":80"} }, `Services["kv"] is ":80": ` + dial},
		{func(o *Options) { o.Services = map[string]string{"kv": "[::]:80"} }, `Services["kv"] is "[::]:80": ` + dial},
		{func(o *Options) { o.Services = map[string]string{"kv": "a host:80"} }, `Services["kv"] is "a host:80": ` + dial},
		{func(o *Options) { o.Services = map[string]string{"kv": "http://host:80"} }, `Services["kv"] is "http://host:80": ` + dial},
		{func(o *Options) { o.Discovery = DNS{} }, `Discovery.Name is "": must be a host name` + "\n" + `Discovery.Port is 0: must be between 1 and 65535`},
		{func(o *Options) { o.Discovery = DiscoveryFunc(nil) }, `Discovery.DiscoveryFunc is <nil>: must be a function`},
		{func(o *Options) { o.Discovery = &DNS{Name: "a b", Port: 1} }, `Discovery.Name is "a b": must be a host name`},
		{func(o *Options) { o.Discovery = DNS{Name: "127.0.0.1", Port: 65535} }, ""},
		{func(o *Options) { o.Discovery = SRV{Service: "gossip", Name: "orders.svc"} }, `Discovery.Proto is "": must be set where Service is`},
		{func(o *Options) { o.Discovery = SRV{Name: "_gossip._udp.orders.svc"} }, ""},
		{func(o *Options) { o.Discovery = File{} }, `Discovery.Path is "": must be set`},
		{func(o *Options) { o.Discovery = Join(nil, Static("a", ":1"), Join(File{})) }, `Discovery.Static[1] is ":1": must be host:port or host` + "\n" + `Discovery.Path is "": must be set`},
	} {
		o := optionsOf(1)
		c.set(&o)
		err := o.Validate()
		_, newErr := New(o)
		if c.want == "" {
			require.NoError(t, err, "case %d", i)
			require.NoError(t, newErr, "case %d", i)
			continue
		}
		require.ErrorContains(t, err, c.want, "case %d", i)
		require.EqualError(t, newErr, "membership: invalid options: "+err.Error(), "case %d", i)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestOptionsReportEverythingAtOnce(t *testing.T) {
	o := Options{
		Region: "\n", Zone: "\n", Weight: -1, BootstrapTimeout: -1,
		Gossip:   GossipOptions{AdvertiseAddr: "x", Profile: 9, Keys: [][]byte{nil}},
		Services: map[string]string{"": ""}, Metadata: map[string]string{"k": strings.Repeat("x", 500)},
	}
	err := o.Validate()
	var fields []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fields = append(fields, strings.Fields(line)[0])
	}
	require.Equal(t, []string{"ClusterName", "NodeID", "GossipAddr", "Region", "Zone", "Weight", "PartitionCount",
		"Configurations", "BootstrapTimeout", `Services[""]`, "Gossip.AdvertiseAddr", "Gossip.Profile", "Gossip.Keys[0]", "Services", "membership:"}, fields)
	var size *MetadataSizeError
	require.ErrorAs(t, err, &size)
	for range 10 {
		require.EqualError(t, o.Validate(), err.Error())
	}
}

func TestOptionsAreCopiedByNew(t *testing.T) {
	o := optionsOf(1)
	o.Metadata, o.Services = map[string]string{"a": "1"}, map[string]string{"s": "s:1"}
	o.Gossip.Keys = [][]byte{[]byte("one key of 16 b.")}
	m, err := New(o)
	require.NoError(t, err)
	o.Metadata["a"], o.Services["s"], o.Configurations[0] = "2", "s:2", "other"
	clear(o.Gossip.Keys[0])
	require.Equal(t, map[string]string{"a": "1"}, m.Local().Metadata)
	require.Equal(t, map[string]string{"s": "s:1"}, m.Local().Services)
	require.Equal(t, []string{"rf3:rendezvous/1"}, m.Local().Configurations)
	require.Equal(t, "one key of 16 b.", string(m.keys.ring.GetPrimaryKey()))
	require.NoError(t, m.admission.check(Member{PartitionCount: 64, Configurations: []string{"rf3:rendezvous/1"}}))
}
