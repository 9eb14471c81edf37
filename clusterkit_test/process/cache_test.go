//go:build linux

package process_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

func testCache(t *testing.T, binary string) {
	p := run(t, "cache", binary, "-reads", "1000") // fewer than by default
	require.Equal(t, 0, p.exit(scenarioLimit))
	require.Empty(t, p.stderr.String())
	out := p.stdout.String()
	for _, line := range []string{
		`all 6 members agree: fingerprint [0-9a-f]{16}`,
		`off: primary +9\d\d +\d+\.\d % +0\.0 % +[2-5]\d\.\d %`,
		`on: nearest +9\d\d +\d+\.\d % +0\.0 % +(100\.0|99\.\d) %`,
		`n2 is gone`,
		`all 5 members agree: fingerprint [0-9a-f]{16}`,
		`taken over +9\d\d .* 0\n`,
		`n2 is back`,
		`All of it held, in [0-9.]+ seconds`,
	} {
		require.Regexp(t, line, out)
	}
	documents.RequireShown(t, out, documents.Figures...)
	requireFitsATerminal(t, out)
}

func testWorkers(t *testing.T, binary string) {
	p := run(t, "workers", binary)
	require.Equal(t, 0, p.exit(scenarioLimit))
	require.Empty(t, p.stderr.String())
	out := p.stdout.String()
	require.Equal(t, 4, strings.Count(out, "every partition has one worker: n1 "), "after each change")
	for _, line := range []string{
		`There is no lock: while views differ a partition may have two workers, or none`,
		`n4 joins.\n\n(.*\n)+ +changed hands +\d+ of 64 partitions\n +two at once .*\n +none `,
		`n3 is killed \(kill -9\).\n\n(.*\n)+ +none +\d+ of 64 partitions, \d+\.\d+s at the median`,
		`positions +\d+ in all partitions together: none skipped, none saved twice`,
		`All of it held, in [0-9.]+ seconds`,
	} {
		require.Regexp(t, line, out)
	}
	// Whether there were two workers or none for a moment is a matter of chance.
	partitions := documents.Varying(`(no partition|\d+ of 64 partitions, .* at most)$`, `(no partition|\d+ of 64 partitions, .* at most)`)
	documents.RequireShown(t, out, append([]documents.Vary{partitions}, documents.Figures...)...)
	requireFitsATerminal(t, out)
}

func requireFitsATerminal(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 81, "fits a terminal: %s", line)
	}
}
