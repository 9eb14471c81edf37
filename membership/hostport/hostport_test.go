package hostport_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/hostport"
)

func TestSplit(t *testing.T) {
	host, port, err := hostport.Split("[::1]:7946")
	require.NoError(t, err)
	require.Equal(t, "::1", host)
	require.Equal(t, uint16(7946), port)
	host, port, err = hostport.Split(":0")
	require.NoError(t, err)
	require.Empty(t, host)
	require.Zero(t, port)
	for _, bad := range []string{"", "host", "::1", "host:", "host:65536", "host:-1", "host:http"} {
		_, _, err := hostport.Split(bad)
		require.Error(t, err, bad)
	}
}

// Package membership tests which addresses are refused, and why.
func TestParse(t *testing.T) {
	for text, want := range map[string]hostport.Address{
		"orders-0:7946":     {Host: "orders-0", Port: 7946},
		"orders-0":          {Host: "orders-0"},
		"::ffff:10.0.0.1":   {Host: "::ffff:10.0.0.1", IP: netip.MustParseAddr("10.0.0.1")},
		"[2001:db8::1]":     {Host: "2001:db8::1", IP: netip.MustParseAddr("2001:db8::1")},
		"[2001:db8::1]:514": {Host: "2001:db8::1", IP: netip.MustParseAddr("2001:db8::1"), Port: 514},
	} {
		got, err := hostport.Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, bad := range []string{"", ":7946", "host:0", "0.0.0.0:1", "224.0.0.1", "fe80::1%eth0", "a..b"} {
		got, err := hostport.Parse(bad)
		require.Error(t, err, bad)
		require.Zero(t, got)
	}
}
