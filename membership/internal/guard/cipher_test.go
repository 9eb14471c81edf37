package guard

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSoundPackets(t *testing.T) {
	label := []byte{labelMark, 3, 'a', 'b', 'c'}
	for _, test := range []struct {
		packet []byte
		sound  bool
	}{
		{nil, false}, {[]byte{}, false}, {[]byte{1}, true}, {[]byte{1, 9, 9}, true}, {[]byte{0, 9, 9}, false}, {[]byte{2}, false}, {[]byte{255}, false},
		{label, false}, {append(bytes.Clone(label), 1, 7), true}, {append(bytes.Clone(label), 0, 7), false},
		{[]byte{labelMark}, false}, {[]byte{labelMark, 0, 1}, false}, {[]byte{labelMark, 9, 1, 1}, false},
	} {
		require.Equal(t, test.sound, soundPacket(test.packet), "%v", test.packet)
	}
}

// TestCipherCheck feeds streams in pieces of every size.
func TestCipherCheck(t *testing.T) {
	for _, test := range []struct {
		stream []byte
		skip   int
		passes bool
	}{
		{[]byte{encryptedMark, 0, 0, 0, 9, 1, 0, 0}, 0, true},
		{[]byte{encryptedMark, 0, 0, 0, 9, 0, 0, 0}, 0, false},
		{[]byte{encryptedMark, 1, 1, 1, 1, 2}, 0, false},
		{[]byte{244, 1, 'a', encryptedMark, 0, 0, 0, 9, 1}, 3, true},
		{[]byte{244, 1, 'a', encryptedMark, 0, 0, 0, 9, 0}, 3, false},
		{[]byte{6, 0, 0, 0, 0, 0, 0, 0}, 0, true}, // in clear: memberlist refuses it by itself
		{[]byte{encryptedMark, 0, 0}, 0, true},    // not there yet
	} {
		for size := 1; size <= len(test.stream); size++ {
			check, passes := cipherCheck{skip: test.skip}, true
			for rest := test.stream; len(rest) > 0; {
				n := min(size, len(rest))
				passes = passes && check.pass(rest[:n])
				rest = rest[n:]
			}
			require.Equal(t, test.passes, passes, "%v in pieces of %d", test.stream, size)
		}
	}
}

// FuzzCipherCheck compares the results of the checks with a direct parse of the
// messages.
func FuzzCipherCheck(f *testing.F) {
	f.Add([]byte{encryptedMark, 0, 0, 0, 9, 1, 0}, 0, 1)
	f.Add([]byte{labelMark, 1, 'a', encryptedMark, 0, 0, 0, 9, 0}, 3, 2)
	f.Add([]byte{labelMark, 1, 'a', 0, 1}, 3, 9)
	f.Fuzz(func(t *testing.T, b []byte, skip, size int) {
		if skip < 0 || skip > 1000 || size < 1 {
			return
		}
		check, passes := cipherCheck{skip: skip}, true
		for rest := b; len(rest) > 0; {
			n := min(size, len(rest))
			passes = passes && check.pass(rest[:n])
			rest = rest[n:]
		}
		message := b[min(skip, len(b)):]
		wrong := len(message) > cipherVersionAt && message[0] == encryptedMark && message[cipherVersionAt] != cipherVersion
		require.Equal(t, !wrong, passes)

		if soundPacket(b) {
			label, missing, err := peekLabel(b)
			require.NoError(t, err)
			require.Zero(t, missing)
			if label != nil {
				b = b[2+len(label):]
			}
			require.Equal(t, byte(cipherVersion), b[0])
		}
	})
}
