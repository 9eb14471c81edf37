package route

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
)

// FuzzMark: what can be read is written again as it was, so that a mark has one form.
func FuzzMark(f *testing.F) {
	m := mark{
		cluster: "orders", service: "kv", from: "n1", to: "n2", start: membership.Start{Number: 1 << 63, Nonce: 7},
		partition: 4095, policy: PrimaryFirst, token: 1 << 63, number: "0123456789abcdef",
	}
	for _, text := range []string{
		m.String(), "", "1", "1 orders kv n1 n2 0 0 0 0 0 0000000000000001 0123456789abcdef", "1 orders kv n1 n2 0 0 +1 00 0 1 0123456789abcdef", "1 orders kv n1 n2 0 0 1 0 ff 0000000000000001 0123456789abcdef",
		"1 orders kv n1 n2 0 0 2147483648 0 0 0000000000000001 0123456789abcdef", "1     0 0 0 0 0 0000000000000000 0123456789abcdef",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read, err := parseMark([]string{text})
		if err != nil {
			require.Equal(t, mark{}, read)
			return
		}
		require.Equal(t, text, read.String())
	})
}
