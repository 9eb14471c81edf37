package guard

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

func labelHead(label string) []byte {
	b, err := memberlist.AddLabelHeaderToPacket(nil, label)
	if err != nil {
		panic(err)
	}
	return b
}

func TestPeekLabel(t *testing.T) {
	long := strings.Repeat("x", memberlist.LabelMaxSize)
	for _, label := range []string{"orders", "o", long} {
		head := labelHead(label)
		for n := range head {
			_, missing, err := peekLabel(head[:n])
			require.NoError(t, err)
			require.Positive(t, missing)
			require.LessOrEqual(t, n+missing, len(head), "asks for no byte that need not come")
		}
		got, missing, err := peekLabel(append(head, 6, 1, 2))
		require.NoError(t, err)
		require.Zero(t, missing)
		require.Equal(t, label, string(got))
	}
	require.LessOrEqual(t, len(labelHead(long)), maxLabelHead)

	got, missing, err := peekLabel([]byte{6})
	require.NoError(t, err)
	require.Zero(t, missing)
	require.Empty(t, got)

	_, _, err = peekLabel([]byte{labelMark, 0})
	require.EqualError(t, err, "label header announces an empty label")
}

// memberlist's own reader is the reference.
func FuzzPeekLabel(f *testing.F) {
	f.Add(labelHead("orders"))
	f.Add([]byte{labelMark})
	f.Add([]byte{labelMark, 0})
	f.Add([]byte{6, 1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		label, missing, err := peekLabel(b)
		_, want, wantErr := memberlist.RemoveLabelHeaderFromPacket(b)
		switch {
		case missing > 0:
			require.NoError(t, err)
			require.True(t, wantErr != nil || len(b) == 0)
			require.LessOrEqual(t, len(b)+missing, maxLabelHead)
		case err != nil:
			require.Error(t, wantErr)
		default:
			require.NoError(t, wantErr)
			require.Equal(t, want, string(label))
		}
	})
}

func TestRefusalFrame(t *testing.T) {
	frame := refusalFrame()
	require.Equal(t, []byte{0xC1, 'c', 'k', 1, 1}, frame, "this is protocol")
	for n := range frame {
		missing, refusal := parseRefusal(frame[:n])
		require.Nil(t, refusal)
		require.Equal(t, len(frame)-n, missing)
	}
	missing, refusal := parseRefusal(append(frame, 9))
	require.Zero(t, missing)
	require.ErrorIs(t, refusal, ErrClusterName)

	_, refusal = parseRefusal([]byte{0xC1, 'c', 'k', 2, 7})
	require.EqualError(t, refusal, `membership: stream to "": refused: for a reason that this release does not know: version 2, reason 7`)
	require.NotErrorIs(t, refusal, ErrClusterName)

	for _, ordinary := range [][]byte{{6}, {13, 1}, {labelMark}, {0xC1, 'c', 'x'}, {0xC1, 0}} {
		missing, refusal := parseRefusal(ordinary)
		require.Zero(t, missing)
		require.Nil(t, refusal)
	}
}

func FuzzParseRefusal(f *testing.F) {
	f.Add(refusalFrame())
	f.Add([]byte{0xC1, 'c'})
	f.Add([]byte{0xC1, 'c', 'k', 9, 9, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		missing, refusal := parseRefusal(b)
		switch {
		case missing > 0:
			require.Nil(t, refusal)
			require.Equal(t, refusalSize, len(b)+missing)
			require.True(t, bytes.HasPrefix(refusalFrame(), b[:min(len(b), len(refusalHead))]))
		case refusal != nil:
			require.True(t, bytes.HasPrefix(b, refusalHead[:]))
			require.NotEmpty(t, refusal.Error())
		}
	})
}
