package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// TestTroubleshootingIsReproduced sees to it that every symptom that the page on
// troubleshooting knows is brought about by a test, and that the page knows
// every code of a problem.
func TestTroubleshootingIsReproduced(t *testing.T) {
	page := documents.Read(t)["docs/troubleshooting.md"]
	tests := testNames(t)
	name := regexp.MustCompile("`(Test\\w+)`")
	rows := 0
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "| ") || strings.Contains(line, "reproduced by") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "|\n "), " | ")
		named := name.FindAllStringSubmatch(cells[len(cells)-1], -1)
		require.NotEmpty(t, named, "no test in the last column: %s", line)
		for _, n := range named {
			require.True(t, tests[n[1]], "there is no test %s: %s", n[1], line)
		}
	}
	require.Greater(t, rows, 20)

	source, err := os.ReadFile(filepath.Join(documents.Root(t), "transport", "api", "health.go"))
	require.NoError(t, err)
	codes := regexp.MustCompile(`(?m)^\tProblem\w+ += "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(codes), 10)
	for _, c := range codes {
		require.Contains(t, page, "\n| `"+c[1]+"` |", "problem %s", c[1])
	}
}
