package ring

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The number of partitions is the largest power of two that an int can hold, so that
// the partition shows as many bits of the hash as possible.
func requireXXHash(t require.TestingT, key string) {
	r := &Ring{count: 1 << 32}
	want := uint32(xxhash.Sum64String(key) >> 32)
	require.Equal(t, want, r.locate(key), "%q", key)
	require.Equal(t, want, r.locateBytes([]byte(key)), "%q as bytes", key)
}

func TestLocateIsXXHash(t *testing.T) {
	for length := range 300 {
		requireXXHash(t, strings.Repeat("\x00", length))
		requireXXHash(t, strings.Repeat("\xff", length))
	}
	rapid.Check(t, func(t *rapid.T) {
		requireXXHash(t, string(rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "key")))
	})
}

func FuzzLocate(f *testing.F) {
	f.Add("")
	f.Add("user:42")
	f.Add("a key that is longer than one block of the hash")
	f.Fuzz(func(t *testing.T, key string) { requireXXHash(t, key) })
}

// The numbers of a table are hashed alike in place and through a buffer, as a processor of another
// byte order does it.
func TestNumbersHashAlike(t *testing.T) {
	for _, n := range []int{0, 1, 3, 511, 512, 513, 2000} {
		numbers := make([]uint16, n)
		var want []byte
		for i := range numbers {
			numbers[i] = uint16(i * 40_503)
			want = binary.LittleEndian.AppendUint16(want, numbers[i])
		}
		for _, inPlace := range []bool{false, true} {
			if inPlace && binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
				continue
			}
			d := xxhash.New()
			writeNumbers(d, numbers, inPlace)
			require.Equal(t, xxhash.Sum64(want), d.Sum64(), "%d numbers", n)
		}
	}
}
