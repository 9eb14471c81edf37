package main

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// A whole run, of few adapters at a small size and without regard for what the
// figures are: everything that is asked for is there.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("peers.md"), []byte("Before.\n<!-- begin peers -->\nstale\n<!-- end peers -->\nAfter.\n"), 0o600))
	o, err := parse([]string{
		"-rounds", "2", "-sample", "10us", "-csv", at("peers.csv"), "-svg", at("peers.svg"),
		"-markdown", at("peers.md"), "-benchstat", at("peers.txt"),
	}, io.Discard)
	require.NoError(t, err)
	require.NoError(t, o.createFiles())
	list := []adapter{hashAlone, hashAndLoad, clusterkitRing, clusterkitPointer, consistentBytes, stathatRing, olricTable, jumpList}
	r, err := o.measure(t.Context(), []size{few}, list, io.Discard)
	require.NoError(t, err)

	groups := make(map[string]int)
	for _, result := range r.results {
		groups[result.Case.Group]++
		require.Len(t, result.Times, 2)
	}
	require.Equal(t, map[string]int{
		"primary, 1024 hot keys, 7 members, 1 goroutine":       8,
		"primary, 1024 hot keys, 7 members, 2 goroutines":      8,
		"primary, a million keys, 7 members, 1 goroutine":      8,
		"primary, a million keys, 7 members, 2 goroutines":     8,
		"three owners, 1024 hot keys, 7 members, 1 goroutine":  7,
		"three owners, 1024 hot keys, 7 members, 2 goroutines": 7,
		"three owners, a million keys, 7 members, 1 goroutine": 7, "three owners, a million keys, 7 members, 2 goroutines": 7,
		"batch of 1000 hot keys by primary, 7 members":          6,
		"batch of 1000 of a million keys by primary, 7 members": 6,
		"join, 7 members, 512 partitions":                       2, "leave, 7 members, 512 partitions": 2,
	}, groups)

	var out bytes.Buffer
	require.NoError(t, r.print(&out))
	for _, want := range []string{"WHO IS ASKED", "jump", "THREE OWNERS, A MILLION KEYS", "JOIN, 7 MEMBERS", "aimed at 50"} {
		require.Contains(t, out.String(), want)
	}
	require.NoError(t, o.writeFiles(r))

	content := func(name string) []byte {
		b, err := os.ReadFile(at(name))
		require.NoError(t, err)
		return b
	}
	records, err := csv.NewReader(bytes.NewReader(content("peers.csv"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 1+len(r.results))
	require.NoError(t, xml.Unmarshal(content("peers.svg"), new(struct{})))
	require.Contains(t, string(content("peers.svg")), "three owners, 1024 hot keys, 7 members, 2 goroutines")
	require.NotContains(t, string(content("peers.svg")), "a million keys")
	page := string(content("peers.md"))
	require.Contains(t, page, "\n### three owners, 1024 hot keys")
	require.True(t, strings.HasPrefix(page, "Before.\n<!-- begin peers -->\n"), page[:80])
	require.True(t, strings.HasSuffix(page, "\n<!-- end peers -->\nAfter.\n"))
	require.NotContains(t, page, "stale")
	require.Equal(t, 2*len(r.results), strings.Count(string(content("peers.txt")), "\nBenchmark"))
}

// What is asked for only is measured only, and what is not there is told.
func TestReportOnly(t *testing.T) {
	o := options{rounds: 1, sample: time.Microsecond, only: "hot keys, 7 members, 2 goroutines"}
	r, err := o.measure(t.Context(), []size{few}, []adapter{hashAlone, clusterkitPointer}, io.Discard)
	require.NoError(t, err)
	groups := make(map[string]int)
	for _, result := range r.results {
		groups[result.Case.Group]++
	}
	require.Equal(t, map[string]int{
		"primary, 1024 hot keys, 7 members, 2 goroutines":      2,
		"three owners, 1024 hot keys, 7 members, 2 goroutines": 2,
	}, groups)
	o.only = "four owners"
	_, err = o.measure(t.Context(), []size{few}, []adapter{hashAlone, clusterkitPointer}, io.Discard)
	require.EqualError(t, err, `-only: no table has "four owners" in its title`)
}

// Only what is somebody else's look-up counts as a peer, in the table as among
// the claims.
func TestShown(t *testing.T) {
	var results []measure.Result
	for _, a := range adapters() {
		results = append(results, measure.Result{Case: measure.Case{Group: "three owners, 1024 hot keys", Name: a.name, Role: role(a)}})
	}
	for i, r := range shown(results) {
		switch a := adapters()[i]; a.kind {
		case isFloor:
			require.Equal(t, measure.Floor, r.Case.Role, a.name)
		case isOurs:
			require.Equal(t, measure.Reference, r.Case.Role, a.name)
		default:
			require.Equal(t, measure.Plain, r.Case.Role, a.name)
		}
	}
	require.Equal(t, measure.Plain, results[1].Case.Role, "what was given stays as it is")
}

func TestVerdicts(t *testing.T) {
	result := func(group, name string, role measure.Role, ratios ...float64) measure.Result {
		return measure.Result{Case: measure.Case{Group: group, Name: name, Role: role}, Times: ratios, ToReference: ratios}
	}
	three, two, leave := "three owners, 1024 hot keys, 50 members, 1 goroutine", "primary, 1024 hot keys, 50 members, 2 goroutines", "leave, 1000 members"
	var lines []string
	for _, v := range verdicts([]measure.Result{
		result(three, clusterkitPointer.name, measure.Reference, 1, 1, 1),
		result(three, hashAlone.name, measure.Floor, .5, .5, .5),
		result(three, olricTable.name, measure.Plain, 4, 5, 6),
		result(three, "slow", measure.Plain, 30, 40, 50),
		result(three, "fast", measure.Plain, 14, 16, 18),
		result(two, "consistent, bytes", measure.Plain, 9, 9.5, 12),
		result(two, "consistent, string", measure.Plain, 19, 20, 21),
		result(two, "fast", measure.Plain, 2, 2, 2),
		result("primary, 1024 hot keys, 50 members, 1 goroutine", "consistent, bytes", measure.Plain, 1, 1, 1),
		result(leave, "consistent Remove", measure.Plain, 25, 25, 25),
	}) {
		lines = append(lines, v.String())
	}
	require.Equal(t, []string{
		three + ": fast takes 16.0 times as long (15.0–17.0), aimed at 15: holds",
		two + ": consistent, bytes takes 9.5 times as long (9.2–10.8), aimed at 10: falls short",
		two + ": consistent, string takes 20.0 times as long (19.5–20.5), aimed at 10: holds",
		leave + ": consistent Remove takes 25.0 times as long (25.0–25.0), aimed at 25: holds",
	}, lines)
}

// Six keys on two of three members: the fullest has five, the mean is two.
func TestFullest(t *testing.T) {
	k := randomKeys(6)
	w := answering(func(key string) ([]string, error) {
		if key == k.text[0] {
			return []string{"b"}, nil
		}
		return []string{"a"}, nil
	})
	require.InEpsilon(t, 2.5, w.fullest(3, k), 1e-9)
	require.Zero(t, (*work)(nil).fullest(3, k))
	failing := answering(func(string) ([]string, error) { return nil, errors.New("no") })
	require.Zero(t, failing.fullest(3, k))
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-quick"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, options{quick: true, rounds: 5, sample: 2 * time.Millisecond}, o)
	o, err = parse([]string{"-quick", "-rounds", "9"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 9, o.rounds)
	for _, args := range [][]string{{"-rounds", "-1"}, {"-sample", "-1s"}, {"more"}, {"-nonsense"}} {
		_, err := parse(args, io.Discard)
		require.Error(t, err, args)
	}
	var help bytes.Buffer
	_, err = parse([]string{"-h"}, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Contains(t, help.String(), "-quick")
}

// A file that cannot be written to is known before anything is measured.
func TestFilesAreTriedFirst(t *testing.T) {
	var progress bytes.Buffer
	for _, file := range []string{"-csv", "-svg", "-benchstat", "-markdown"} {
		err := run(t.Context(), []string{file, filepath.Join(t.TempDir(), "none", "peers")}, io.Discard, &progress)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	require.Empty(t, progress.String())
}
