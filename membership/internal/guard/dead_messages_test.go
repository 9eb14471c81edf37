package guard

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

func TestOwnDeathsAreRemovedFromPackets(t *testing.T) {
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
				got := g.withoutDeaths(packet(c.sent))
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
		require.True(t, bytes.Equal(foreign, g.withoutDeaths(foreign)))
	}
}

// A dead message that this member does not expect becomes a suspicion. Leaves, and dead messages about this member itself,
// pass.
func TestUnexpectedDeathsAreSuspicions(t *testing.T) {
	dead, suspect := said(deadMessage, "a", "x", 7), said(suspectMessage, "a", "x", 7)
	leave, self, expected := said(deadMessage, "b", "b", 7), said(deadMessage, "self", "x", 7), said(deadMessage, "c", "x", 8)
	for _, keys := range []func() [][]byte{nil, func() [][]byte { return [][]byte{make([]byte, 32)} }} {
		t.Run(fmt.Sprintf("encrypted %t", keys != nil), func(t *testing.T) {
			var heard []string
			g := &Guard{opts: Options{
				Label: "orders", Self: "self", Keys: keys,
				Expected: func(name string, incarnation uint64) bool { return name == "c" && incarnation == 8 },
				Heard: func(name string, suspected bool, incarnation uint64) {
					heard = append(heard, fmt.Sprint(name, " ", suspected, " ", incarnation))
				},
			}}
			for _, c := range []struct{ sent, got []byte }{
				{dead, suspect},
				{putCompound([][]byte{leave, dead, self, expected}), putCompound([][]byte{leave, suspect, self, expected})},
				{expected, expected},
			} {
				sealed, err := g.Seal(c.sent, []byte("orders"))
				require.NoError(t, err)
				p := &memberlist.Packet{Buf: append(labelHead("orders"), sealed...), From: &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1)}}
				require.True(t, g.checkPacket(p))
				head, ours := g.labelled(p.Buf)
				require.True(t, ours)
				plain := p.Buf[head:]
				if keys != nil {
					var ok bool
					plain, ok = g.decrypt(plain, []byte("orders"))
					require.True(t, ok)
				}
				require.Equal(t, c.got, plain)
			}
			require.Equal(t, []string{"a true 7", "self true 7", "a true 7"}, heard)
		})
	}
}
