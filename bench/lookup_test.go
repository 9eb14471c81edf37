package main

import (
	"bytes"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/ring"
)

// smallFixture is made in no time.
func smallFixture(t *testing.T) *fixture {
	shapes := []ringShape{{4, 64, 3}}
	return newFixture(t.Context(), sizes{members: 3, cold: 2048, partitions: []int{64, 128}, rings: shapes, memory: shapes})
}

// briefly makes options measure as little as they can.
func briefly(t *testing.T, args ...string) lookupOptions {
	o, err := parseLookup(args, io.Discard)
	require.NoError(t, err)
	o.rounds, o.sample, o.longSample, o.stallRuns, o.stallLength = 2, 1, 1, 2, time.Millisecond
	return o
}

// page is one that has a place for every part.
func page() string {
	text := "# Performance\n\nbefore\n"
	for _, c := range chapters {
		text += "\n<!-- begin lookup " + c.name + " -->\nold\n<!-- end lookup " + c.name + " -->\n"
	}
	return text + "\nafter\n"
}

func TestLookupReport(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(file("page.md"), []byte(page()), 0o600))
	o := briefly(t, "-csv", file("l.csv"), "-svg", file("l.svg"), "-benchstat", file("l.txt"), "-markdown", file("page.md"))
	f := smallFixture(t)
	var cases []measure.Case
	for _, c := range chapters {
		cases = append(cases, c.cases(f)...)
	}
	var out, progress bytes.Buffer
	require.NoError(t, o.run(f, &out, &progress))

	require.Contains(t, out.String(), "Lookups on ")
	require.Contains(t, progress.String(), "100%")
	for _, c := range cases {
		require.Contains(t, out.String(), strings.ToUpper(c.Group))
		if c.Goroutines == 0 {
			require.Contains(t, out.String(), "\n"+c.Name, "%s", c.Group)
		}
	}
	for _, extra := range []string{"THE LONGEST PAUSE OF A READER", "MEMORY OF A RING", "million operations a second"} {
		require.Contains(t, out.String(), extra)
	}
	for _, bad := range []string{"NaN", "Inf"} {
		require.NotContains(t, out.String(), bad)
	}
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "–") {
			require.LessOrEqual(t, utf8.RuneCountInString(line), 130, line)
		}
	}

	records, err := csv.NewReader(strings.NewReader(read(t, file("l.csv")))).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 1+len(cases))
	require.Equal(t, 2*len(cases), strings.Count(read(t, file("l.txt")), "\nBenchmark"), "a line a round")
	require.Contains(t, read(t, file("l.svg")), "<svg")

	updated := read(t, file("page.md"))
	require.True(t, strings.HasPrefix(updated, "# Performance\n\nbefore\n\n<!-- begin lookup cluster -->\n"))
	require.True(t, strings.HasSuffix(updated, "<!-- end lookup rings -->\n\nafter\n"))
	require.NotContains(t, updated, "\nold\n")
	for _, c := range cases {
		require.Contains(t, updated, "### "+c.Group+"\n")
	}
}

// A lookup allocates nothing, and a case that measures one must not either. The
// calls of package cluster are tested there: a cluster that gossips allocates
// while they run.
func TestCasesThatMustNotAllocate(t *testing.T) {
	f := smallFixture(t)
	allowed := regexp.MustCompile("map of slices|^Caches|^Rings")
	for _, c := range chapters {
		if c.name == "cluster" {
			continue
		}
		for _, k := range c.cases(f) {
			if allowed.MatchString(k.Group) || allowed.MatchString(k.Name) {
				continue
			}
			run, err := k.Make()
			require.NoError(t, err)
			const n = 8192
			run(n) // buffers grow to their size
			require.Less(t, testing.AllocsPerRun(10, func() { run(n) }), n/64., "%s: %s", k.Group, k.Name)
		}
	}
}

func TestOnlyWhatIsAskedFor(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, briefly(t, "-only", "batches").run(smallFixture(t), &out, io.Discard))
	require.Contains(t, out.String(), "BATCHES")
	require.NotContains(t, out.String(), "CACHES")
}

