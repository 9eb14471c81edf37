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
