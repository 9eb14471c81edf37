package docs_test

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

var (
	curled = regexp.MustCompile(`^\$ curl -s '([^' ]+)'$`)
	route  = regexp.MustCompile("`(?:(GET|POST) )?(/(?:v1/[^` ]+|livez|readyz|metrics)(?:[?]verbose)?)`")
	said   = regexp.MustCompile("`(/[a-z0-9/]+)` says `(\"[^`]+)`")
)

// TestDocumentedAnswers asks a member what the documents ask one, and holds the
// answers that they show against its own.
func TestDocumentedAnswers(t *testing.T) {
	t.Parallel()
	network, err := memnet.New(memnet.Options{})
	require.NoError(t, err)
	// As in the README; nobody else answers.
	c, err := cluster.New(cluster.Options{
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

	docs := documents.Read(t)
	quoted := 0
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		for _, m := range route.FindAllStringSubmatch(docs[name], -1) {
			method, target := m[1], strings.ReplaceAll(m[2], "{id}", "3521")
			if method == "" {
				method = http.MethodGet
			}
			if strings.HasSuffix(target, "=") {
				target += "user:42"
			}
			status, answer := ask(method, target)
			require.NotContains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, status, "%s has %s: %s", name, m[0], answer)
		}
		for _, m := range said.FindAllStringSubmatch(docs[name], -1) {
			quoted++
			_, answer := ask(http.MethodGet, m[1])
			require.Contains(t, answer, m[2], "%s: what %s says", name, m[1])
		}
	}
	require.NotZero(t, quoted, "docs/operations.md has one")

	// Fields that the text names.
	for _, f := range []struct{ document, text, target, field string }{
		{"docs/troubleshooting.md", "`problems` says what is wrong by a code and in words", "/v1/health", `"problems":[{"code":"under-replicated","message":"`},
		{"docs/troubleshooting.md", "`differing` who does not hold\nthis member's view", "/v1/health", `"differing":[`},
		{"docs/troubleshooting.md", "are marked `critical` in\n`/v1/health`", "/v1/health", `"critical":false`},
		{"docs/troubleshooting.md", "`configuration` in `/v1/ring` of each", "/v1/ring", `"configuration":"rf3:balanced/1"`},
		{"docs/operations.md", "`/v1/ring`, whose `configuration` says", "/v1/ring", `"configuration":"rf3:balanced/1"`},
		{"docs/protocol.md", "a list such as `rf3:balanced/1`", "/v1/ring", `"configuration":"rf3:balanced/1"`},
		{"examples/node/README.md", "the fingerprint in `/v1/health`", "/v1/health", `"fingerprint":"`},
	} {
		require.Contains(t, docs[f.document], f.text, "%s", f.document)
		_, answer := ask(http.MethodGet, f.target)
		require.Contains(t, answer, f.field, "%s: %s", f.document, f.text)
	}
	require.Contains(t, docs["docs/protocol.md"], "Tokens and\nfingerprints are 16 hexadecimal digits")
	for target, field := range map[string]string{"/v1/lookup?key=user:42": "token", "/v1/health": "fingerprint", "/v1/ring": "fingerprint"} {
		_, answer := ask(http.MethodGet, target)
		require.Regexp(t, `"`+field+`":"[0-9a-f]{16}"`, answer, target)
	}
}
