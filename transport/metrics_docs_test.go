package transport_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", name))
	require.NoError(t, err)
	return string(text)
}

// TestMetricsAreDocumented compares the tables of docs/metrics.md with what the
// collectors collect: names, types and labels, both ways.
func TestMetricsAreDocumented(t *testing.T) {
	var want []string
	for _, family := range everything(t) {
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			if label.GetName() != "cluster" { // all series have it, as the page says
				labels = append(labels, label.GetName())
			}
		}
		want = append(want, row(family.GetName(), family.GetType(), labels))
	}
	var got []string
	line := regexp.MustCompile("(?m)^\\| `(clusterkit_\\w+)` \\| (\\w+) \\| ([^|]*)\\| ([^|]+)\\| ([^|]*)\\|$")
	for _, match := range line.FindAllStringSubmatch(readDoc(t, "metrics.md"), -1) {
		var labels []string
		for _, label := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(match[3], -1) {
			labels = append(labels, label[1])
		}
		kind, known := dto.MetricType_value[strings.ToUpper(match[2])]
		require.True(t, known, match[0])
		got = append(got, row(match[1], dto.MetricType(kind), labels))
		require.Greater(t, len(match[4]), 10, "%s: what does it mean?", match[1])
	}
	require.ElementsMatch(t, want, got)
	require.Contains(t, readDoc(t, "metrics.md"), "A member with one router has at most 1100 series", "the bound of TestSeriesAreBounded")
}

func row(name string, kind dto.MetricType, labels []string) string {
	slices.Sort(labels)
	return fmt.Sprint(name, " ", kind, " ", labels)
}

// requireKnown requires that every metric, label and label value that a query names
// exists, with exactly that name. The scraper adds the labels instance and job.
func requireKnown(t *testing.T, query string) {
	t.Helper()
	series := make(map[string]map[string][]string) // to their labels, to the possible values
	for _, family := range everything(t) {
		labels := map[string][]string{"instance": nil, "job": nil}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = append(labels[label.GetName()], label.GetValue())
			}
		}
		names := []string{family.GetName()}
		switch family.GetType() {
		case dto.MetricType_SUMMARY:
			names = []string{family.GetName() + "_sum", family.GetName() + "_count"}
		case dto.MetricType_HISTOGRAM:
			names = []string{family.GetName() + "_sum", family.GetName() + "_count", family.GetName() + "_bucket"}
		}
		for _, name := range names {
			series[name] = labels
		}
	}
	found := regexp.MustCompile(`(clusterkit_\w+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(query, -1)
	require.NotEmpty(t, found, query)
	for _, match := range found {
		require.Contains(t, series, match[1], query)
		for _, matcher := range regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)"([^"]*)"`).FindAllStringSubmatch(match[2], -1) {
			require.Contains(t, series[match[1]], matcher[1], "%s: no such label in %s", match[1], query)
			values := series[match[1]][matcher[1]]
			if values == nil || strings.HasPrefix(matcher[2], "!") {
				continue
			}
			for value := range strings.SplitSeq(matcher[3], "|") {
				require.Contains(t, values, value, "%s: the label %s never says so in %s", match[1], matcher[1], query)
			}
		}
	}
}

// dashboard holds the fields of a Grafana dashboard that the test needs.
type dashboard struct {
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []struct {
		ID                       int
		Type, Title, Description string
		Datasource               struct{ Type, UID string }
		GridPos                  struct{ X, Y, W, H int }
		Targets                  []struct{ RefID, Expr string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(readDoc(t, "grafana/clusterkit.json")), &d))
	return d
}

// filled returns a query with Grafana's variables filled in.
func filled(query string) string {
	return strings.NewReplacer("$cluster", "orders", "$instance", ".*", "$__rate_interval", "1m").Replace(query)
}

// queries returns the queries of all panels, filled.
func (d dashboard) queries() (all []string) {
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, filled(target.Expr))
		}
	}
	return all
}

func TestDashboardUsesExistingMetrics(t *testing.T) {
	d := readDashboard(t)
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name+" "+v.Type)
		if v.Type == "query" {
			requireKnown(t, filled(v.Definition))
		}
	}
	require.Equal(t, []string{"datasource datasource", "cluster query", "instance query"}, variables)
	ids := make(map[int]bool)
	cells := make(map[[2]int]string) // the width of the grid
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "panel %d is there twice", p.ID)
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			require.Less(t, x, 24, p.Title)
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Empty(t, cells[[2]int{x, y}], "%s lies on another", p.Title)
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		require.NotEmpty(t, p.Description, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
	}
	for _, query := range d.queries() {
		requireKnown(t, query)
		require.NotContains(t, query, "$", "a variable that is not defined")
	}
	require.Greater(t, len(d.queries()), 25)
}

// runbook is where the links of alerts lead. The name of an alert, in small letters, is the anchor of its
// heading.
const runbook = "https://github.com/clusterkit/clusterkit/blob/main/docs/runbook.md#"

func TestAlertsUseExistingMetrics(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(readDoc(t, "alerts.yml")))
	require.NoError(t, decoder.Decode(&file))
	var names []string
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
			requireKnown(t, rule.Expr)
			require.Contains(t, []string{"warning", "critical"}, rule.Labels["severity"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["description"], rule.Alert)
			require.Equal(t, runbook+strings.ToLower(rule.Alert), rule.Annotations["runbook_url"])
		}
	}
	var described []string
	for _, paragraph := range regexp.MustCompile(`(?m)^### (\w+)\n\n(?:.+\n)+\n(?:.+\n)+`).FindAllStringSubmatch(readDoc(t, "runbook.md"), -1) {
		described = append(described, paragraph[1])
	}
	require.ElementsMatch(t, names, described, "docs/runbook.md has a heading for each alert, what it means, and what to do")
}

// TestPromtool checks the exposed metrics, the alerts, and the dashboard's queries with
// the tool of Prometheus.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: apt-get install prometheus")
	}
	check := func(input string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "promtool %v:\n%s", args, out)
	}
	check(text(t, everything(t)), "check", "metrics")
	check("", "check", "rules", filepath.Join("..", "docs", "alerts.yml"))
	check("", "test", "rules", filepath.Join("..", "docs", "alerts_test.yml"))

	// The tool can check rules, but no dashboards.
	type rule struct{ Record, Expr string }
	var rules []rule
	for i, query := range readDashboard(t).queries() {
		rules = append(rules, rule{fmt.Sprint("panel:", i), query})
	}
	document, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	require.NoError(t, os.WriteFile(file, document, 0o600))
	check("", "check", "rules", file)
}
