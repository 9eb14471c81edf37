package docs_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// measured are the tables of docs/performance: cells by table, row and column.
func measured(t *testing.T) map[string]map[string]map[string]string {
	t.Helper()
	docs, tables := documents.Read(t), make(map[string]map[string]map[string]string)
	for _, page := range []string{"docs/performance/lookup.md", "docs/performance/peers.md"} {
		title, head := "", []string(nil)
		for line := range strings.Lines(docs[page]) {
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "### "):
				title, head = line[len("### "):], nil
				tables[title] = make(map[string]map[string]string)
			case !strings.HasPrefix(line, "|") || documents.Separator.MatchString(line):
			case head == nil:
				head = documents.Cells(line)
			default:
				cells := documents.Cells(line)
				row := make(map[string]string)
				for i := len(cells) - 1; i > 0; i-- { // of two columns with one name, the first
					row[head[i]] = cells[i]
				}
				tables[title][cells[0]] = row
			}
		}
	}
	return tables
}

// TestPerformancePages finds every cell of the tables of docs/performance.md in the
// table of docs/performance with the same title, row and column. The README has five of
// the cells.
func TestPerformancePages(t *testing.T) {
	tables := measured(t)
	for _, s := range documents.HeldBy(t, t.Name()) {
		head := documents.Cells(s.Lines[0])
		if s.Document == "README.md" {
			calls := tables["Calls to a cluster of 50 members, hot keys of 16 bytes"]
			batches := tables["Batches: a million keys in random order of 16 bytes, a key"]
			require.Equal(t, []string{
				calls["primary"]["/floor"], calls["primary, partition kept by the caller"]["/floor"], calls["three replicas, All"]["/floor"],
				calls["batch of 1024 by owner, a key"]["/floor"], batches["Group, 1024 keys"]["/reference"],
			}, documents.Cells(s.Lines[2]), "%v", s)
			continue
		}
		before := strings.Split(documents.Read(t)[s.Document], "\n")
		title := strings.TrimPrefix(before[s.Line-3], "### ")
		for _, line := range s.Lines[2:] {
			cells := documents.Cells(line)
			for i, cell := range cells[1:] {
				require.Equal(t, tables[title][cells[0]][head[i+1]], cell, "%v: %q, %s", s, cells[0], head[i+1])
			}
		}
	}
}
