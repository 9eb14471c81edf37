package main

import (
	"bytes"
	"container/list"
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/ring"
)

// small is a report that takes little time: with few members, keys and rings.
func small() measure.Report {
	shapes := []ringShape{{4, 64, 3}}
	return lookup(func(bool) sizes {
		return sizes{members: 3, cold: 2048, partitions: []int{64, 128}, rings: shapes}
	})
}

// The whole report: each case is in the tables, in Markdown, in the CSV file and, where
// it is compared with the floor, in the picture.
func TestLookupReport(t *testing.T) {
	dir := t.TempDir()
	csvFile, svgFile := filepath.Join(dir, "l.csv"), filepath.Join(dir, "l.svg")
	var out, progress bytes.Buffer
	require.NoError(t, small().Main(t.Context(), []string{"-rounds", "2", "-sample", "1ns", "-csv", csvFile, "-svg", svgFile}, &out, &progress))
	require.Contains(t, out.String(), "# Looking up a key\n")
	require.Contains(t, progress.String(), "done")
	require.NotRegexp(t, "NaN|Inf", out.String())
	cases := 0
	for _, p := range small().Parts(true) {
		all, err := p.Cases()
		require.NoError(t, err)
		cases += len(all)
		for _, c := range all {
			require.Contains(t, out.String(), "\n### "+c.Group+"\n")
			require.Contains(t, out.String(), "\n| "+c.Name, "%s", c.Group)
		}
		if p.End != nil {
			p.End()
		}
	}
	content, err := os.ReadFile(csvFile)
	require.NoError(t, err)
	records, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 1+cases)
	content, err = os.ReadFile(svgFile)
	require.NoError(t, err)
	require.Contains(t, string(content), "Caches: 32 keys")
	require.NotContains(t, string(content), "Rings: ")
}

// A lookup allocates nothing, and neither must a case that measures one. Package
// cluster tests calls to a cluster, because a cluster that gossips allocates meanwhile.
func TestCasesThatMustNotAllocate(t *testing.T) {
	allowed := regexp.MustCompile("map of slices|^Caches|^Rings")
	for _, p := range small().Parts(true)[1:] {
		cases, err := p.Cases()
		require.NoError(t, err)
		for _, c := range cases {
			if allowed.MatchString(c.Group) || allowed.MatchString(c.Name) {
				continue
			}
			run, err := c.Make()
			require.NoError(t, err)
			const n = 8192
			run(n) // buffers grow to their size
			require.Less(t, testing.AllocsPerRun(10, func() { run(n) }), n/64., "%s: %s", c.Group, c.Name)
		}
	}
}

func TestKeySets(t *testing.T) {
	for _, length := range []int{16, 64} {
		seen := make(map[string]bool)
		keys, raw := keySet[string](2048, length), keySet[[]byte](2048, length)
		for i, k := range keys {
			require.Len(t, k, length)
			require.Equal(t, k, string(raw[i]))
			seen[k] = true
		}
		require.Len(t, seen, 2048)
	}
}

// In a set of keys that no cache holds, no case soon uses the same keys as the case
// before.
func TestCasesBeginApart(t *testing.T) {
	keys := keysOf(1<<18, 16)
	var begun []int
	for range 7 {
		_, at := keys.take()
		require.Zero(t, at%largestBatch)
		for _, other := range begun {
			apart := (at - other) & (1<<18 - 1)
			require.GreaterOrEqual(t, min(apart, 1<<18-apart), 1<<18/16)
		}
		begun = append(begun, at)
	}
	_, at := keysOf(hotKeys, 16).take()
	require.Zero(t, at)
}

func TestLRUDropsTheLeastRecent(t *testing.T) {
	p, err := publishRing(3, 64, 1)
	require.NoError(t, err)
	c := &lru{capacity: 2, entries: make(map[string]*list.Element)}
	for _, key := range []string{"a", "b", "a", "c"} { // c in place of b
		want, _ := p.Lookup(key).Primary()
		require.Equal(t, want, c.owner(p, key))
	}
	require.Len(t, c.entries, 2)
	require.NotContains(t, c.entries, "b")
}

// A build with the finished strategy has the given owners, and a ring takes little
// memory in addition to its owners.
func TestFinishedTables(t *testing.T) {
	s := ringShape{5, 4096, 3}
	r, err := ring.Build(ring.Config{PartitionCount: s.partitions, ReplicationFactor: s.replicas, Strategy: finish(s)}, nodes(s.members))
	require.NoError(t, err)
	require.Equal(t, nodes(5)[4].ID, r.Placement(4).At(0).ID())
	size, err := ringSize(s)
	require.NoError(t, err)
	owners := float64(2 * s.partitions * s.replicas)
	require.Greater(t, size, 0.5*owners, "the owners at least")
	require.Less(t, size, 3*owners, "and little beside")
}
