package docs_test

import (
	"io/fs"
	"os"
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
)

// TestFileMap holds the file map of docs/architecture.md against the directories. Every
// file stands in it once with what it is for, tests aside, and every file in it exists.
func TestFileMap(t *testing.T) {
	_, text, found := strings.Cut(documents.Read(t)["docs/architecture.md"], "\n## File map\n")
	require.True(t, found, "docs/architecture.md has no file map")
	text, _, _ = strings.Cut(text, "\n## ")
	var in []string
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
	var there []string
	for _, root := range []string{"cluster", "membership", "transport", "clusterkit_test"} {
		require.NoError(t, fs.WalkDir(os.DirFS(documents.Root(t)), root, func(name string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
				there = append(there, name)
			}
			return err
		}))
	}
	require.ElementsMatch(t, there, in, "docs/architecture.md, in list B, does not name the files that there are, in list A")
}
