package main

import (
	"bytes"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
)

func parseWith(args []string, env map[string]string) (config, error) {
	var environ []string
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	return parse(args, environ, new(bytes.Buffer))
}

func TestParseReadsEveryFlag(t *testing.T) {
	t.Parallel()
	c, err := parseWith([]string{
		"-cluster", "orders", "-id", "n1", "-region", "eu", "-zone", "a", "-weight", "2", "-observer",
		"-gossip", "127.0.0.1:7946", "-advertise", "10.0.0.1", "-http", "127.0.0.1:8081", "-advertise-http", "n1:80",
		"-join", "127.0.0.1:7946, n2:7946", "-partitions", "64", "-replicas", "2", "-strategy", "round-robin",
		"-accept", "rf3/balanced,rf1/consistent-hash,rf3/ordinal/orders-/3/1", "-profile", "wan",
		"-key", "00112233445566778899aabbccddeeff,ABEiM0RVZneImaq7zN3u/w==",
		"-bootstrap-timeout", "1s", "-leave-timeout", "2s", "-restart-grace", "3s", "-log-level", "warn",
	}, nil)
	require.NoError(t, err)
	key := []byte("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff")
	require.Equal(t, config{
		options: cluster.Options{
			ClusterName: "orders", NodeID: "n1", Region: "eu", Zone: "a", Weight: 2, Observer: true,
			GossipAddr: "127.0.0.1:7946", HTTPAddr: "127.0.0.1:8081",
			Seeds: []string{"127.0.0.1:7946", "n2:7946"}, PartitionCount: 64, ReplicationFactor: 2,
			Strategy: rebalance.RoundRobin{},
			AlsoRuns: []cluster.Configuration{
				{ReplicationFactor: 3, Strategy: rebalance.Balanced{}},
				{ReplicationFactor: 1, Strategy: rebalance.ConsistentHash{}},
				{ReplicationFactor: 3, Strategy: rebalance.Ordinal{Prefix: "orders-", Zones: 3, Version: 1}},
			},
			Gossip:    membership.GossipOptions{AdvertiseAddr: "10.0.0.1", Profile: membership.WAN, Keys: [][]byte{key, key}, ForgetAfter: 72 * time.Hour},
			HTTP:      cluster.HTTPOptions{AdvertiseAddr: "n1:80"},
			Bootstrap: cluster.BootstrapOptions{Timeout: time.Second}, RestartGrace: 3 * time.Second,
		},
		leaveTimeout: 2 * time.Second,
		logLevel:     slog.LevelWarn, logFormat: "text", onTerm: "restart",
	}, c)
}

