//go:build linux

package docs_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
)

// TestSecurityCommands runs the commands of docs/security.md, in a directory of its
// own. A member uses the files that they create.
func TestSecurityCommands(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "openssl", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the commands need %s: %v", tool, err)
		}
	}
	blocks := regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(documents.Read(t)["docs/security.md"], -1)
	require.Len(t, blocks, 4, "certificates, authority, tokens, gossip keys")
	script := func(block int) (lines string) {
		for line := range strings.Lines(blocks[block][1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok || strings.HasPrefix(line, "    ") {
				lines += command
			}
		}
		return lines
	}
	dir := t.TempDir()
	shell := func(script string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "bash", "-euc", script)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", script, out)
		return string(out)
	}
	shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=first")
	shell("echo read 0123456789abcdef0123456789abcdef > tokens")
	making, showing, found := strings.Cut(strings.ReplaceAll(script(0), "10.0.0.1", "127.0.0.1"), "openssl s_client")
	require.True(t, found)
	shell(making)

	c, err := cluster.New(cluster.Options{
		ClusterName: "security", NodeID: "orders-1", GossipAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0",
		Gossip: membership.GossipOptions{Profile: membership.Local},
		HTTP: cluster.HTTPOptions{
			Server: transport.ServerOptions{TLS: client.TLSOptions{CertFile: filepath.Join(dir, "tls.pem"), KeyFile: filepath.Join(dir, "tls.key")}},
			Guard:  transport.GuardOptions{TokenFile: filepath.Join(dir, "tokens")},
		},
	})
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context()))
	defer func() { require.NoError(t, c.Stop(context.Background())) }()

	at := strings.NewReplacer("127.0.0.1:8443", c.HTTPAddr(), "10.0.0.1:8443", c.HTTPAddr()).Replace
	require.Contains(t, shell(at("openssl s_client"+showing)), "notAfter=")

	// The member checks its files once a second: curl is run until it is admitted.
	tokens := strings.Replace(at(script(2)), "curl -s ", "curl -sf --retry 20 --retry-delay 1 --retry-all-errors ", 1)
	require.Contains(t, shell("old=0123456789abcdef0123456789abcdef\n"+tokens), `"clusterName":"security"`)
	require.NotContains(t, shell("cat tokens"), "0123456789abcdef")

	shell(script(1))
	require.Len(t, strings.TrimSpace(shell(script(3))), 44, "32 bytes in base64")
}

// Every test that the page on security names exists.
func TestSecurityClaimsHaveTests(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	var sources strings.Builder
	err = filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		_, _ = sources.Write(text) // to memory
		return err
	})
	require.NoError(t, err)
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9]+)`").FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		require.Contains(t, sources.String(), "\nfunc "+name[1]+"(", name[1])
	}
}
