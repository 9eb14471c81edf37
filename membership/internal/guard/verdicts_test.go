package guard

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerdictsAreRemovedFromPackets(t *testing.T) {
	own, other := said(deadMessage, "a", "self", 7), said(deadMessage, "b", "x", 7)
	leave, suspect := said(deadMessage, "self", "self", 9), said(suspectMessage, "a", "self", 7)
	crc := func(b []byte) []byte { return append([]byte{crcMessage, 1, 2, 3, 4}, b...) }
	for _, keys := range []func() [][]byte{nil, func() [][]byte { return [][]byte{make([]byte, 32)} }} {
		g := &Guard{opts: Options{Label: "orders", Self: "self", Keys: keys}}
		packet := func(b []byte) []byte {
			sealed, err := g.Seal(b, []byte("orders"))
			require.NoError(t, err)
			return append(labelHead("orders"), sealed...)
		}
		for i, c := range []struct{ sent, kept []byte }{
			{own, nil},
			{crc(own), nil},
			{other, other},
			{leave, leave},
			{suspect, suspect},
			{pingBytes, pingBytes},
			{putCompound([][]byte{own, own}), nil},
			{crc(putCompound([][]byte{pingBytes, own, other})), putCompound([][]byte{pingBytes, other})},
			{putCompound([][]byte{pingBytes, putCompound([][]byte{own, leave})}), putCompound([][]byte{pingBytes, putCompound([][]byte{leave})})},
			{crc(putCompound([][]byte{pingBytes, other})), crc(putCompound([][]byte{pingBytes, other}))},
			{[]byte{compoundMessage, 9}, []byte{compoundMessage, 9}},
			{[]byte{deadMessage}, []byte{deadMessage}},
		} {
			t.Run(fmt.Sprintf("%d, encrypted %t", i, keys != nil), func(t *testing.T) {
				got := g.withoutVerdicts(packet(c.sent))
				if c.kept == nil {
					require.Nil(t, got)
					return
				}
				head, ours := g.labelled(got)
				require.True(t, ours)
				plain := got[head:]
				if keys != nil {
					var ok bool
					plain, ok = g.decrypt(plain, []byte("orders"))
					require.True(t, ok)
				}
				require.Equal(t, c.kept, plain)
			})
		}
		foreign := append(labelHead("others"), own...)
		require.True(t, bytes.Equal(foreign, g.withoutVerdicts(foreign)))
	}
}
