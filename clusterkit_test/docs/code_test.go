package docs_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// snippetImports are the packages that Go in the documentation may use.
var snippetImports = strings.Fields(`context errors fmt net/http io log os maps log/slog strings sync testing time crypto/tls` +
	strings.ReplaceAll(` cluster membership membership/memnet rebalance rebalance/strategytest ring ring/option transport transport/api transport/client transport/route`,
		" ", " github.com/clusterkit/clusterkit/"))

// snippetScope declares the names that statements in the documentation use.
const snippetScope = `
func _(ctx context.Context, c *cluster.Cluster, o cluster.Options, journal cluster.Journal, r *ring.Ring, w http.ResponseWriter, req *http.Request, handler http.Handler, store cluster.Mover, key string, value, oldKey, newKey []byte) error {
%s
	return nil
}
`

var (
	goBlock  = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	atTop    = regexp.MustCompile(`(?m)^(func|type|var|const) `)
	ellipsis = regexp.MustCompile(`(?m)^\s*…\s*$`)
	curled   = regexp.MustCompile(`^\$ curl -s '([^' ]+)'$`)
	route    = regexp.MustCompile("`(?:(GET|POST) )?(/(?:v1/[^` ]+|livez|readyz|metrics)(?:[?]verbose)?)`")
)

// program makes a file of a snippet: the snippet, or its declarations or statements with
// the code around them. A line with only an ellipsis stands for the reader's own code.
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
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "declared and not used") { // the reader's own code follows the snippet
			t.Errorf("%s does not compile: %s", where[file], line)
		}
	}
	require.True(t, err == nil || len(out) > 0, "%v", err)
}

// TestDocumentedAnswers sends the requests in the documents to a member, and compares
// the answers with the shown ones. It also sends a request to every route that they
// name.
func TestDocumentedAnswers(t *testing.T) {
	t.Parallel()
	network, err := memnet.New(memnet.Options{})
	require.NoError(t, err)
	c, err := cluster.New(cluster.Options{ // the addresses of the README
		ClusterName: "orders", NodeID: "orders-1", Zone: "eu-1a", GossipAddr: "127.0.0.1:7946",
		Gossip: membership.GossipOptions{Network: network, Profile: membership.Local}, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	require.NoError(t, c.WaitReady(t.Context()))
	ask := func(method, target string) (status int, body string) {
		recorder := httptest.NewRecorder()
		c.Handler().ServeHTTP(recorder, httptest.NewRequest(method, target, strings.NewReader("{}")))
		return recorder.Code, recorder.Body.String()
	}
	for _, s := range documents.HeldBy(t, t.Name()) {
		command := curled.FindStringSubmatch(s.Lines[0])
		require.NotNil(t, command, "%v: not a curl that this test understands: %s", s, s.Lines[0])
		address, err := url.Parse("http://" + command[1])
		require.NoError(t, err)
		status, answer := ask(http.MethodGet, address.RequestURI())
		require.Equal(t, http.StatusOK, status, "%v", s)
		require.Len(t, s.Lines, 2, "%v: one line of answer", s)
		require.Regexp(t, documents.PatternOf(s.Lines[1], nil), strings.TrimSuffix(answer, "\n"), "%v", s)
	}
	for name, content := range documents.Read(t) {
		for _, m := range route.FindAllStringSubmatch(content, -1) {
			method, target := cmp.Or(m[1], http.MethodGet), strings.ReplaceAll(m[2], "{id}", "3521")
			if strings.HasSuffix(target, "=") {
				target += "user:42"
			}
			status, answer := ask(method, target)
			require.NotContains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, status, "%s has %s: %s", name, m[0], answer)
		}
	}
}
