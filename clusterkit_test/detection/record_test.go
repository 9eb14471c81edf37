package detection_test

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// change is something that one member saw.
type change struct {
	at   time.Time
	by   string // the member that saw it
	of   string // the member that it is about
	ring string // the fingerprint of its new view
	kind changeKind
}

type changeKind int

const (
	added changeKind = iota
	removed
	ringChanged
)

// record holds what all members of an experiment saw.
type record struct {
	work    sync.WaitGroup // of starts
	mu      sync.Mutex
	changes []change
}

func (r *record) add(c change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
}

// since returns the changes from an instant on, in the order of time.
func (r *record) since(at time.Time) []change {
	r.mu.Lock()
	defer r.mu.Unlock()
	late := slices.DeleteFunc(slices.Clone(r.changes), func(c change) bool { return c.at.Before(at) })
	slices.SortStableFunc(late, func(a, b change) int { return a.at.Compare(b.at) })
	return late
}

// count counts the changes that a condition holds for.
func count(changes []change, holds func(change) bool) (n int) {
	for _, c := range changes {
		if holds(c) {
			n++
		}
	}
	return n
}

// viewsOf returns how many views each of the members went through: rings, or lists of
// members with plain memberlist.
func viewsOf(k kind, changes []change, of []*node) (views []int) {
	for _, n := range of {
		views = append(views, count(changes, func(c change) bool {
			return c.by == n.id && (c.kind == ringChanged) == (k == ours)
		}))
	}
	return views
}

// ringsAtOnce returns how many different rings the members had at most at one instant.
func ringsAtOnce(changes []change, of []*node) (most int) {
	last := make(map[string]string)
	for _, n := range of {
		last[n.id] = ""
	}
	for i, c := range changes {
		if _, counts := last[c.by]; !counts || c.kind != ringChanged {
			continue
		}
		last[c.by] = c.ring
		if i+1 < len(changes) && changes[i+1].at.Equal(c.at) {
			continue
		}
		rings := make(map[string]bool)
		for _, ring := range last {
			rings[ring] = true
		}
		most = max(most, len(rings))
	}
	return most
}

// seconds shows the median, the 99th of 100 and the largest of some durations.
func seconds(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	slices.Sort(all)
	at := func(q int) float64 { return all[(len(all)*q+99)/100-1].Seconds() } // the nearest rank
	return fmt.Sprintf("%.2f / %.2f / %.2f s", at(50), at(99), all[len(all)-1].Seconds())
}

// medianMax shows the median and the largest of some numbers.
func medianMax[N cmp.Ordered](all []N) string {
	slices.Sort(all)
	return fmt.Sprintf("%v, at most %v", all[len(all)/2], all[len(all)-1])
}

// table is one table of docs/detection.md.
type table struct {
	t    *testing.T
	rows []string
}

func newTable(t *testing.T, columns ...string) *table {
	tab := &table{t: t}
	tab.row(columns...)
	tab.rows = append(tab.rows, strings.Repeat("|---", len(columns))+"|")
	return tab
}

func (tab *table) row(cells ...string) {
	tab.rows = append(tab.rows, "| "+strings.Join(cells, " | ")+" |")
}

// print writes the table to the log of the test, as Markdown.
func (tab *table) print() { tab.t.Log("\n\n" + strings.Join(tab.rows, "\n") + "\n") }

// form is how much was asked for: "full", "brief", or nothing.
func form() string { return os.Getenv("CLUSTERKIT_DETECTION") }

// skipTable skips the test of a table that was not asked for.
func skipTable(t *testing.T) {
	t.Helper()
	if form() != "full" && form() != "brief" {
		t.Skip("set CLUSTERKIT_DETECTION to full or brief for the tables")
	}
}

// rounds returns how often an experiment is repeated: a tenth in the brief form.
func rounds(full int) int {
	if form() == "full" {
		return full
	}
	return max(1, full/10)
}

// logger writes the logs of a member to standard error when CLUSTERKIT_DETECTION_LOG is
// set to a level.
func logger(id string) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(os.Getenv("CLUSTERKIT_DETECTION_LOG"))); err != nil {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("node", id)
}
