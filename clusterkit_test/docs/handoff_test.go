package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// The complete example of docs/handoff.md is the source of an example that is run, without
// its imports and what it prints, and is shorter than a screen of 60 lines.
func TestTheHandoffExampleIsRun(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(documents.Root(t), "cluster", "example_mover_test.go"))
	require.NoError(t, err)
	_, code, _ := strings.Cut(string(source), "\n)\n\n")
	code, printed, _ := strings.Cut(code, "\t// Output:\n")
	require.NotEmpty(t, printed)
	code += "}\n"
	require.Less(t, strings.Count(code, "\n"), 60)
	page := documents.Read(t)["docs/handoff.md"]
	if !strings.Contains(page, "```go\n"+code+"```\n") { // without printing the page
		require.Fail(t, "docs/handoff.md must have this code", code)
	}
}

// docs/handoff.md links to each scenario of the state machine.
func TestScenariosAreExplained(t *testing.T) {
	root := documents.Root(t)
	files, err := filepath.Glob(filepath.Join(root, "cluster", "internal", "handoff", "testdata", "*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	page := documents.Read(t)["docs/handoff.md"]
	for _, file := range files {
		path, err := filepath.Rel(filepath.Join(root, "docs"), file)
		require.NoError(t, err)
		if !strings.Contains(page, "]("+filepath.ToSlash(path)+")") {
			require.Fail(t, "docs/handoff.md does not say which rule this shows", path)
		}
	}
}