func TestParseReadsTheOptionsOfADeployment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		return file
	}
	c, err := parseWith([]string{
		"-id", "n1", "-zone", "ignored", "-zone-file", write("zone", "eu-1a\n"), "-region-file", write("region", "eu\n"),
		"-expected", "6", "-min-members", "4", "-alone", "-metadata", "team=orders, disk=",
		"-dns", "orders.svc", "-srv", "_gossip._udp.orders", "-seeds-file", write("seeds", "n2\n"), "-dns-server", "127.0.0.1:5353",
		"-key-file", write("keys", "00112233445566778899aabbccddeeff\nABEiM0RVZneImaq7zN3u/w==\n"),
		"-http", "0.0.0.0:8443", "-tls-cert", "tls.pem", "-tls-key", "tls.key", "-tls-client-ca", "clients.pem", "-tls-ca", "ca.pem",
		"-tls-server-name", "orders", "-tls-allow-1.2", "-token-file", "tokens", "-rate-per-client", "50/100", "-rate", "1e3",
		"-trusted-proxies", "10.0.0.0/8, 192.168.0.0/16", "-max-connections", "100", "-write-timeout", "5s", "-max-keys", "7",
		"-on-term", "drain", "-stop-delay", "5s", "-log-format", "json", "-address-file", "seen", "-forget-after", "2h", "-compression",
	}, nil)
	require.NoError(t, err)
	o := c.options
	require.Equal(t, []string{"eu", "eu-1a"}, []string{o.Region, o.Zone})
	require.Equal(t, cluster.BootstrapOptions{Timeout: 5 * time.Second, MinMembers: 4, Alone: true, ExpectedMembers: 6}, o.Bootstrap)
	require.Equal(t, map[string]string{"team": "orders", "disk": ""}, o.Metadata)
	require.Equal(t, membership.Join(
		membership.DNS{Name: "orders.svc", Port: 7946, Resolver: o.Gossip.Resolver},
		membership.SRV{Name: "_gossip._udp.orders", Resolver: o.Gossip.Resolver},
		membership.File{Path: filepath.Join(dir, "seeds")},
	), o.Discovery)
	require.NotNil(t, o.Gossip.Resolver)
	require.Len(t, o.Gossip.Keys, 2)
	require.Equal(t, 2*time.Hour, o.Gossip.ForgetAfter)
	require.True(t, o.Gossip.Compression)
	require.Equal(t, client.TLSOptions{
		CertFile: "tls.pem", KeyFile: "tls.key", ClientCAFile: "clients.pem", RootCAFile: "ca.pem", ServerName: "orders", AllowTLS12: true,
	}, o.HTTP.Server.TLS)
	require.Equal(t, 100, o.HTTP.Server.MaxConnections)
	require.Equal(t, 5*time.Second, o.HTTP.Server.WriteTimeout)
	require.Equal(t, transport.GuardOptions{
		TokenFile: "tokens", PerClient: transport.RateLimit{PerSecond: 50, Burst: 100}, Overall: transport.RateLimit{PerSecond: 1000},
		TrustedProxies: []string{"10.0.0.0/8", "192.168.0.0/16"},
	}, o.HTTP.Guard)
	require.Equal(t, 7, o.HTTP.Handler.MaxKeys)
	require.Equal(t, []any{"drain", 5 * time.Second, "json"}, []any{c.onTerm, c.stopDelay, c.logFormat})
}

// TestEveryOptionHasAFlag requires a flag for each option of a cluster, and of each flag the name in
// flagNames that its errors show.
func TestEveryOptionHasAFlag(t *testing.T) {
	t.Parallel()
	byService := []string{ // options that the program sets itself, or that have no text
		"Version", "Services", "Logger", "Handoff", "Gossip.TrustedNetwork", "Gossip.Network", "HTTP.Listener", "HTTP.Server.Logger", "HTTP.Guard.Logger", "HTTP.Guard.Tokens",
		"HTTP.Handler.Logger", "HTTP.Handler.Middleware",
	}
	var c config
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	c.declare(flags)
	seen := make(map[string]bool)
	var walk func(of reflect.Type, path string)
	walk = func(of reflect.Type, path string) {
		seen[path] = true
		if slices.Contains(byService, path) {
			return
		}
		if name, named := flagNames[path]; named {
			for name := range strings.SplitSeq(name, " or -") {
				require.NotNil(t, flags.Lookup(name), "%s: no flag -%s", path, name)
			}
			if of.Kind() != reflect.Struct {
				return
			}
		}
		require.Equal(t, reflect.Struct, of.Kind(), "the option %s has no flag: declare one in flags.go, and name it in flagNames", path)
		for field := range of.Fields() {
			walk(field.Type, strings.TrimPrefix(path+"."+field.Name, "."))
		}
	}
	walk(reflect.TypeFor[cluster.Options](), "")
	for path := range flagNames {
		require.True(t, seen[path] || strings.HasPrefix(path, "Discovery."), "there is no option %s", path)
	}
	for _, path := range byService {
		require.True(t, seen[path], "there is no option %s", path)
	}
}

