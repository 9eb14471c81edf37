//go:build linux

package process_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// machines makes network namespaces that are like virtual machines of Vagrant. Each has the address 10.0.2.15
// on a network of its own, and an address in 192.168.56.0/24 at which the others reach it. It returns
// their names. It skips the test where namespaces are not permitted.
func machines(t *testing.T, count int) []string {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no program ip")
	}
	prefix := fmt.Sprintf("ckt%d", os.Getpid())
	ip := func(args ...string) error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	network := prefix + "s"
	if err := ip("netns", "add", network); err != nil {
		t.Skipf("network namespaces are not permitted: %v", err)
	}
	t.Cleanup(func() { _ = ip("netns", "del", network) })
	require.NoError(t, ip("-n", network, "link", "add", "bridge0", "type", "bridge"))
	require.NoError(t, ip("-n", network, "link", "set", "bridge0", "up"))
	names := make([]string, 0, count)
	for i := range count {
		name, port := fmt.Sprint(prefix, "m", i), fmt.Sprint("port", i)
		require.NoError(t, ip("netns", "add", name))
		t.Cleanup(func() { _ = ip("netns", "del", name) })
		for _, args := range []string{
			"link set lo up",
			"link add eth0 type veth peer name router", "addr add 10.0.2.15/24 dev eth0", "link set router up", "link set eth0 up",
			"link add eth1 type veth peer name " + port + " netns " + network,
			fmt.Sprintf("addr add 192.168.56.%d/24 dev eth1", 11+i), "link set eth1 up",
		} {
			require.NoError(t, ip(append([]string{"-n", name}, strings.Fields(args)...)...))
		}
		require.NoError(t, ip("-n", network, "link", "set", port, "master", "bridge0", "up"))
		names = append(names, name)
	}
	return names
}

// Three machines pick the same address to announce. The second and the third one say why they do not start,
// and the first one is not disturbed. With addresses at which the others reach them, they agree.
func testSameAddress(t *testing.T, binary string) {
	if os.Getenv("CLUSTERKIT_SIM_FULL") == "" {
		t.Skip("makes network namespaces; CLUSTERKIT_SIM_FULL=1 runs it")
	}
	namespaces := machines(t, 3)
	start := func(i int, args ...string) *node {
		id := fmt.Sprint("n", i+1)
		return &node{id: id, process: run(t, id, "ip", append([]string{
			"netns", "exec", namespaces[i], binary, "-cluster", "test", "-id", id, "-zone", fmt.Sprint(i),
			"-gossip", "0.0.0.0:7946", "-http", "127.0.0.1:8080", "-join", "192.168.56.11:7946,192.168.56.12:7946",
		}, args...)...)}
	}
	says := func(n *node, parts ...string) {
		t.Helper()
		eventually(t, n.id+" says "+strings.Join(parts, ", "), joinLimit, func() error {
			for _, line := range n.stderr.lines() {
				found := true
				for _, part := range parts {
					found = found && strings.Contains(line, part)
				}
				if found {
					return nil
				}
			}
			return errors.New("it does not")
		})
	}
	first := start(0)
	says(first, "several addresses", "picked=10.0.2.15", "eth1 192.168.56.11")
	says(first, "msg=serving")
	settled := strings.Count(first.stderr.String(), "msg=ring-changed")
	for i := 1; i < 3; i++ {
		other := start(i)
		require.Equal(t, 1, other.exit(joinLimit))
		says(other, "no other member reaches this one at 10.0.2.15:7946", "n1 announces the same address", "AdvertiseAddr")
	}
	says(first, "problem=address-conflict", "the address of this member")
	require.LessOrEqual(t, strings.Count(first.stderr.String(), "msg=ring-changed")-settled, 4, "2 for each of the others")
	first.kill()

	all := make([]*node, 3)
	for i := range all {
		all[i] = start(i, "-advertise", fmt.Sprintf("192.168.56.%d", 11+i))
		says(all[i], "msg=serving")
	}
	for i, n := range all {
		for j := range all {
			if i != j {
				says(n, "msg=member-", fmt.Sprintf("member=n%d", j+1), fmt.Sprintf("192.168.56.%d:7946", 11+j))
			}
		}
	}
}
