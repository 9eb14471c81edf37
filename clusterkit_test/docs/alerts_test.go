package docs_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// TestRunbookLinksResolve requires that the link of each alert leads to a heading of a document, and that
// each problem that an alert names is one that health can have.
func TestRunbookLinksResolve(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(documents.Root(t), "docs", "alerts.yml"))
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	c, err := cluster.New(cluster.Options{ClusterName: "orders", NodeID: "n1", GossipAddr: "127.0.0.1:0"})
	require.NoError(t, err)
	problems, pages, links, codes := c.Metrics().Problems, documents.Read(t), 0, 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			link, err := url.Parse(rule.Annotations["runbook_url"])
			require.NoError(t, err, rule.Alert)
			page, in := strings.CutPrefix(link.Path, "/clusterkit/clusterkit/blob/main/")
			require.True(t, in, "%s: %v", rule.Alert, link)
			require.True(t, anchors(pages[page])[link.Fragment], "%s: %v leads to no heading", rule.Alert, link)
			links++
			for _, match := range regexp.MustCompile(`code=~?"([^"]+)"`).FindAllStringSubmatch(rule.Expr, -1) {
				if !strings.Contains(rule.Expr, "clusterkit_problem") {
					continue
				}
				for code := range strings.SplitSeq(match[1], "|") {
					require.Contains(t, problems, code, rule.Alert)
					codes++
				}
			}
		}
	}
	require.Greater(t, links, 20)
	require.Greater(t, codes, 8)
}
