package docs_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
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

// TestDocumentedAnswers asks a member what the documents ask one, and compares the
// answers that they show with its own. It also asks for every route that they name.
func TestDocumentedAnswers(t *testing.T) {
	t.Parallel()
	network, err := memnet.New(memnet.Options{})
	require.NoError(t, err)
	c, err := cluster.New(cluster.Options{ // as in the README
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
		for _, m := range said.FindAllStringSubmatch(content, -1) {
			_, answer := ask(http.MethodGet, m[1])
			require.Contains(t, answer, m[2], "%s: what %s says", name, m[1])
		}
	}
}
