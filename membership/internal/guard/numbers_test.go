package guard

import (
	"net"
	"testing"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNumbersAreAPermutation(t *testing.T) {
	n, other := newNumbers(), newNumbers()
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Uint32().Draw(t, "number")
		require.Equal(t, number, n.show(n.hide(number)))
		require.Equal(t, number, n.hide(n.show(number)))
	})
	equal := 0
	for i := range uint32(1000) {
		if n.hide(i) == other.hide(i) || n.hide(i) == i {
			equal++
		}
	}
	require.Less(t, equal, 3, "numbers can be guessed")
}

// An answer counts for the probe that it answers. Guessed numbers, and the answers to earlier probes, count for
// none that waits.
func TestAnswersAreForProbesThatWereSent(t *testing.T) {
	for name, keys := range map[string]func() [][]byte{"in clear": nil, "with keys": func() [][]byte { return [][]byte{make([]byte, 32)} }} {
		t.Run(name, func(t *testing.T) {
			inner := &sentTransport{pipeTransport: newPipeTransport()}
			g := New(inner, Options{Label: "orders", Keys: keys})
			seal := func(plain []byte) []byte {
				sealed, err := g.Seal(plain, []byte("orders"))
				require.NoError(t, err)
				return append(labelHead("orders"), sealed...)
			}
			open := func(b []byte) []byte {
				head, ours := g.labelled(b)
				require.True(t, ours)
				plain, ok := g.Open(b[head:], []byte("orders"))
				require.True(t, ok)
				return plain
			}
			number := func(b []byte) (n uint32) {
				_, ok := renumbered(b, func(found uint32) uint32 { n = found; return found })
				require.True(t, ok)
				return n
			}
			const to = "10.0.0.1:7946"
			ask := func(kind byte, as uint64) uint32 {
				inner.sent = nil
				probe := textPair(pair([]byte{kind, 0x82}, "SeqNo", as), "Target", "\x0a\x00\x00\x02")
				sent := putCompound([][]byte{probe, aliveBytes(aliveMessage, 1)})
				_, err := g.WriteToAddress(seal(sent), memberlist.Address{Addr: to})
				require.NoError(t, err)
				all, err := parts(open([]byte(inner.sent[0][len(to)+1:]))[1:])
				require.NoError(t, err)
				require.Equal(t, aliveBytes(aliveMessage, 1), all[1])
				return number(all[0])
			}
			answer := func(kind byte, hidden uint32) uint32 {
				p := &memberlist.Packet{Buf: seal(putCompound([][]byte{pair([]byte{kind, 0x81}, "SeqNo", uint64(hidden)), pair([]byte{kind, 0x81}, "SeqNo", 1)})), From: &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1)}}
				require.True(t, g.checkPacket(p))
				all, err := parts(open(p.Buf)[1:])
				require.NoError(t, err)
				return number(all[0])
			}
			for _, kind := range []byte{pingMessage, indirectPingMessage} {
				first, second := ask(kind, 7), ask(kind, 8)
				require.NotEqual(t, first, second)
				for _, kind := range []byte{ackMessage, nackMessage} {
					require.EqualValues(t, 7, answer(kind, first))
					require.EqualValues(t, 8, answer(kind, second))
				}
			}
			// The probes of others, and the answers to them, have the numbers of others.
			inner.sent = nil
			own := seal(pair([]byte{ackMessage, 0x81}, "SeqNo", 9))
			_, err := g.WriteToAddress(own, memberlist.Address{Addr: to})
			require.NoError(t, err)
			require.Equal(t, to+" "+string(own), inner.sent[0])
			asks := seal(pair([]byte{pingMessage, 0x81}, "SeqNo", 9))
			p := &memberlist.Packet{Buf: asks, From: &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1)}}
			require.True(t, g.checkPacket(p))
			require.EqualValues(t, 9, number(open(p.Buf)))
			require.EqualError(t, g.Shutdown(), "inner shutdown was called")
		})
	}
}
