package grpcroute

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheNameThatTLSChecks is the host without the zone, which no certificate names.
func TestTheNameThatTLSChecks(t *testing.T) {
	for addr, want := range map[string]string{"10.0.0.1:80": "10.0.0.1", "[fe80::1%eth0]:80": "fe80::1", "orders-1:80": "orders-1", "[::1]:80": "::1"} {
		a := address(addr)
		require.Equal(t, want, a.ServerName)
		require.Equal(t, addr, a.Addr)
	}
}
