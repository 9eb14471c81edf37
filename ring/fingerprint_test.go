package ring_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// Members of different releases and architectures compare these numbers, so the numbers
// must never change for the same ring.
func TestGoldenFingerprints(t *testing.T) {
	one := build(t, 1, 1, scatter(1), ring.Node{ID: "a"})
	many := build(t, 271, 3, scatter(2), zoned(20, "a", "b", "c")...)
	pair, err := many.Toward(build(t, 271, 3, scatter(2), zoned(21, "a", "b", "c")...))
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		ring        *ring.Ring
		fingerprint string
		token       string
	}{
		"one node": {one, "c28bcfc7fd6e7a94", "56b2e08b247f650b"},
		"many":     {many, "da24b1d77fd7137f", "620ffaf8a28357af"},
		"pair":     {pair, "c13d4e4af650cac0", "2e96dc54e18110d1"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.fingerprint, tc.ring.Fingerprint().String())
			assert.Equal(t, tc.token, tc.ring.Lookup("user:42").Token().String())
		})
	}
}

// Each value that may differ between two members changes the fingerprint.
func TestFingerprintCoversEverything(t *testing.T) {
	s := scatter(1)
	rename := strategy{named("other"), s.Assign}
	nodes := func(change func(*ring.Node)) []ring.Node {
		list := zoned(4, "a", "b")
		change(&list[2])
		return list
	}
	same := nodes(func(*ring.Node) {})
	rings := map[string]*ring.Ring{
		"base":       build(t, 16, 3, s, same...),
		"partitions": build(t, 17, 3, s, same...),
		"replicas":   build(t, 16, 2, s, same...),
		"factor":     build(t, 16, 5, s, same...),
		"wish":       build(t, 16, 6, s, same...), // more than the number of nodes: no other owners, but another configuration
		"strategy":   build(t, 16, 3, rename, same...),
		"table":      build(t, 16, 3, strategy{s.Name, scatter(9).Assign}, same...),
		"id":         build(t, 16, 3, s, nodes(func(n *ring.Node) { n.ID = "n02x" })...),
		"zone":       build(t, 16, 3, s, nodes(func(n *ring.Node) { n.Zone = "b" })...),
		"region":     build(t, 16, 3, s, nodes(func(n *ring.Node) { n.Region, n.Zone = "eua", "" })...),
		"weight":     build(t, 16, 3, s, nodes(func(n *ring.Node) { n.Weight = 2 })...),
		"fewer":      build(t, 16, 3, s, same[:3]...),
		"none":       build(t, 16, 3, s),
	}
	seen := make(map[ring.Fingerprint]string)
	for name, r := range rings {
		require.Empty(t, seen[r.Fingerprint()], name)
		seen[r.Fingerprint()] = name
	}
	require.Equal(t, rings["base"].Fingerprint(), build(t, 16, 3, s, nodes(func(n *ring.Node) { n.Weight = 1 })...).Fingerprint(), "weight 0 means 1")
}

func TestHexText(t *testing.T) {
	type both struct {
		F ring.Fingerprint
		T ring.Token
	}
	text, err := json.Marshal(both{0x1a, 1 << 63})
	require.NoError(t, err)
	require.JSONEq(t, `{"F":"000000000000001a","T":"8000000000000000"}`, string(text))
	var back both
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, both{0x1a, 1 << 63}, back)

	for _, bad := range []string{"", "1a", "00000000000000001", "000000000000000g", "+00000000000001a", "0x0000000000001a", "0000_0000_0000_1", " 00000000000001a"} {
		require.EqualError(t, back.F.UnmarshalText([]byte(bad)), `ring: "`+bad+`": want sixteen hexadecimal digits`)
		require.Error(t, back.T.UnmarshalText([]byte(bad)))
	}
	require.Equal(t, both{0x1a, 1 << 63}, back, "an error changes nothing")
}

func FuzzHexText(f *testing.F) {
	f.Add(uint64(0), []byte("000000000000001a"))
	f.Add(^uint64(0), []byte("FFFFFFFFFFFFFFFF"))
	f.Fuzz(func(t *testing.T, v uint64, text []byte) {
		written, err := ring.Token(v).MarshalText()
		require.NoError(t, err)
		var token ring.Token
		require.NoError(t, token.UnmarshalText(written))
		require.Equal(t, ring.Token(v), token)

		var fingerprint ring.Fingerprint
		if fingerprint.UnmarshalText(text) == nil {
			require.Len(t, text, 16)
			require.NoError(t, token.UnmarshalText([]byte(fingerprint.String())))
			require.Equal(t, uint64(fingerprint), uint64(token))
		} else {
			require.Zero(t, fingerprint)
		}
	})
}
