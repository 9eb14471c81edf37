//go:build linux

package process_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// testPrometheus lets a Prometheus server scrape a cluster, as docs/metrics.md shows. Then it queries the
// metrics of the cluster.
func testPrometheus(t *testing.T, binary string) {
	server, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed: apt-get install prometheus")
	}
	nodes := startNodes(t, binary)
	requireSameOwners(t, nodes...) // makes lookups, which a metric counts
	var targets []string
	for _, n := range nodes {
		targets = append(targets, n.http)
	}
	dir := t.TempDir()
	config, rules := filepath.Join(dir, "prometheus.yml"), filepath.Join(dir, "alerts.yml")
	text, err := os.ReadFile("../../docs/alerts.yml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(rules, text, 0o600))
	shown := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindStringSubmatch(documents.Read(t)["docs/metrics.md"])
	require.NotNil(t, shown, "docs/metrics.md shows how to scrape")
	const members = `["orders-1:8080", "orders-2:8080", "orders-3:8080"]`
	require.Contains(t, shown[1], members)
	scrape := strings.Replace(shown[1], members, `["`+strings.Join(targets, `", "`)+`"]`, 1)
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\n%s", rules, scrape), 0o600))

	p := prometheus{addr: freeAddr(t)}
	run(t, "prometheus", server, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+p.addr, "--log.level=warn")

	eventually(t, "all three are scraped", noticeLimit, p.says(`sum by (cluster) (clusterkit_ready)`, "cluster=test 3"))
	for query, want := range map[string]string{
		`max by (cluster) (sum by (cluster, instance) (clusterkit_members{state="active"}))`: "cluster=test 3",
		`min by (zone) (clusterkit_members{state="active"})`:                                 "zone=a 1, zone=b 1, zone=c 1",
		`sum(clusterkit_partitions_owned{role="primary"})`:                                   "4096",
		`sum(clusterkit_partitions_owned{role="replica"})`:                                   "8192",
		`count(count_values("fingerprint", clusterkit_view_fingerprint))`:                    "1",
		`count by (node) (clusterkit_member_info)`:                                           "node=n1 1, node=n2 1, node=n3 1",
		`sum(clusterkit_problem)`:                                                            "0",
		`sum by (route) (clusterkit_http_requests_total{route="/v1/lookup"})`:                "route=/v1/lookup 12",
		`count by (__name__) ({__name__=~"go_goroutines|process_open_fds|promhttp_.*"})`:     "__name__=go_goroutines 3, __name__=process_open_fds 3",
		`count(scrape_samples_scraped > 900)`:                                                "",
	} {
		eventually(t, query+" is "+want, joinLimit, p.says(query, want))
	}

	nodes[2].kill()
	eventually(t, "the loss is seen", noticeLimit, p.says(`max by (cluster) (clusterkit_members_lost)`, "cluster=test 1"))
	eventually(t, "the alert is waiting", joinLimit, p.says(`count by (alertname) (ALERTS{alertname="ClusterkitUnderReplicated",alertstate="pending"})`,
		"alertname=ClusterkitUnderReplicated 2"))
}

// freeAddr returns an address of loopback with a port that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// prometheus is a Prometheus server that answers queries.
type prometheus struct{ addr string }

// says returns a condition: a query has the wanted answer. An answer is written as labels and value,
// sorted, separated by commas.
func (p prometheus) says(query, want string) func() error {
	return func() error {
		got, err := p.ask(query)
		if err == nil && got != want {
			err = fmt.Errorf("it says %q", got)
		}
		return err
	}
}

func (p prometheus) ask(query string) (string, error) {
	body, err := read(client.Get("http://" + p.addr + "/api/v1/query?query=" + url.QueryEscape(query)))
	if err != nil {
		return "", err
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any // the time, and the value as text
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", err
	}
	var rows []string
	for _, result := range answer.Data.Result {
		var row strings.Builder
		for _, label := range slices.Sorted(maps.Keys(result.Metric)) {
			fmt.Fprintf(&row, "%s=%s ", label, result.Metric[label])
		}
		fmt.Fprint(&row, result.Value[1])
		rows = append(rows, row.String())
	}
	slices.Sort(rows)
	return strings.Join(rows, ", "), nil
}
