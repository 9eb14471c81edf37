package guard

import (
	"fmt"
	"net"
	"testing"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// said is a message of a kind about a member.
func said(kind byte, node, from string, incarnation uint64) []byte {
	return textPair(textPair(pair([]byte{kind, 0x83}, "Incarnation", incarnation), "Node", node), "From", from)
}

func TestPacketsTellOfSuspicions(t *testing.T) {
	suspect, alive := said(suspectMessage, "a", "x", 7), aliveBytes(aliveMessage, 8)
	packets := [][]byte{
		suspect,
		alive,
		putCompound([][]byte{suspect, pingBytes, putCompound([][]byte{alive})}),
		said(deadMessage, "a", "x", 9),
		said(deadMessage, "b", "b", 9),
		said(deadMessage, "self", "x", 9),
		pingBytes,
		{suspectMessage, 0x80},
		{suspectMessage},
	}
	want := []string{"a true 7", "n1~0000000000000001 false 8", "a true 7", "n1~0000000000000001 false 8", "self true 9"}
	for _, sealed := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted %t", sealed), func(t *testing.T) {
			var heard, left []string
			g := &Guard{opts: Options{
				Label: "orders", Self: "self",
				Heard: func(name string, suspected bool, incarnation uint64) {
					heard = append(heard, fmt.Sprint(name, " ", suspected, " ", incarnation))
				},
				Left: func(name string) { left = append(left, name) },
			}}
			for _, b := range packets {
				if sealed {
					g.packetNews(b, maxNested)
				} else {
					g.checkPacket(&memberlist.Packet{Buf: append(labelHead("orders"), b...), From: &net.UDPAddr{}})
				}
			}
			require.Equal(t, want, heard)
			if sealed {
				require.Equal(t, []string{"b"}, left)
			} else {
				require.Empty(t, left, "in clear any process can say that")
			}
		})
	}
}
