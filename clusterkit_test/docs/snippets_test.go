package docs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

const module = "github.com/clusterkit/clusterkit"

// snippetImports are what code in the documentation may use, by the name it has
// there.
var snippetImports = map[string]string{
	"cluster": module + "/cluster", "membership": module + "/membership", "memnet": module + "/membership/memnet",
	"rebalance": module + "/rebalance", "ring": module + "/ring", "strategytest": module + "/rebalance/strategytest",
	"transport": module + "/transport", "api": module + "/transport/api", "client": module + "/transport/client", "route": module + "/transport/route",
	"option":  module + "/ring/option",
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "io": "io", "log": "log", "os": "os",
	"maps": "maps", "slog": "log/slog", "strings": "strings", "sync": "sync", "testing": "testing", "time": "time", "tls": "crypto/tls",
}

// snippetScope is what statements in the documentation take for granted.
const snippetScope = `
type MyStrategy struct{ rebalance.Rendezvous }

func _(ctx context.Context, c *cluster.Cluster, r *ring.Ring, w http.ResponseWriter, req *http.Request, handler http.Handler, store cluster.Mover, key string, value, oldKey, newKey []byte) error {
%s
	return nil
}
`

var (
	goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	atTop   = regexp.MustCompile(`(?m)^(func|type|var|const) `)
	use     = regexp.MustCompile(`\b([a-z][a-zA-Z]*)\.[A-Z]`)
)

// program makes a file of a snippet: itself when it is one, or else its
// declarations or statements with what they need around them. A line of nothing
// but an ellipsis stands for what the reader knows to fill in.
func program(snippet string) string {
	snippet = regexp.MustCompile(`(?m)^\s*…\s*$`).ReplaceAllString(snippet, "")
	if strings.HasPrefix(snippet, "package ") {
		return snippet
	}
	body := "\ntype MyStrategy struct{ rebalance.Rendezvous }\n" + snippet
	if !atTop.MatchString(snippet) {
		body = fmt.Sprintf(snippetScope, snippet)
	}
	paths := make(map[string]bool)
	for _, u := range use.FindAllStringSubmatch(body, -1) {
		if path := snippetImports[u[1]]; path != "" {
			paths[path] = true
		}
	}
	var file strings.Builder
	file.WriteString("package snippet\n\n")
	for path := range paths {
		fmt.Fprintf(&file, "import %q\n", path)
	}
	return file.String() + body
}

// TestDocumentationCompiles builds every piece of Go in the documentation.
func TestDocumentationCompiles(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the compiler")
	}
	root := documents.Root(t)
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	where := make(map[string]string)
	packages := []string{"build", "-gcflags=-e", "-o", os.DevNull, "-overlay", filepath.Join(t.TempDir(), "overlay.json")}
	docs := documents.Read(t)
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		for i, block := range goBlock.FindAllStringSubmatch(docs[name], -1) {
			dir := fmt.Sprintf("snippet%d", len(where))
			file := filepath.Join(t.TempDir(), "snippet.go")
			require.NoError(t, os.WriteFile(file, []byte(program(block[1])), 0o600))
			overlay.Replace[filepath.Join(root, dir, "snippet.go")] = file
			where[file] = fmt.Sprintf("%s, piece %d of Go", name, i+1)
			packages = append(packages, "./"+dir)
		}
	}
	require.NotEmpty(t, where)
	content, err := json.Marshal(overlay)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(packages[5], content, 0o600))
	cmd := exec.CommandContext(t.Context(), "go", packages...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "#") || strings.Contains(line, "declared and not used") {
			continue // a snippet ends where the reader goes on
		}
		file, _, _ := strings.Cut(line, ":")
		assert.Fail(t, "does not compile", "%s: %s", where[file], line)
	}
	if len(out) == 0 {
		require.NoError(t, err)
	}
}
