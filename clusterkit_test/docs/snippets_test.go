package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// snippetImports are the packages that Go in the documentation may use.
var snippetImports = append(strings.Fields(`context errors fmt net/http io log os maps log/slog strings sync testing time crypto/tls`),
	withModule(`cluster membership membership/memnet rebalance rebalance/strategytest ring ring/option transport transport/api transport/client transport/route`)...)

func withModule(packages string) []string {
	all := strings.Fields(packages)
	for i := range all {
		all[i] = "github.com/clusterkit/clusterkit/" + all[i]
	}
	return all
}

// snippetScope is what statements in the documentation take for granted.
const snippetScope = `
func _(ctx context.Context, c *cluster.Cluster, r *ring.Ring, w http.ResponseWriter, req *http.Request, handler http.Handler, store cluster.Mover, key string, value, oldKey, newKey []byte) error {
%s
	return nil
}
`

var (
	goBlock  = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	atTop    = regexp.MustCompile(`(?m)^(func|type|var|const) `)
	ellipsis = regexp.MustCompile(`(?m)^\s*…\s*$`)
)

// program makes a file of a snippet: the snippet itself, or its declarations or
// statements with what they need around them. A line with nothing but an ellipsis stands
// for what the reader fills in.
func program(snippet string) string {
	snippet = ellipsis.ReplaceAllString(snippet, "")
	if strings.HasPrefix(snippet, "package ") {
		return snippet
	}
	body := snippet
	if !atTop.MatchString(snippet) {
		body = fmt.Sprintf(snippetScope, snippet)
	}
	body += "\ntype MyStrategy struct{ rebalance.Rendezvous }\n"
	file := "package snippet\n\n"
	for _, path := range snippetImports {
		if regexp.MustCompile(`\b` + filepath.Base(path) + `\.[A-Z]`).MatchString(body) {
			file += fmt.Sprintf("import %q\n", path)
		}
	}
	return file + body
}

// TestDocumentationCompiles builds every piece of Go in the documentation.
func TestDocumentationCompiles(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the compiler")
	}
	root, overlay, where := documents.Root(t), make(map[string]string), make(map[string]string)
	overlayFile := filepath.Join(t.TempDir(), "overlay.json")
	args := []string{"build", "-gcflags=-e", "-o", os.DevNull, "-overlay", overlayFile}
	for name, content := range documents.Read(t) {
		for i, block := range goBlock.FindAllStringSubmatch(content, -1) {
			dir, file := fmt.Sprintf("snippet%d", len(where)), filepath.Join(t.TempDir(), "snippet.go")
			require.NoError(t, os.WriteFile(file, []byte(program(block[1])), 0o600))
			overlay[filepath.Join(root, dir, "snippet.go")] = file
			where[file] = fmt.Sprintf("%s, piece %d of Go", name, i+1)
			args = append(args, "./"+dir)
		}
	}
	require.NotEmpty(t, where)
	content, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlayFile, content, 0o600))
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		file, _, _ := strings.Cut(line, ":")
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "declared and not used") { // a snippet ends where the reader goes on
			t.Errorf("%s does not compile: %s", where[file], line)
		}
	}
	require.True(t, err == nil || len(out) > 0, "%v", err)
}