func TestParseTakesFlagsBeforeTheEnvironment(t *testing.T) {
	t.Parallel()
	c, err := parseWith([]string{"-zone", "flag"}, map[string]string{
		"CLUSTERKIT_ID": "n1", "CLUSTERKIT_ZONE": "environment", "CLUSTERKIT_REGION": "eu",
		"CLUSTERKIT_LOG_LEVEL": "error", "CLUSTERKIT_WEIGHT": "",
	})
	require.NoError(t, err)
	require.Equal(t, "n1", c.options.NodeID)
	require.Equal(t, "flag", c.options.Zone)
	require.Equal(t, "eu", c.options.Region)
	require.Equal(t, slog.LevelError, c.logLevel)
	require.Equal(t, 1, c.options.Weight)
	require.Empty(t, c.unknown)

	c, err = parseWith([]string{"-id", "n1"}, map[string]string{"CLUSTERKIT_ZONNE": "a", "CLUSTERKIT_TLS_ALLOW_1_2": "false"})
	require.NoError(t, err)
	require.Equal(t, []string{"$CLUSTERKIT_ZONNE"}, c.unknown)

	weights := filepath.Join(t.TempDir(), "weight")
	require.NoError(t, os.WriteFile(weights, []byte("3\n"), 0o600))
	c, err = parseWith([]string{"-id", "n1", "-weight", "2", "-weight-file", weights}, nil)
	require.NoError(t, err)
	require.Equal(t, 3, c.options.Weight, "the file counts")
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	const secret = "0123456789"
	weights := filepath.Join(t.TempDir(), "weight")
	require.NoError(t, os.WriteFile(weights, []byte("heavy\n"), 0o600))
	for name, test := range map[string]struct {
		args []string
		env  map[string]string
		want string
	}{
		"weight file":     {[]string{"-id", "n1", "-weight-file", weights}, nil, `-weight-file: ` + weights + ` has "heavy\n": must be a whole number above 0`},
		"no id":           {nil, nil, `-id: NodeID is "": must be 1 to 128 bytes of letters, digits and . _ : / @ -`},
		"two at once":     {[]string{"-id", "n1", "-replicas", "17", "-join", "n1:0"}, nil, "-replicas: ReplicationFactor is 17: must be between 1 and 16\n-join: Seeds[0] is \"n1:0\": must be host:port or host"},
		"strategy":        {[]string{"-id", "n1", "-strategy", "best"}, nil, `-strategy: strategy "best": must be balanced, rendezvous, consistent-hash, round-robin or ordinal/PREFIX/ZONES`},
		"numbers":         {[]string{"-id", "n1", "-strategy", "ordinal/n"}, nil, `-strategy: strategy "ordinal/n": must be like ordinal/orders-/3, with the prefix of IDs and the number of zones`},
		"accept":          {[]string{"-id", "n1", "-accept", "3/balanced"}, nil, `-accept: "3/balanced": must be like rf3/balanced`},
		"accept strategy": {[]string{"-id", "n1", "-accept", "rf3"}, nil, `-accept: "rf3": strategy "": must be balanced, rendezvous, consistent-hash, round-robin or ordinal/PREFIX/ZONES`},
		"accepted twice":  {[]string{"-id", "n1", "-accept", "rf3/balanced"}, nil, `-accept: AlsoRuns[0] is "rf3:balanced/3": must be a configuration that is not listed twice`},
		"key":             {[]string{"-id", "n1", "-key", "00112233445566778899aabbccddeeff," + secret}, nil, `-key: number 2 must be 16, 24 or 32 bytes in hex or base64`},
		"environment":     {nil, map[string]string{"CLUSTERKIT_PROFILE": "moon"}, `invalid value "moon" in $CLUSTERKIT_PROFILE: membership: unknown gossip profile "moon": must be lan, wan or local`},
		"number":          {[]string{"-id", "n1", "-weight", "heavy"}, nil, `invalid value "heavy" for flag -weight: must be a whole number; -h lists the flags`},
		"time":            {nil, map[string]string{"CLUSTERKIT_STOP_DELAY": "5"}, `invalid value "5" in $CLUSTERKIT_STOP_DELAY: must be a time such as 500ms, 10s or 1m`},
		"switch":          {nil, map[string]string{"CLUSTERKIT_OBSERVER": "maybe"}, `invalid value "maybe" in $CLUSTERKIT_OBSERVER: must be true or false`},
		"level":           {[]string{"-log-level", "loud"}, nil, `invalid value "loud" for flag -log-level: must be debug, info, warn or error; -h lists the flags`},
		"no such flag":    {[]string{"-zonne", "a"}, nil, `flag provided but not defined: -zonne; -h lists the flags`},
		"stop delay":      {[]string{"-id", "n1", "-stop-delay", "-1s", "-on-term", "wait", "-log-format", "xml"}, nil, "-stop-delay is -1s: must be between 0 and 1h\n-on-term is \"wait\": must be restart or drain\n-log-format is \"xml\": must be text or json"},
		"dns":             {[]string{"-id", "n1", "-dns", "orders:0"}, nil, `-dns is "orders:0": must be a name, or name:port with a port from 1 to 65535 where -gossip has no port`},
		"dns, any port":   {[]string{"-id", "n1", "-dns", "orders", "-gossip", "127.0.0.1:0"}, nil, `-dns is "orders": must be a name, or name:port with a port from 1 to 65535 where -gossip has no port`},
		"dns server":      {[]string{"-id", "n1", "-dns-server", "dns"}, nil, `-dns-server is "dns": must be IP:port, such as 10.0.0.2:53`},
		"srv":             {[]string{"-id", "n1", "-srv", "a b"}, nil, `-dns or -srv: Discovery.Name is "a b": must be a host name`},
		"zone file":       {[]string{"-id", "n1", "-zone-file", "none.txt"}, nil, `-zone-file: open none.txt: no such file or directory`},
		"key file":        {[]string{"-id", "n1", "-key-file", weights}, nil, `-key-file: number 1 must be 16, 24 or 32 bytes in hex or base64`},
		"two of keys":     {[]string{"-id", "n1", "-key-file", weights, "-key", secret}, nil, `-key-file: -key is set too: leave one of them out`},
		"metadata":        {[]string{"-id", "n1", "-metadata", "team"}, nil, `-metadata: "team": must be like name=value`},
		"rate":            {[]string{"-id", "n1", "-rate", "many"}, nil, `-rate is "many": must be requests a second, as 50 or 50/100 with a burst; leave it out for no limit`},
		"rate of clients": {[]string{"-id", "n1", "-rate-per-client", "0.001"}, nil, `-rate-per-client: HTTP.Guard.PerClient.PerSecond is 0.001: must be between 0.01 and 1000000, or the whole limit zero for none`},
		"tls":             {[]string{"-id", "n1", "-tls-cert", "tls.pem"}, nil, `-tls-key: HTTP.Server.TLS.KeyFile is "": must be set when CertFile is: a certificate needs its key`},
		"tokens in clear": {[]string{"-id", "n1", "-http", "0.0.0.0:80", "-token-file", "tokens"}, nil, `-http: HTTPAddr is "0.0.0.0:80": must be a loopback address, or HTTP.Server.TLS or HTTP.Guard.TokensInClear set: tokens would be sent in clear`},
		"place":           {[]string{"-write-place", "/place"}, nil, `-kube-node is "": must be the name of the Kubernetes node, as spec.nodeName of the pod has it`},
		"argument":        {[]string{"-id", "n1", "n2"}, nil, `unexpected argument "n2": lists have commas between their items, and no spaces`},
		"leave timeout":   {[]string{"-id", "n1", "-leave-timeout", "0s"}, nil, `-leave-timeout is 0s: must be more than 0`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseWith(test.args, test.env)
			require.EqualError(t, err, test.want)
			require.NotContains(t, err.Error(), secret)
		})
	}
}

func TestParseExplainsItself(t *testing.T) {
	t.Parallel()
	var help bytes.Buffer
	_, err := parse([]string{"-h"}, nil, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	for _, part := range []string{"CLUSTERKIT_LOG_LEVEL", "-join", "-leave-timeout", "-profile", "(default lan)", "-expected number", "(default 1m0s)"} {
		require.Contains(t, help.String(), part)
	}
	for line := range bytes.SplitSeq(help.Bytes(), []byte("\n")) {
		require.LessOrEqual(t, len(line), 100, "%s", line)
	}
}
