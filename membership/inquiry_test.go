package membership

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTwoThirdsConfirmADeath(t *testing.T) {
	for _, c := range []struct{ asked, least int }{{1, 1}, {2, 2}, {3, 2}, {4, 3}, {15, 10}, {16, 11}} {
		require.True(t, confirms(c.least, c.asked), c)
		require.False(t, confirms(c.least-1, c.asked), c)
	}
	require.False(t, confirms(0, 0))
}
