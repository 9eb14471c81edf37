package docs_test

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

var (
	mapped    = regexp.MustCompile("^### `([^`]+)`$")
	mappedRow = regexp.MustCompile("^\\| `([^`]+\\.go)` \\| \\S")
	inMap     = regexp.MustCompile(`^(cluster|membership|transport|clusterkit_test)/`)
)

// TestFileMap compares the file map of docs/architecture.md with the directories. Every
// file but tests stands in it once, and every file in it exists.
func TestFileMap(t *testing.T) {
	_, text, found := strings.Cut(documents.Read(t)["docs/architecture.md"], "\n## File map\n")
	require.True(t, found, "docs/architecture.md has no file map")
	text, _, _ = strings.Cut(text, "\n## ")
	var in, there []string
	dir := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if heading := mapped.FindStringSubmatch(line); heading != nil {
			dir = heading[1]
		}
		if row := mappedRow.FindStringSubmatch(line); row != nil {
			in = append(in, path.Join(dir, row[1]))
		}
	}
	for name := range documents.Files(t, ".go") {
		if inMap.MatchString(name) && !strings.HasSuffix(name, "_test.go") {
			there = append(there, name)
		}
	}
	require.ElementsMatch(t, there, in, "docs/architecture.md, in list B, does not name the files that there are, in list A")
}
