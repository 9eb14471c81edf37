package documents

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The pattern of a shown line matches these printed lines.
func TestPatternsOfLines(t *testing.T) {
	for _, test := range []struct {
		shown, printed string
		varies         []Vary
		matches        bool
	}{
		{"   +4.3s  n1 gets member-failed: n2", "   +10.8s  n1 gets member-failed: n2", []Vary{Since}, true},
		{"   +4.3s  n1 gets member-failed: n2", "   +4.3s  n1 gets member-failed: n3", Figures, false},
		{"moved   2034 of 12288 slots", "moved   2033 of 12288 slots", []Vary{Since}, false},
		{"moved   2034 of 12288 slots", "moved    203 of 12288 slots", Figures, true},
		{"   before   3000    89.7 %", "   before    996   100.0 %", Figures, true},
		{"all agree: fingerprint 97963692abf3e9c6", "all agree: fingerprint b0c69a51cbc8b311", Figures, false},
		{"zone a, HTTP 127.0.0.1:33649", "zone a, HTTP 127.0.0.1:40001", Figures, true},
		{"zone a, HTTP 127.0.0.1:33649", "zone a, HTTP 127.0.0.2:40001", Figures, false},
		{"none   1 of 64 partitions, 1.3ms at most", "none   1 of 64 partitions, 1.3052s at most", Figures, true},
		{`{"token":"…","id":"a"}`, `{"token":"01ff","id":"a"}`, nil, true},
		{`{"token":"…","id":"a"}`, `{"token":"01ff","id":"b"}`, nil, false},
	} {
		require.Equal(t, test.matches, PatternOf(test.shown, test.varies).MatchString(test.printed), "%q for %q", test.shown, test.printed)
	}
}
