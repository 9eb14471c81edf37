package packetstream

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFrames(t *testing.T) {
	b := appendFrame(appendFrame(hello(7946, "orders"), []byte("one")), bytes.Repeat([]byte("x"), maxPacket))
	require.Equal(t, helloMark[0], b[0])
	r := bytes.NewReader(b[1:])
	port, err := readHello(r, "orders")
	require.NoError(t, err)
	require.EqualValues(t, 7946, port)
	for _, want := range []int{3, maxPacket} {
		size, err := readSize(r)
		require.NoError(t, err)
		require.Equal(t, want, size)
		_, err = io.CopyN(io.Discard, r, int64(size))
		require.NoError(t, err)
	}
	_, err = readSize(r)
	require.ErrorIs(t, err, io.EOF)

	_, err = readHello(bytes.NewReader(b[1:]), "invoices")
	require.ErrorIs(t, err, errOtherLabel)
	require.ErrorContains(t, err, `of another cluster, "orders"`)
	_, err = readHello(bytes.NewReader([]byte{'c', 'k', 2, 0, 0, 0}), "")
	require.ErrorIs(t, err, errHello)
	for _, length := range [][]byte{{0, 0}, {0x40, 1}, {0xff, 0xff}} {
		_, err = readSize(bytes.NewReader(length))
		require.ErrorIs(t, err, errFrame)
	}
}

func FuzzReceived(f *testing.F) {
	f.Add(appendFrame(hello(7946, "orders"), []byte("one")))
	f.Add(hello(1, ""))
	f.Add([]byte{0xC2, 'c', 'k', 1, 0, 1, 255, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		if _, err := r.ReadByte(); err != nil {
			return
		}
		port, err := readHello(r, "orders")
		if err != nil {
			return
		}
		again := hello(port, "orders")
		require.Equal(t, again[1:], data[1:len(again)], "one form only")
		for {
			size, err := readSize(r)
			if err != nil {
				return
			}
			require.True(t, size > 0 && size <= maxPacket)
			if _, err := io.CopyN(io.Discard, r, int64(size)); err != nil {
				return
			}
		}
	})
}
