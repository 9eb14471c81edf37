package membership

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGossipName(t *testing.T) {
	require.Equal(t, "orders-1~00000000000000ff", gossipName("orders-1", 255))

	long := strings.Repeat("x", maxNameLength)
	for _, id := range []string{"a", "orders-1", "eu/1:2@host_3.example", long} {
		for _, nonce := range []uint64{0, 1, 0xdeadbeef, 1<<64 - 1} {
			gotID, gotNonce, err := splitName(gossipName(id, nonce))
			require.NoError(t, err)
			require.Equal(t, id, gotID)
			require.Equal(t, nonce, gotNonce)
		}
	}
}

func TestSplitNameIsStrict(t *testing.T) {
	const tail = "~0123456789abcdef"
	for _, name := range []string{
		"",
		"~",
		tail,                  // no NodeID
		"a",                   // no nonce
		"a~0123456789abcde",   // 15 digits
		"a~0123456789abcdef0", // 17
		"a~0123456789ABCDEF",  // upper case
		"a~0123456789abcdeg",  // no digit
		"a 0123456789abcdef",  // another mark
		"a b" + tail,          // not allowed in a NodeID
		"a~b" + tail,          // nor that
		"a\n" + tail,          // nor that
		"é" + tail,            // nor that
		strings.Repeat("x", maxNameLength+1) + tail,
	} {
		_, _, err := splitName(name)
		require.Error(t, err, "%q", name)
	}
	_, _, err := splitName("a b" + tail)
	require.EqualError(t, err, `membership: gossip name "a b~0123456789abcdef" is not a NodeID, '~' and 16 hexadecimal digits`)
	_, _, err = splitName(strings.Repeat("\n", 1<<20))
	require.Less(t, len(err.Error()), 300, "a hostile name must not fill the log")
}

func TestValidIdentifier(t *testing.T) {
	for _, id := range []string{"a", "A", "0", "eu/1:2@host_3.example-4", strings.Repeat("x", 128)} {
		require.True(t, validIdentifier(id), "%q", id)
	}
	for _, id := range []string{"", "a b", "a~b", "a\xff", "é", "a\n", strings.Repeat("x", 129)} {
		require.False(t, validIdentifier(id), "%q", id)
	}
}

func FuzzSplitName(f *testing.F) {
	f.Add("orders-1~00000000000000ff")
	f.Add("a~b~00000000000000ff")
	f.Add("~0000000000000000")
	f.Add("a~00000000000000FF")
	f.Fuzz(func(t *testing.T, name string) {
		id, nonce, err := splitName(name)
		if err != nil {
			return
		}
		require.True(t, validIdentifier(id))
		require.Equal(t, name, gossipName(id, nonce))
	})
}
