package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// composed loads the Compose file as docker compose does: its schema is checked.
func composed(t *testing.T) *types.Project {
	t.Helper()
	file := filepath.Join(documents.Root(t), "examples", "compose", "compose.yaml")
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  filepath.Dir(file),
		ConfigFiles: []types.ConfigFile{{Filename: file}},
		Environment: types.Mapping{"CLUSTERKIT_KEY": strings.Repeat("00112233", 8)},
	})
	require.NoError(t, err)
	return project
}

func TestComposeFile(t *testing.T) {
	t.Parallel()
	project := composed(t)
	zones, ids := make(map[string]int), make(map[string]bool)
	for name, service := range project.Services {
		for _, mount := range service.Volumes {
			_, err := os.Stat(mount.Source)
			require.NoError(t, err, "%s mounts %s", name, mount.Source)
		}
		if service.Build == nil {
			require.NotContains(t, []string{"", "latest"}, service.Image[strings.LastIndex(service.Image, ":")+1:], "%s: name a version", name)
			continue
		}
		environment := make(map[string]string)
		for variable, value := range service.Environment {
			require.NotNil(t, value, variable)
			environment[variable] = *value
		}
		require.Equal(t, name, environment["CLUSTERKIT_ID"])
		require.False(t, ids[name])
		ids[name] = true
		if environment["CLUSTERKIT_OBSERVER"] == "" {
			zones[environment["CLUSTERKIT_ZONE"]]++
			require.Contains(t, service.Networks["default"].Aliases, environment["CLUSTERKIT_DNS"], "%s is not found by that name", name)
		} else {
			require.Empty(t, service.Networks["default"], "only members have the name that members look up")
			require.Len(t, service.Ports, 1)
			require.EqualValues(t, 8080, service.Ports[0].Target)
		}
		require.Equal(t, "65532:65532", service.User)
		require.True(t, service.ReadOnly)
		require.Equal(t, []string{"ALL"}, service.CapDrop)
		require.Greater(t, time.Duration(*service.StopGracePeriod),
			setting(t, environment, "CLUSTERKIT_STOP_DELAY", "0s")+setting(t, environment, "CLUSTERKIT_LEAVE_TIMEOUT", "10s"))
		context, err := filepath.Abs(service.Build.Context)
		require.NoError(t, err)
		require.Equal(t, documents.Root(t), context)
		environment["CLUSTERKIT_HTTP"] = strings.Replace(environment["CLUSTERKIT_HTTP"], "0.0.0.0:8080", "127.0.0.1:1", 1)
		requireSettings(t, environment, nil)
	}
	require.Equal(t, map[string]int{"a": 2, "b": 2, "c": 2}, zones)
	require.Len(t, ids, 7)
	for name, service := range project.Services {
		if service.Build != nil {
			require.Equal(t, "6", *service.Environment["CLUSTERKIT_EXPECTED"], name)
		}
	}
}

// Prometheus scrapes all processes at their port, with the rules of docs/alerts.yml. Grafana reads that
// Prometheus, and the dashboard of docs.
func TestComposeMonitoring(t *testing.T) {
	t.Parallel()
	project := composed(t)
	var config struct {
		RuleFiles     []string `json:"rule_files"`
		ScrapeConfigs []struct {
			StaticConfigs []struct {
				Targets []string `json:"targets"`
			} `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "examples/compose/prometheus.yml")), &config))
	var want []string
	for name, service := range project.Services {
		if service.Build != nil {
			want = append(want, name+":8080")
		}
	}
	require.ElementsMatch(t, want, config.ScrapeConfigs[0].StaticConfigs[0].Targets)
	mounted := func(service, target string) string {
		for _, mount := range project.Services[service].Volumes {
			if mount.Target == target {
				source, err := filepath.Rel(documents.Root(t), mount.Source)
				require.NoError(t, err)
				return source
			}
		}
		require.FailNow(t, "nothing is mounted", "%s at %s", service, target)
		return ""
	}
	require.Equal(t, []string{"alerts.yml"}, config.RuleFiles)
	require.Equal(t, "docs/alerts.yml", mounted("prometheus", "/etc/prometheus/alerts.yml"))
	require.Equal(t, "examples/compose/prometheus.yml", mounted("prometheus", "/etc/prometheus/prometheus.yml"))

	var sources struct {
		Datasources []struct{ Type, URL string }
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "examples/compose/grafana/datasources/prometheus.yml")), &sources))
	require.Len(t, sources.Datasources, 1)
	require.Equal(t, "http://prometheus:9090", sources.Datasources[0].URL)
	var providers struct {
		Providers []struct {
			Options struct{ Path string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "examples/compose/grafana/dashboards/clusterkit.yml")), &providers))
	require.Equal(t, "docs/grafana", mounted("grafana", providers.Providers[0].Options.Path))
}
