package membership

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/hostport"
)

func TestParseSeed(t *testing.T) {
	for _, good := range []string{
		"localhost", "orders-0:7946", "orders-0.orders.svc.cluster.local:7946", "a.b.", "a_b:1", "x:65535", "3com.example",
		"10.0.0.1", "10.0.0.1:7946", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:7946", "::ffff:10.0.0.1",
		strings.Repeat("x", 63) + ".example",
	} {
		_, err := parseSeed(good)
		require.NoError(t, err, good)
	}
	for bad, why := range map[string]string{
		"":                    "is empty, want host:port or host",
		":7946":               "has no host",
		".":                   "has no host",
		"[]":                  "host name has a character other than A-Z a-z 0-9 . _ -",
		"host:":               `port "" is not a number in [1, 65535]`,
		"host:0":              `port "0" is not a number in [1, 65535]`,
		"host:65536":          `port "65536" is not a number in [1, 65535]`,
		"host:http":           `port "http" is not a number in [1, 65535]`,
		"host:-1":             `port "-1" is not a number in [1, 65535]`,
		"a:b:c":               "want host:port or host, with an IPv6 address in brackets when a port follows",
		"2001:db8::1:7946:xx": "want host:port or host, with an IPv6 address in brackets when a port follows",
		"name/10.0.0.1:7946":  "host name has a character other than A-Z a-z 0-9 . _ -",
		"http://host:80":      "want host:port or host, with an IPv6 address in brackets when a port follows",
		"a b":                 "host name has a character other than A-Z a-z 0-9 . _ -",
		"bücher.example":      "host name has a character other than A-Z a-z 0-9 . _ -",
		"a..b":                "host name has a part that is not 1 to 63 bytes long",
		"10.0.0.300":          "is neither an IP address nor a host name, which cannot end in a number",
		"10.0.0:1":            "is neither an IP address nor a host name, which cannot end in a number",
		"0.0.0.0:7946":        "0.0.0.0 means any address, not one that others can reach",
		"::":                  ":: means any address, not one that others can reach",
		"224.0.0.1:7946":      "224.0.0.1 is a group of hosts, not one",
		"[fe80::1%eth0]:7946": "an IPv6 zone has a meaning on one host only, give an address without",
	} {
		_, err := parseSeed(bad)
		require.EqualError(t, err, fmt.Sprintf("membership: seed %q: %s", bad, why))
	}
	_, err := parseSeed(strings.Repeat("x.", 127) + "x")
	require.ErrorContains(t, err, "host name has 255 bytes, the limit is 253")
	_, err = parseSeed(strings.Repeat("x", 64))
	require.ErrorContains(t, err, "1 to 63 bytes")
	_, err = parseSeed(strings.Repeat("x", 1<<20))
	require.Less(t, len(err.Error()), 500)
}

func FuzzParseSeed(f *testing.F) {
	for _, s := range []string{"a:1", "[::1]:1", "::1", "10.0.0.1:7946", "[fe80::1%x]:1", "a:b:c", "[a]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseSeed(s)
		if err != nil {
			require.Zero(t, got)
			return
		}
		require.NotEmpty(t, got.Host)
		if got.IP.IsValid() {
			require.NoError(t, hostport.CheckReachable(got.IP))
			require.Empty(t, got.IP.Zone())
		}
	})
}

func addrPorts(all ...string) (out []netip.AddrPort) {
	for _, a := range all {
		out = append(out, netip.MustParseAddrPort(a))
	}
	return out
}

func TestResolveSeeds(t *testing.T) {
	r := &names{hosts: map[string][]netip.Addr{
		"one":  addrs("10.0.0.1"),
		"many": addrs("10.0.0.2", "::ffff:10.0.0.1", "2001:db8::1", "0.0.0.0", "fe80::1%eth0"),
		"none": addrs("0.0.0.0", "ff02::1"),
	}}
	got, err := resolveSeeds(t.Context(), r, 7946, []string{"one", "many:7946", "one", "10.0.0.9:1", "[::ffff:10.0.0.9]:1"})
	require.NoError(t, err)
	require.Equal(t, addrPorts("10.0.0.1:7946", "10.0.0.2:7946", "[2001:db8::1]:7946", "10.0.0.9:1"), got)
	require.ElementsMatch(t, []string{"ip one", "ip many"}, r.asked)

	r.hosts["one"] = addrs("10.0.0.5")
	got, err = resolveSeeds(t.Context(), r, 7946, []string{"one"})
	require.NoError(t, err)
	require.Equal(t, addrPorts("10.0.0.5:7946"), got, "names are looked up anew")

	got, err = resolveSeeds(t.Context(), r, 7946, []string{"gone", "one", "bad:0", "none", "10.0.0.1"})
	require.Equal(t, addrPorts("10.0.0.5:7946", "10.0.0.1:7946"), got)
	require.ErrorIs(t, err, errNoSuchName)
	require.EqualError(t, err, strings.Join([]string{
		`membership: looking up seed "gone": no such name`,
		`membership: seed "bad:0": port "0" is not a number in [1, 65535]`,
		`membership: looking up seed "none": no usable address among 2`,
	}, "\n"))

	got, err = resolveSeeds(t.Context(), nil, 7946, nil)
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestResolveSeedsIsBounded(t *testing.T) {
	r := &names{hosts: map[string][]netip.Addr{}}
	for i := range 4 * maxSeeds {
		r.hosts["all"] = append(r.hosts["all"], netip.AddrFrom4([4]byte{10, 0, byte(i / 256), byte(i)}))
	}
	seen := make(map[netip.AddrPort]bool)
	for len(seen) < 4*maxSeeds { // each call returns others
		got, err := resolveSeeds(t.Context(), r, 1, []string{"all"})
		require.NoError(t, err)
		require.Len(t, got, maxSeeds)
		for _, addr := range got {
			seen[addr] = true
		}
	}

	var many []string
	for i := range 1001 {
		many = append(many, fmt.Sprintf("10.0.0.1:%d", i+1))
	}
	got, err := resolveSeeds(t.Context(), r, 1, many)
	require.NoError(t, err)
	require.Len(t, got, maxSeeds)
}

func TestResolveSeedsEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &names{delay: time.Hour, hosts: map[string][]netip.Addr{}}
		entries := []string{"10.0.0.1"}
		for i := range 100 {
			entries = append(entries, fmt.Sprintf("host-%d", i))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		got, err := resolveSeeds(ctx, r, 7946, append(entries, "10.0.0.2"))
		require.Equal(t, addrPorts("10.0.0.1:7946", "10.0.0.2:7946"), got)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(began))
		require.Equal(t, parallelLookups, r.most)
	})
}
