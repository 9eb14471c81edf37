package guard

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// sentTransport keeps the packets that were sent.
type sentTransport struct {
	*pipeTransport
	sent []string
}

func (s *sentTransport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	s.sent = append(s.sent, a.Addr+" "+string(b))
	return time.Now(), nil
}

// News that memberlist adds to a probe or to its answer goes to a member, when the packet is for an address of no
// member.
func TestNewsGoesToMembers(t *testing.T) {
	answer, one, two := []byte{ackMessage, 0x80}, aliveBytes(aliveMessage, 1), aliveBytes(deadMessage, 2)
	both := putCompound([][]byte{one, two})
	crc := func(b []byte) []byte { return append([]byte{crcMessage, 1, 2, 3, 4}, b...) }
	member := netip.MustParseAddr("10.0.0.1")
	for _, keys := range []func() [][]byte{nil, func() [][]byte { return [][]byte{make([]byte, 32)} }} {
		for _, test := range []struct {
			to   string
			sent []byte
			want []string
		}{
			{"10.9.9.9:1", putCompound([][]byte{answer, one, two}), []string{"10.0.0.1:7946 " + string(putCompound([][]byte{one, two})), "10.9.9.9:1 " + string(answer)}},
			{"10.9.9.9:1", crc(putCompound([][]byte{pingBytes, one})), []string{"10.0.0.1:7946 " + string(putCompound([][]byte{one})), "10.9.9.9:1 " + string(pingBytes)}},
			{"10.0.0.1:7946", putCompound([][]byte{answer, one}), []string{"10.0.0.1:7946 " + string(putCompound([][]byte{answer, one}))}},
			{"10.9.9.9:1", answer, []string{"10.9.9.9:1 " + string(answer)}},
			{"10.9.9.9:1", both, []string{"10.9.9.9:1 " + string(both)}},
		} {
			t.Run(fmt.Sprintf("encrypted %t", keys != nil), func(t *testing.T) {
				inner := &sentTransport{pipeTransport: newPipeTransport()}
				g := &Guard{transport: inner, opts: Options{
					Label: "orders", Keys: keys, Known: func(a netip.Addr) bool { return a == member },
					Peer: func() (memberlist.Address, bool) { return memberlist.Address{Addr: "10.0.0.1:7946"}, true },
				}}
				sealed, err := g.Seal(test.sent, []byte("orders"))
				require.NoError(t, err)
				_, err = g.WriteToAddress(append(labelHead("orders"), sealed...), memberlist.Address{Addr: test.to})
				require.NoError(t, err)
				require.Len(t, inner.sent, len(test.want))
				for i, want := range test.want {
					at := len(want[:len(test.to)]) + 1
					if i < len(test.want)-1 {
						at = len("10.0.0.1:7946 ")
					}
					got := []byte(inner.sent[i])
					head, ours := g.labelled(got[at:])
					require.True(t, ours)
					plain, ok := g.Open(got[at+head:], []byte("orders"))
					require.True(t, ok)
					require.Equal(t, want, string(got[:at])+string(plain))
				}
			})
		}
	}
}

// A recorded packet of a member, sent again by a stranger, makes the receiver probe, or answer the member, at a low
// rate. The rest of the packet counts.
func TestRecordedProbes(t *testing.T) {
	keys := func() [][]byte { return [][]byte{make([]byte, 32)} }
	member := netip.MustParseAddr("10.0.0.1")
	g := New(newPipeTransport(), Options{Label: "orders", Keys: keys, Heard: func(string, bool, uint64) {}, Known: func(a netip.Addr) bool { return a == member }})
	news := aliveBytes(aliveMessage, 1)
	asks := textPair([]byte{pingMessage, 0x81}, "SourceAddr", "\x0a\x00\x00\x01")
	sealed, err := g.Seal(putCompound([][]byte{asks, news}), []byte("orders"))
	require.NoError(t, err)
	from := func(ip net.IP) (probed int) {
		for range 10 * strayRate {
			p := &memberlist.Packet{Buf: append(labelHead("orders"), sealed...), From: &net.UDPAddr{IP: ip}}
			require.True(t, g.checkPacket(p))
			head, _ := g.labelled(p.Buf)
			plain, ok := g.decrypt(p.Buf[head:], []byte("orders"))
			require.True(t, ok)
			if plain[0] == compoundMessage && plain[1] == 2 {
				probed++
			}
		}
		return probed
	}
	require.Less(t, from(net.IPv4(10, 9, 9, 9)), 10*strayRate)
	require.Equal(t, 10*strayRate, from(net.IPv4(10, 0, 0, 1)))
	require.EqualError(t, g.Shutdown(), "inner shutdown was called")
}
