package memnet_test

import (
	"bytes"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

const bufferSize = 32 << 20 // of one direction of a stream

// fill writes as much as fits into a stream without a reader.
func fill(t testing.TB, conn net.Conn) {
	t.Helper()
	chunk := make([]byte, 1<<20)
	for range bufferSize / len(chunk) {
		_, err := conn.Write(chunk)
		require.NoError(t, err)
	}
}

// pair opens a stream between two hosts.
func pair(t *testing.T, options memnet.Options) (*memnet.Network, net.Conn, net.Conn) {
	n := newNetwork(t, options)
	dialled, accepted := connect(t, listen(t, n, hostA), listen(t, n, hostB))
	return n, dialled, accepted
}

func write(t testing.TB, conn net.Conn, text string) {
	t.Helper()
	written, err := conn.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), written)
}

// readNow reads what can be read without waiting.
func readNow(t testing.TB, conn net.Conn) string {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Nanosecond)))
	defer func() { require.NoError(t, conn.SetReadDeadline(time.Time{})) }()
	read, err := io.ReadAll(conn)
	if err != nil {
		requireTimeout(t, err)
	}
	return string(read)
}

func TestStreamIsAProperConn(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	a, b := listen(t, n, hostA), listen(t, n, hostB)
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c1, err = a.DialTimeout(hostB.String(), time.Minute)
		if err != nil {
			return nil, nil, nil, err
		}
		c2 = <-b.StreamCh()
		return c1, c2, func() { _, _ = c1.Close(), c2.Close() }, nil
	})
}

func TestStreamDeliversInOrderAfterTheLatency(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, dialled, accepted := pair(t, memnet.Options{Latency: 50 * time.Millisecond})
		require.Zero(t, elapsed(func() { write(t, dialled, "one,") }))
		time.Sleep(20 * time.Millisecond)
		write(t, dialled, "two,")
		require.NoError(t, n.SetLatency(time.Millisecond, 0))
		write(t, dialled, "three") // must not overtake
		require.NoError(t, dialled.Close())

		start, b := time.Now(), make([]byte, 100)
		count, err := accepted.Read(b)
		require.NoError(t, err)
		require.Equal(t, "one,", string(b[:count]))
		require.Equal(t, 30*time.Millisecond, time.Since(start))
		rest, err := io.ReadAll(accepted)
		require.NoError(t, err)
		require.Equal(t, "two,three", string(rest))
		require.Equal(t, 50*time.Millisecond, time.Since(start))
		require.Equal(t, uint64(13), n.Stats().StreamBytesWritten)
	})
}

func TestStreamWithJitterKeepsItsOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, dialled, accepted := pair(t, memnet.Options{Jitter: time.Second})
		go func() {
			for i := range 256 {
				_, _ = dialled.Write(bytes.Repeat([]byte{byte(i)}, i))
				time.Sleep(time.Millisecond)
			}
			_ = dialled.Close()
		}()
		got, err := io.ReadAll(accepted)
		require.NoError(t, err)
		var want []byte
		for i := range 256 {
			want = append(want, bytes.Repeat([]byte{byte(i)}, i)...)
		}
		require.Equal(t, want, got)
	})
}

func TestStreamEndsAfterBufferedBytes(t *testing.T) {
	n, dialled, accepted := pair(t, memnet.Options{})
	write(t, dialled, "farewell")
	require.NoError(t, dialled.Close())
	require.NoError(t, dialled.Close(), "again")
	require.Equal(t, 1, n.Stats().StreamsOpen)

	b := make([]byte, 4)
	count, err := accepted.Read(b)
	require.NoError(t, err)
	require.Equal(t, "fare", string(b[:count]))
	count, err = accepted.Read(nil)
	require.NoError(t, err)
	require.Zero(t, count)
	rest, err := io.ReadAll(accepted)
	require.NoError(t, err)
	require.Equal(t, "well", string(rest))
	_, err = accepted.Read(b)
	require.ErrorIs(t, err, io.EOF, "and for ever")

	_, err = accepted.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
	_, err = dialled.Read(b)
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = dialled.Write(b)
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, dialled.SetDeadline(time.Time{}), net.ErrClosed)
	require.NoError(t, accepted.Close())
	require.Zero(t, n.Stats().StreamsOpen)
}

func TestWritesToAPeerThatClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, dialled, accepted := pair(t, memnet.Options{Latency: time.Second})
		require.NoError(t, accepted.Close())
		write(t, dialled, "nobody knows yet")
		time.Sleep(time.Second)
		_, err := dialled.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
	})
}

func TestStreamDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, dialled, accepted := pair(t, memnet.Options{})
		b := make([]byte, 1)
		read := func() error { _, err := accepted.Read(b); return err }

		require.NoError(t, accepted.SetDeadline(time.Now().Add(5*time.Second)))
		require.Equal(t, 5*time.Second, elapsed(func() { requireTimeout(t, read()) }))
		write(t, dialled, "x")
		require.Zero(t, elapsed(func() { requireTimeout(t, read()) }), "the deadline wins over data")
		_, err := accepted.Write(b)
		requireTimeout(t, err)
		require.NoError(t, accepted.SetDeadline(time.Time{}))
		require.NoError(t, read())

		// A new deadline, earlier or later, also applies to blocked calls.
		require.NoError(t, accepted.SetReadDeadline(time.Now().Add(time.Second)))
		failed := make(chan error)
		go func() { failed <- read() }()
		synctest.Wait()
		require.NoError(t, accepted.SetReadDeadline(time.Now().Add(time.Hour)))
		require.Equal(t, time.Hour, elapsed(func() { requireTimeout(t, <-failed) }))
		require.NoError(t, accepted.SetReadDeadline(time.Time{}))
		go func() { failed <- read() }()
		synctest.Wait()
		require.Zero(t, elapsed(func() {
			require.NoError(t, accepted.SetReadDeadline(time.Now()))
			requireTimeout(t, <-failed)
		}))
	})
}

func TestCloseReleasesReadersAndWriters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, dialled, accepted := pair(t, memnet.Options{})
		fill(t, dialled)
		failed := make(chan error)
		go func() {
			_, err := dialled.Read(make([]byte, 1))
			failed <- err
		}()
		for range 2 {
			go func() {
				_, err := dialled.Write([]byte("too much"))
				failed <- err
			}()
		}
		synctest.Wait()
		require.Zero(t, elapsed(func() {
			require.NoError(t, dialled.Close())
			for range 3 {
				require.ErrorIs(t, <-failed, net.ErrClosed)
			}
		}))
		left, err := io.Copy(io.Discard, accepted)
		require.NoError(t, err)
		require.Equal(t, int64(bufferSize), left)
	})
}

func TestAWriterBlocksOnlyOnAFullBuffer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, dialled, accepted := pair(t, memnet.Options{})
		require.Zero(t, elapsed(func() { fill(t, dialled) }))
		require.NoError(t, dialled.SetWriteDeadline(time.Now().Add(time.Second)))
		require.Equal(t, time.Second, elapsed(func() {
			_, err := dialled.Write([]byte("x"))
			requireTimeout(t, err)
		}))

		require.NoError(t, dialled.SetWriteDeadline(time.Time{}))
		var first, second bytes.Buffer
		written := make(chan error)
		for _, b := range []byte("ab") {
			go func() {
				_, err := dialled.Write(bytes.Repeat([]byte{b}, 1<<20))
				written <- err
			}()
		}
		synctest.Wait()
		_, err := io.CopyN(io.Discard, accepted, bufferSize)
		require.NoError(t, err)
		_, err = io.CopyN(&first, accepted, 1<<20)
		require.NoError(t, err)
		_, err = io.CopyN(&second, accepted, 1<<20)
		require.NoError(t, err)
		require.NoError(t, <-written)
		require.NoError(t, <-written)
		for _, got := range [][]byte{first.Bytes(), second.Bytes()} {
			require.Equal(t, 1<<20, bytes.Count(got, got[:1]), "concurrent writes do not mix")
		}
		require.NotEqual(t, first.Bytes()[0], second.Bytes()[0])
	})
}
