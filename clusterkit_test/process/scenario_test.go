//go:build linux

package process_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// runScenario runs a scenario of examples to its end, and returns its output. The scenario must succeed,
// print nothing on standard error, and fit a terminal.
func runScenario(t *testing.T, name, binary string, args ...string) string {
	t.Helper()
	p := run(t, name, binary, args...)
	require.Equal(t, 0, p.exit(scenarioLimit))
	require.Empty(t, p.stderr.String())
	out := p.stdout.String()
	for line := range strings.Lines(out) {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 81, "fits a terminal: %s", line)
	}
	return out
}

// requireLines requires an output that each of the patterns matches.
func requireLines(t *testing.T, out string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		require.Regexp(t, pattern, out)
	}
}
