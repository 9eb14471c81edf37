package main

import (
	"bytes"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
)

func parseWith(args []string, env map[string]string) (config, error) {
	lookup := func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
	return parse(args, lookup, new(bytes.Buffer))
}

func TestParseReadsEveryFlag(t *testing.T) {
	t.Parallel()
	c, err := parseWith([]string{
		"-cluster", "orders", "-id", "n1", "-region", "eu", "-zone", "a", "-weight", "2", "-observer",
		"-gossip", "127.0.0.1:7946", "-advertise", "10.0.0.1", "-http", "127.0.0.1:8081", "-advertise-http", "n1:80",
		"-join", "127.0.0.1:7946, n2:7946", "-partitions", "64", "-replicas", "2", "-strategy", "round-robin",
		"-accept", "rf3/balanced,rf1/consistent-hash,rf3/ordinal/orders-/3", "-profile", "wan",
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
				{ReplicationFactor: 3, Strategy: rebalance.Ordinal{Prefix: "orders-", Zones: 3}},
			},
			Gossip:    membership.GossipOptions{AdvertiseAddr: "10.0.0.1", Profile: membership.WAN, Keys: [][]byte{key, key}},
			HTTP:      cluster.HTTPOptions{AdvertiseAddr: "n1:80"},
			Bootstrap: cluster.BootstrapOptions{Timeout: time.Second}, RestartGrace: 3 * time.Second,
		},
		leaveTimeout: 2 * time.Second,
		logLevel:     slog.LevelWarn,
	}, c)
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
		"strategy":        {[]string{"-id", "n1", "-strategy", "best"}, nil, `strategy "best": must be balanced, rendezvous, consistent-hash, round-robin or ordinal/PREFIX/ZONES`},
		"numbers":         {[]string{"-id", "n1", "-strategy", "ordinal/n"}, nil, `strategy "ordinal/n": must be like ordinal/orders-/3, with the prefix of IDs and the number of zones`},
		"accept":          {[]string{"-id", "n1", "-accept", "3/balanced"}, nil, `-accept: "3/balanced": must be like rf3/balanced`},
		"accept strategy": {[]string{"-id", "n1", "-accept", "rf3"}, nil, `-accept: "rf3": strategy "": must be balanced, rendezvous, consistent-hash, round-robin or ordinal/PREFIX/ZONES`},
		"accepted twice":  {[]string{"-id", "n1", "-accept", "rf3/balanced"}, nil, `-accept: AlsoRuns[0] is "rf3:balanced/1": must be a configuration that is not listed twice`},
		"key":             {[]string{"-id", "n1", "-key", "00112233445566778899aabbccddeeff," + secret}, nil, `-key: number 2 must be 16, 24 or 32 bytes in hex or base64`},
		"environment":     {nil, map[string]string{"CLUSTERKIT_PROFILE": "moon"}, `invalid value "moon" in $CLUSTERKIT_PROFILE: membership: unknown gossip profile "moon": must be lan, wan or local`},
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
	_, err := parse([]string{"-h"}, func(string) (string, bool) { return "", false }, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	for _, part := range []string{"CLUSTERKIT_LOG_LEVEL", "-join", "-leave-timeout", "-profile", "(default lan)"} {
		require.Contains(t, help.String(), part)
	}
	for line := range bytes.SplitSeq(help.Bytes(), []byte("\n")) {
		require.LessOrEqual(t, len(line), 100, "%s", line)
	}
}
