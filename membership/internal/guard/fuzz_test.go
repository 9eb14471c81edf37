package guard

import (
	"bytes"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// readWhole reads a stream from b as the guard does, and returns the bytes for memberlist and the
// charge.
func readWhole(t *testing.T, g *Guard, b []byte) (whole []byte, charged int, err error) {
	budget := newBudget(g.opts, 1<<30)
	c := &charge{budget: &budget, close: func() {}}
	admitted, _ := budget.admit(c)
	require.True(t, admitted)
	r := &reader{}
	r.more = collect(r, bytes.NewReader(b), c, func(int) {})
	whole, err = g.whole(r, c, g.opts.Label)
	return whole, c.bytes, err
}

// FuzzStream feeds the whole path of a stream in clear. What memberlist gets was sent, and the
// charge is bounded by the bytes.
func FuzzStream(f *testing.F) {
	f.Add(userBytes(10))
	f.Add(userHead(20 << 20))
	f.Add(append(append(exchangeHead(2, 3), append(stateBytes("n1", 7), stateBytes("n2", 8)...)...), 1, 2, 3))
	f.Add(exchangeHead(1<<20, 20<<20))
	f.Add([]byte{compressMessage, 0x80})
	f.Add([]byte{encryptMessage, 0, 0, 0, 30, 1})
	g := &Guard{opts: Options{Label: "orders", MaxStreams: 1, MaxPerSource: 1, MaxMessage: maxSealed, MaxState: maxSealed}}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, charged, err := readWhole(t, g, b)
		require.LessOrEqual(t, charged, 2*firstBuffer+40*len(b))
		if err == nil {
			require.True(t, bytes.HasPrefix(b, whole))
			require.NotEmpty(t, whole)
		}
	})
}

// FuzzSealedStream feeds the path of a stream to a member with keys, from a sender without one.
// memberlist gets a message in clear, which it refuses by its first byte, or a short one.
func FuzzSealedStream(f *testing.F) {
	f.Add([]byte{encryptMessage, 0, 0, 0, 30, 1, 2, 3})
	f.Add(append([]byte{encryptMessage, 0, 0, 0, 29, 1}, make([]byte, 28)...))
	f.Add(append([]byte{encryptMessage, 0, 0, 0, 29, 0}, make([]byte, 28)...))
	f.Add(userBytes(10))
	g := &Guard{opts: Options{
		Label: "orders", MaxStreams: 1, MaxPerSource: 1, MaxMessage: maxSealed, MaxState: maxSealed,
		Keys: func() [][]byte { return [][]byte{[]byte("0123456789abcdef"), []byte("fedcba9876543210")} },
	}}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, charged, err := readWhole(t, g, b)
		require.LessOrEqual(t, charged, 2*firstBuffer+40*len(b))
		if err == nil && whole[0] == encryptMessage {
			require.Len(t, whole, sealedHead+minSealed)
			require.Equal(t, make([]byte, minSealed-1), whole[sealedHead+1:])
		}
	})
}

// FuzzPacket feeds the whole path of packets in clear. What memberlist gets is not longer than what
// was sent, or than the bound of a packet that was decompressed, and passes a second time.
func FuzzPacket(f *testing.F) {
	label := labelHead("orders")
	good, bad := aliveBytes(aliveMessage, 9), aliveBytes(deadMessage, 1<<32-1)
	f.Add(append(bytes.Clone(label), good...), false)
	f.Add(append(bytes.Clone(label), putCompound([][]byte{good, bad, pingBytes})...), true)
	f.Add(append(bytes.Clone(label), pair([]byte{ackMessage, 0x81}, "SeqNo", 7)...), true)
	f.Add(append(bytes.Clone(label), compressMessage, 0x80), true)
	f.Add(append(bytes.Clone(label), crcMessage, 0, 0, 0, 0, pingMessage), true)
	f.Fuzz(func(t *testing.T, b []byte, compression bool) {
		g := &Guard{opts: Options{Label: "orders", Compression: compression}, relays: Bucket{Rate: 1, Burst: 1 << 20}, strays: Bucket{Rate: 1, Burst: 1 << 20}, numbers: newNumbers()}
		kept, _ := g.clearPacket(b, &net.UDPAddr{})
		require.LessOrEqual(t, len(kept), max(len(b), len(label)+maxInflated)*3/2, "numbers of answers grow to 4 bytes")
		if len(kept) == 0 {
			return
		}
		again, err := g.clearPacket(kept, nil)
		require.NoError(t, err)
		require.Len(t, again, len(kept), "only numbers differ")
	})
}