func TestLookupFilesAreTriedFirst(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none", "l")
	for _, flag := range []string{"-csv", "-svg", "-benchstat", "-markdown"} {
		var told bytes.Buffer
		require.ErrorIs(t, briefly(t, flag, none).run(smallFixture(t), io.Discard, &told), os.ErrNotExist, flag)
		require.Empty(t, told.String(), flag)
	}
	unmarked := filepath.Join(dir, "page.md")
	require.NoError(t, os.WriteFile(unmarked, []byte("# Performance\n"), 0o600))
	require.ErrorContains(t, briefly(t, "-markdown", unmarked).run(smallFixture(t), io.Discard, io.Discard), "<!-- begin lookup cluster -->")
	require.Equal(t, "# Performance\n", read(t, unmarked))
}

func TestLookupCommandLine(t *testing.T) {
	o, err := parseLookup(byDefault[1:], io.Discard)
	require.NoError(t, err)
	require.Equal(t, "lookup", byDefault[0])
	require.True(t, o.quick, "what runs without arguments takes under a minute")

	var out bytes.Buffer
	require.ErrorIs(t, run([]string{"lookup", "-h"}, &out, io.Discard), flag.ErrHelp)
	for _, name := range append(chapterNames(), "-quick", "-only", "-csv", "-svg", "-benchstat", "-markdown") {
		require.Contains(t, out.String(), name)
	}
	for args, message := range map[string]string{
		"lookup more":                `unexpected argument "more", see lookup -h`,
		"lookup -fast":               `flag provided but not defined: -fast, see lookup -h`,
		"lookup -only keys,dreams":   `-only: no part is called "dreams", there are ` + strings.Join(chapterNames(), ", "),
		"lookup -quick -only=keys,,": `-only: no part is called "", there are ` + strings.Join(chapterNames(), ", "),
	} {
		err := run(strings.Fields(args), io.Discard, io.Discard)
		var mistake *usageError
		require.ErrorAs(t, err, &mistake, args)
		require.EqualError(t, err, message)
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

// Of a set that no cache holds, no case follows another closely.
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

func TestLRUForgetsTheLeastRecent(t *testing.T) {
	r, err := buildRing(3, 64, 1)
	require.NoError(t, err)
	owner := func(partition int) ring.Owner { return r.Placement(partition).At(0) }
	c := newLRU(2)
	c.put("a", owner(0))
	c.put("b", owner(1))
	got, ok := c.get("a")
	require.True(t, ok)
	require.Equal(t, owner(0), got)
	c.put("c", owner(2)) // in place of b
	_, ok = c.get("b")
	require.False(t, ok)
	c.put("a", owner(1))
	got, _ = c.get("a")
	require.Equal(t, owner(1), got)
	require.Equal(t, 2, c.recent.Len())
	require.Len(t, c.entries, 2)
}

func TestScaleTable(t *testing.T) {
	counts := goroutineCounts()
	var results []measure.Result
	for _, name := range []string{"hash", "primary"} {
		for _, n := range counts {
			results = append(results, measure.Result{
				Case:  measure.Case{Group: "Goroutines", Name: fmt.Sprintf("%s, on %d", name, n), Goroutines: n},
				Times: []float64{10 / float64(n), 20 / float64(n)},
			})
		}
	}
	table := scaleTable(results)
	require.Len(t, table.Rows, 2)
	require.Equal(t, []string{"hash", "66.7"}, table.Rows[0][:2])
	if len(counts) > 1 {
		require.Equal(t, []string{"133.3", "2.00", "2.00–2.00"}, table.Rows[1][2:5])
	}
	require.Len(t, table.Rows[0], len(table.Head))
}

func TestStallTable(t *testing.T) {
	table := stallTable([]*stalls{
		{name: "quiet", longest: []time.Duration{3e6, 1e6, 2e6}, over: 6, read: 3 * time.Second},
		{name: "busy", longest: []time.Duration{5e5, 5e5, 5e5}, read: 3 * time.Second},
	})
	require.Equal(t, [][]string{{"quiet", "2.00 ms", "3.00 ms", "2.0"}, {"busy", "500 µs", "500 µs", "0.0"}}, table.Rows)
}

// What the floor of building leaves out is the strategy alone.
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

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(content)
}
