package membership

import (
	"bytes"
	"compress/lzw"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The streams in this file are sent by a process that is no member and has no key.

// strangerBudget is the memory that a stranger may cost a member. The budget of the guard is 8 MiB,
// and 16 MiB for the address of a member, which strangers on this host have too.
const strangerBudget = 48 << 20

// dialFrom opens a stream from an address of this host.
func dialFrom(t testing.TB, from, to string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(t.Context(), "tcp", to)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// labelled prefixes a message with the name of the cluster "orders".
func labelled(message []byte) []byte { return append([]byte("\xf4\x06orders"), message...) }

// number32 is a field of a map in msgpack.
func number32(name string, n uint32) []byte {
	b := append([]byte{0xa0 | byte(len(name))}, name...)
	return binary.BigEndian.AppendUint32(append(b, 0xce), n)
}

// held returns the bytes of live objects.
func held() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// allocated returns the bytes that were ever allocated.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// send sends a message of a stranger, and waits until the member has closed the stream.
func send(t *testing.T, from, to string, message []byte) {
	t.Helper()
	conn := dialFrom(t, from, to)
	_, err := conn.Write(labelled(message))
	require.NoError(t, err)
	_ = conn.(*net.TCPConn).CloseWrite() // the member may have closed it already
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = io.Copy(io.Discard, conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

var hostileKey = []byte("0123456789abcdef")

// sealedHead is the head of an encrypted message that announces n bytes.
func sealedHead(n uint32) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{10}, n), 1)
}

// Without keys.
func TestStreamsOfAStrangerInClear(t *testing.T) {
	addrs, unharmed := strangers(t)
	for name, head := range map[string][]byte{
		"members":      append(append([]byte{6, 0x82}, number32("Nodes", 1<<20)...), number32("UserStateLen", 20<<20)...),
		"state":        append(append([]byte{6, 0x82}, number32("Nodes", 0)...), number32("UserStateLen", 20<<20)...),
		"user message": append([]byte{8, 0x81}, number32("UserMsgLen", 20<<20)...),
		"error":        append([]byte{13, 0x81}, "\xa5Error\xdb\x7f\xff\xff\xff"...),
	} {
		t.Run("what a head announces costs nothing: "+name, func(t *testing.T) {
			before := allocated()
			for range 8 {
				send(t, "127.0.0.1", addrs[0], head)
			}
			require.Less(t, allocated()-before, uint64(strangerBudget))
		})
	}
	t.Run("compressed messages are bounded", func(t *testing.T) {
		var packed bytes.Buffer
		w := lzw.NewWriter(&packed, lzw.LSB, 8)
		_, err := w.Write(append(append([]byte{8, 0x81}, number32("UserMsgLen", 20<<20)...), make([]byte, 20<<20)...))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		message := append([]byte{9, 0x82}, "\xa4Algo\x00\xa3Buf\xda"...)
		message = append(binary.BigEndian.AppendUint16(message, uint16(packed.Len())), packed.Bytes()...)
		before := allocated()
		for _, from := range []string{"127.0.0.1", "127.0.0.9"} {
			send(t, from, addrs[0], message)
		}
		require.Less(t, allocated()-before, uint64(strangerBudget))
	})
	t.Run("stalled streams do not keep a member out", func(t *testing.T) {
		requireJoinDuringStalls(t, addrs, append([]byte{8, 0x81}, number32("UserMsgLen", 60<<10)...))
	})
	unharmed()
}

// With keys, and a stranger without one.
func TestStreamsOfAStrangerWithoutAKey(t *testing.T) {
	addrs, unharmed := strangers(t, hostileKey)
	t.Run("bytes that no key decrypts stay in the budget", func(t *testing.T) {
		message := append(labelled(sealedHead(20<<20)), make([]byte, 12<<20)...)
		before := held()
		var senders sync.WaitGroup
		for i := range 24 {
			conn := dialFrom(t, []string{"127.0.0.1", "127.0.0.7", "127.0.0.8"}[i%3], addrs[0])
			senders.Go(func() {
				_, _ = conn.Write(message) // until it is closed
			})
		}
		senders.Wait()
		require.Less(t, int64(held())-int64(before), int64(strangerBudget))
	})
	t.Run("stalled streams do not keep a member out", func(t *testing.T) {
		requireJoinDuringStalls(t, addrs, sealedHead(20<<20), hostileKey)
	})
	unharmed()
}

// requireJoinDuringStalls requires that a member can join while streams of 4 addresses to each
// member, 64 of each address, send the head of a message and then nothing. A stream that was closed
// is opened again.
func requireJoinDuringStalls(t *testing.T, addrs []string, head []byte, keys ...[]byte) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var attackers, opened sync.WaitGroup
	for i := range 4 * 64 * len(addrs) {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, []byte{1, 7, 8, 9}[i%4])}}
		to := addrs[i/4%len(addrs)]
		opened.Add(1)
		first := sync.OnceFunc(opened.Done)
		attackers.Go(func() {
			defer first()
			for ctx.Err() == nil {
				conn, err := dialer.DialContext(ctx, "tcp", to)
				if err != nil {
					continue
				}
				_, _ = conn.Write(labelled(head))
				first()
				closed := context.AfterFunc(ctx, func() { _ = conn.Close() })
				_, _ = conn.Read(make([]byte, 1)) // until one side closes it
				closed()
				_ = conn.Close()
			}
		})
	}
	opened.Wait()
	requireJoin(t, addrs, keys...)
	stop()
	attackers.Wait()
}
