package guard

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var tetherBytes = append(labelHead("orders"), tetherMark)

func knownTo(allowed string) func(netip.Addr) bool {
	return func(a netip.Addr) bool { return a == netip.MustParseAddr(allowed) }
}

// A tether of a known member counts to the budget until it is admitted, and ends when its owner
// returns.
func TestGuardPassesTethersOn(t *testing.T) {
	var got []byte
	o := Options{Label: "orders", Known: knownTo("10.0.0.1"), Tether: func(c *Tether, admit func()) {
		got = make([]byte, 3)
		_, _ = io.ReadFull(c, got)
		admit()
		_, _ = c.Write([]byte("beat"))
	}}
	inBubble(t, o, func(t *testing.T, g *Guard, p *pipeTransport) {
		conn := p.connect("10.0.0.1:1")
		_, err := conn.Write(append(append([]byte{}, tetherBytes...), 'a'))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 1, liveStreams(g))
		_, err = conn.Write([]byte("bc"))
		require.NoError(t, err)
		synctest.Wait()
		require.Zero(t, liveStreams(g), "admitted")
		require.Equal(t, "abc", string(got))
		all, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "beat", string(all))
		require.Zero(t, g.Counts())
	})
}

func TestGuardRefusesTethersOfStrangers(t *testing.T) {
	for name, o := range map[string]Options{
		"switched off": {Label: "orders", Known: knownTo("10.0.0.9")},
		"stranger":     {Label: "orders", Known: knownTo("10.0.0.1"), Tether: func(*Tether, func()) { panic("called") }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, o, func(t *testing.T, g *Guard, p *pipeTransport) {
				conn := p.connect("10.0.0.9:1")
				_, err := conn.Write(tetherBytes)
				require.NoError(t, err)
				requireClosed(t, conn)
				require.Equal(t, uint64(1), g.Counts().BadHead)
			})
		})
	}
}

// Shutdown closes tethers of both directions, and waits for their owner.
func TestGuardShutdownClosesTethers(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	ended := make(chan struct{})
	here, addr := listenGuarded(t, Options{Label: "orders", Known: knownTo("127.0.0.1"), Tether: func(c *Tether, admit func()) {
		admit()
		_, _ = io.Copy(io.Discard, c)
		close(ended)
	}})
	there, _ := listenGuarded(t, Options{Label: "orders"})
	held, err := there.DialTether(memberlist.Address{Addr: addr}, 5*time.Second)
	require.NoError(t, err)
	_, err = held.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, there.Shutdown())
	_, err = held.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	<-ended
	require.NoError(t, here.Shutdown())
	_, err = there.DialTether(memberlist.Address{Addr: addr}, time.Second)
	require.Error(t, err)
	require.NoError(t, goleak.Find(ignore))
}

func TestSeal(t *testing.T) {
	keys := [][]byte{make([]byte, 16), []byte("0123456789abcdef")}
	first := &Guard{opts: Options{Keys: func() [][]byte { return keys[:1] }}}
	both := &Guard{opts: Options{Keys: func() [][]byte { return [][]byte{keys[1], keys[0]} }}}
	sealed, err := first.Seal([]byte("content"), []byte("data"))
	require.NoError(t, err)
	plain, ok := both.Open(sealed, []byte("data"))
	require.True(t, ok)
	require.Equal(t, "content", string(plain))
	for _, bad := range [][]byte{nil, sealed[:minSealed-1], append([]byte{0}, sealed[1:]...), append(sealed[:len(sealed)-1:len(sealed)-1], sealed[len(sealed)-1]^1)} {
		_, ok := both.Open(bad, []byte("data"))
		require.False(t, ok)
	}
	_, ok = both.Open(sealed, []byte("other"))
	require.False(t, ok)
	sealed, err = both.Seal([]byte("content"), nil)
	require.NoError(t, err)
	_, ok = first.Open(sealed, nil)
	require.False(t, ok, "the key is not installed")
}

// The guards of other members let the packet pass, also with the longest names.
func TestDeadPacket(t *testing.T) {
	for _, size := range []int{1, 31, 32, 145, 255} {
		name := string(make([]byte, size))
		sender := &Guard{opts: Options{Label: "orders"}}
		packet, err := sender.DeadPacket(name, "from", 65536)
		require.NoError(t, err)
		inBubble(t, Options{Label: "orders"}, func(t *testing.T, g *Guard, _ *pipeTransport) {
			p := &memberlist.Packet{Buf: packet, From: &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1)}}
			require.True(t, g.checkPacket(p))
			require.Equal(t, packet, p.Buf)
			go g.Inject(packet)
			require.Equal(t, packet, (<-g.PacketCh()).Buf)
		})
	}
}
