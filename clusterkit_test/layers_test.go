package clusterkit_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/clusterkit/clusterkit"

// TestLayers compares the direct imports of every package, and so all its dependencies,
// with the layer rule of docs/architecture.md.
func TestLayers(t *testing.T) {
	const (
		answer     = module + "/transport/internal/answer"
		bound      = module + "/transport/internal/bound"
		credential = module + "/transport/internal/credential"
		direct     = module + "/transport/internal/direct"
		page       = module + "/transport/internal/page"
		reload     = module + "/transport/internal/reload"
		retry      = module + "/transport/internal/retry"
		slot       = module + "/transport/internal/slot"
		tally      = module + "/transport/internal/tally"
		tlsfiles   = module + "/transport/internal/tlsfiles"
		wire       = module + "/transport/internal/wire"
		lifecycle  = module + "/membership/lifecycle"
		usercode   = module + "/membership/usercode"
		printable  = module + "/membership/printable"
		hostport   = module + "/membership/hostport"
		stopping   = module + "/ring/stopping"
	)
	allowed := map[string][]string{
		"ring":                             {module + "/ring/option", "github.com/cespare/xxhash/v2"},
		"ring/option":                      {},
		"ring/stopping":                    {module + "/ring"},
		"rebalance":                        {module + "/ring", module + "/ring/option", "github.com/buraksezer/consistent", "github.com/cespare/xxhash/v2"},
		"rebalance/strategytest":           {module + "/ring"},
		"membership":                       {module + "/membership/internal/guard", module + "/membership/internal/packetstream", module + "/membership/internal/tether", hostport, lifecycle, printable, usercode, module + "/ring/option", "github.com/hashicorp/memberlist", "github.com/hashicorp/go-sockaddr", "github.com/cespare/xxhash/v2"},
		"membership/hostport":              {},
		"membership/lifecycle":             {},
		"membership/printable":             {},
		"membership/usercode":              {},
		"membership/internal/guard":        {module + "/membership/internal/intake", "github.com/hashicorp/memberlist"},
		"membership/internal/intake":       {},
		"membership/internal/tether":       {"github.com/cespare/xxhash/v2"},
		"membership/internal/packetstream": {module + "/membership/internal/intake", "github.com/hashicorp/memberlist"},
		"membership/memnet":                {module + "/ring/option", "github.com/hashicorp/memberlist"},
		"transport/api":                    {module + "/ring", module + "/ring/option", module + "/rebalance"},
		"transport/client":                 {module + "/ring", module + "/ring/option", module + "/rebalance", module + "/transport/api", answer, bound, credential, direct, reload, slot, tlsfiles, wire},
		"transport/route": {module + "/ring", module + "/ring/option", module + "/rebalance", module + "/membership",
			module + "/transport/api", module + "/transport/client", bound, direct, retry, tally, usercode, wire},
		"transport": {module + "/ring", module + "/ring/option", module + "/rebalance", module + "/membership",
			module + "/transport/api", module + "/transport/client", module + "/transport/route", answer, page, bound, credential, reload, tlsfiles, wire, printable, stopping, usercode,
			"golang.org/x/time/rate", "github.com/prometheus/client_golang/prometheus", "github.com/prometheus/common/expfmt"},
		"transport/internal/answer":     {module + "/ring", module + "/transport/api"},
		"transport/internal/bound":      {module + "/ring/option"},
		"transport/internal/credential": {},
		"transport/internal/direct":     {slot},
		"transport/internal/page":       {module + "/ring", module + "/rebalance", module + "/transport/api"},
		"transport/internal/reload":     {},
		"transport/internal/retry":      {},
		"transport/internal/slot":       {},
		"transport/internal/tally":      {},
		"transport/internal/tlsfiles":   {reload, wire},
		"transport/internal/wire":       {module + "/transport/api"},
		"transport/internal/testkit": {module + "/ring", module + "/membership", lifecycle, module + "/transport", module + "/transport/api",
			module + "/transport/client", module + "/transport/route", module + "/clusterkit_test/pki", "github.com/stretchr/testify/require"},
		"cluster": {module + "/ring", module + "/ring/option", module + "/rebalance", module + "/membership", hostport, lifecycle, usercode,
			module + "/transport", module + "/transport/api", module + "/transport/client", module + "/transport/route",
			module + "/cluster/internal/view", module + "/cluster/internal/handoff", module + "/cluster/internal/alarm"},
		"cluster/internal/view":    {module + "/ring", module + "/membership", stopping, usercode, "github.com/cespare/xxhash/v2"},
		"cluster/internal/handoff": {module + "/ring"},
		"cluster/internal/alarm":   {},
		"cluster/handofftest":      {module + "/ring", module + "/rebalance", module + "/cluster", module + "/membership", module + "/membership/memnet", module + "/transport/api"},
	}
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		fields := strings.Fields(line)
		name := strings.TrimPrefix(fields[0], module+"/")
		imports := slices.DeleteFunc(fields[1:], isStandard)
		if strings.HasPrefix(name, "examples/") || strings.HasPrefix(name, "bench") || strings.HasPrefix(name, "clusterkit_test") {
			for _, path := range imports {
				require.NotContains(t, path, "memberlist", "%s: examples and benchmarks use the public interface", name)
				require.NotContains(t, []string{hostport, lifecycle, printable, stopping, usercode}, path, "%s: examples and benchmarks use what is for other programs", name)
			}
			continue
		}
		rule, known := allowed[name]
		require.True(t, known, "package %s has no place in the layer rule", name)
		for _, path := range imports {
			require.Contains(t, rule, path, "%s may not import %s", name, path)
		}
	}
}

// TestPureLayers requires that ring, rebalance and all their dependencies use no
// network, clock or logger.
func TestPureLayers(t *testing.T) {
	for _, name := range []string{"ring", "ring/option", "rebalance"} {
		for _, path := range goList(t, "-deps", "./"+name) {
			require.NotContains(t, []string{"net", "net/http", "log", "log/slog", "os/exec", "math/rand", "math/rand/v2"}, path,
				"%s depends on %s", name, path)
		}
	}
}

// TestClientsLinkNeitherGossipNorMetrics, so that a program that only asks over HTTP
// stays small.
func TestClientsLinkNeitherGossipNorMetrics(t *testing.T) {
	for _, path := range goList(t, "-deps", "./transport/client") {
		require.NotContains(t, path, "memberlist")
		require.NotContains(t, path, "prometheus")
		require.NotEqual(t, module+"/membership", path)
	}
}

func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	require.NoError(t, err, "go list %v", args)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
