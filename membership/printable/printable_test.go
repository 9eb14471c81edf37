package printable_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/printable"
)

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "",
		"caf\u00e9 \"one\"": "caf\u00e9 \"one\"",
		"a\nERROR forged":   `a\nERROR forged`,
		"\x1b[31m\u202ex":   `\x1b[31m\u202ex`,
		"not UTF-8: \xff":   `not UTF-8: \xff`,
		"\"quoted\" \u0085": `\"quoted\" \u0085`,
	} {
		require.Equal(t, want, printable.Line(text))
		require.Equal(t, want == text, printable.Is(text), "%q", text)
		require.True(t, printable.Is(want))
	}
}
