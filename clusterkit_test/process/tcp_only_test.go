//go:build linux

package process_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/api"
)

// testTCPOnly runs members in network namespaces whose router forwards TCP and drops UDP. Without
// -tcp-only the members name that problem. With it they have none, and notice a member that is killed.
func testTCPOnly(t *testing.T, binary string) {
	n := newNamespaces(t, 3)
	blocked := n.nodes(binary)
	n.await(blocked, "every member says that UDP is blocked", func(h api.Health) bool {
		return h.Members == 3 && len(h.Problems) == 1 && h.Problems[0].Code == "udp-blocked"
	})
	for _, node := range blocked {
		node.kill()
	}
	nodes := n.nodes(binary, "-tcp-only")
	n.await(nodes, "the members agree without a problem", func(h api.Health) bool {
		return h.Members == 3 && h.Agreed && h.Healthy
	})
	nodes[2].kill()
	n.await(nodes[:2], "the killed member is noticed", func(h api.Health) bool { return h.Members == 2 && h.Agreed })
	for _, node := range nodes {
		require.NotContains(t, node.stdout.String()+node.stderr.String(), "UDP")
	}
}

// namespaces are network namespaces of this test. Their members are in networks of their own, with one
// router between them.
type namespaces struct {
	t    *testing.T
	name string
	size int
}

// newNamespaces makes namespaces, and removes them when the test ends. It skips the test where this
// process may not make them.
func newNamespaces(t *testing.T, size int) *namespaces {
	t.Helper()
	for _, tool := range []string{"ip", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	n := &namespaces{t, fmt.Sprintf("clusterkit-%d-", os.Getpid()), size}
	router := n.name + "router"
	n.add(router)
	steps := [][]string{
		{"-n", router, "link", "set", "lo", "up"},
		{"-n", router, "rule", "add", "pref", "1", "ipproto", "udp", "blackhole"},
		{"netns", "exec", router, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"},
	}
	for i := 1; i <= size; i++ {
		own, near, far := n.of(i), fmt.Sprintf("ck%d", i), "eth0"
		n.add(own)
		steps = append(steps,
			[]string{"-n", router, "link", "add", near, "type", "veth", "peer", "name", far, "netns", own},
			[]string{"-n", router, "addr", "add", fmt.Sprintf("10.213.%d.1/24", i), "dev", near},
			[]string{"-n", router, "link", "set", near, "up"},
			[]string{"-n", own, "addr", "add", fmt.Sprintf("10.213.%d.2/24", i), "dev", far},
			[]string{"-n", own, "link", "set", far, "up"},
			[]string{"-n", own, "link", "set", "lo", "up"},
			[]string{"-n", own, "route", "add", "default", "via", fmt.Sprintf("10.213.%d.1", i)},
		)
	}
	for _, step := range steps {
		if out, err := exec.Command("ip", step...).CombinedOutput(); err != nil {
			t.Skipf("network namespaces are not permitted: ip %v: %v: %s", step, err, out)
		}
	}
	return n
}

func (n *namespaces) add(name string) {
	n.t.Helper()
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		n.t.Skipf("network namespaces are not permitted: %v: %s", err, out)
	}
	n.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
}

func (n *namespaces) of(i int) string { return fmt.Sprint(n.name, i) }

// nodes starts a member in each namespace.
func (n *namespaces) nodes(binary string, args ...string) (all []*process) {
	n.t.Helper()
	for i := 1; i <= n.size; i++ {
		addr := fmt.Sprintf("10.213.%d.2", i)
		all = append(all, run(n.t, fmt.Sprint("n", i), "ip", append([]string{
			"netns", "exec", n.of(i), binary, "-id", fmt.Sprint("n", i), "-profile", "local",
			"-gossip", addr + ":7946", "-http", addr + ":8080", "-join", "10.213.1.2:7946,10.213.2.2:7946",
		}, args...)...))
	}
	return all
}

// await waits until the health of every member satisfies a condition.
func (n *namespaces) await(nodes []*process, what string, holds func(api.Health) bool) {
	n.t.Helper()
	for i := range nodes {
		eventually(n.t, what, time.Minute, func() error {
			url := fmt.Sprintf("http://10.213.%d.2:8080/v1/health", i+1)
			out, err := exec.Command("ip", "netns", "exec", n.of(i+1), "curl", "-s", "--max-time", "2", url).Output()
			if err != nil {
				return err
			}
			var h api.Health
			if err := json.Unmarshal(out, &h); err != nil {
				return err
			}
			if !holds(h) {
				return fmt.Errorf("n%d: %s", i+1, out)
			}
			return nil
		})
	}
}
