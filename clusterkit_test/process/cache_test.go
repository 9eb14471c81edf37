//go:build linux

package process_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

func testCache(t *testing.T, binary string) {
	out := runScenario(t, "cache", binary, "-reads", "1000") // fewer reads than by default
	requireLines(t, out,
		`all 6 members agree: fingerprint [0-9a-f]{16}`,
		`off: primary +9\d\d +\d+\.\d % +0\.\d % +[2-5]\d\.\d %`,
		`on: nearest +9\d\d +\d+\.\d % +0\.\d % +(100\.0|99\.\d) %`,
		`n2 is gone`,
		`all 5 members agree: fingerprint [0-9a-f]{16}`,
		`taken over +9\d\d .* 0\n`,
		`n2 is back`,
		`All of it held, in [0-9.]+ seconds`,
	)
	documents.RequireShown(t, out, documents.Figures...)
}

func testWorkers(t *testing.T, binary string) {
	out := runScenario(t, "workers", binary)
	require.Equal(t, 4, strings.Count(out, "every partition has one worker: n1 "), "after each change")
	requireLines(t, out,
		`There is no lock: while views differ a partition may have two workers, or none`,
		`n4 joins.\n\n(.*\n)+ +changed hands +\d+ of 64 partitions\n +two at once .*\n +none `,
		`n3 is killed \(kill -9\).\n\n(.*\n)+ +none +\d+ of 64 partitions, \d+(\.\d+)?m?s at the median`,
		`positions +\d+ in all partitions together: none skipped, none saved twice`,
		`All of it held, in [0-9.]+ seconds`,
	)
	// Whether a partition had two workers, or none, for a moment depends on chance.
	partitions := documents.Varying(`(no partition|\d+ of 64 partitions, .* at most)$`, `(no partition|\d+ of 64 partitions, .* at most)`)
	documents.RequireShown(t, out, append([]documents.Vary{partitions}, documents.Figures...)...)
}
