//go:build linux

package process_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/dns/dnsmessage"
)

// composeUser is the user of the image.
const composeUser = 65532

// composition runs the processes of examples/compose/compose.yaml, with the environment of the file, on
// addresses of loopback, behind a DNS server of its own.
type composition struct {
	t            *testing.T
	binary       string
	environments map[string]map[string]string // by the name of the service
	addresses    map[string]string            // IP addresses, by the name of the service
	gossip, http int                          // the ports of all processes
	dns          *dnsServer
	running      map[string]*node
}

func newComposition(t *testing.T, binary string) *composition {
	t.Helper()
	text, err := os.ReadFile("../../examples/compose/compose.yaml")
	require.NoError(t, err)
	var file struct {
		Services map[string]struct {
			Environment map[string]string
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	c := &composition{
		t: t, binary: binary, dns: startDNS(t), environments: make(map[string]map[string]string), addresses: make(map[string]string),
		running: make(map[string]*node),
	}
	network := fmt.Sprintf("127.%d.%d.", 64+os.Getpid()%128, os.Getpid()/128%256)
	var ips []string
	for _, name := range slices.Sorted(maps.Keys(file.Services)) {
		if environment := file.Services[name].Environment; environment["CLUSTERKIT_ID"] != "" {
			c.environments[name] = environment
			c.addresses[name] = network + strconv.Itoa(len(ips)+1)
			ips = append(ips, c.addresses[name])
		}
	}
	require.Len(t, ips, 7, "six members and the router")
	c.gossip, c.http = freePort(t, ips, 7946), freePort(t, ips, 8080)
	return c
}

// freePort returns a port that is free on all addresses, over UDP and TCP: the preferred one where it is.
func freePort(t *testing.T, ips []string, preferred int) int {
	t.Helper()
	free := func(port int) bool {
		for _, ip := range ips {
			addr := net.JoinHostPort(ip, strconv.Itoa(port))
			tcp, err := net.Listen("tcp", addr)
			if err != nil {
				return false
			}
			_ = tcp.Close()
			udp, err := net.ListenPacket("udp", addr)
			if err != nil {
				return false
			}
			_ = udp.Close()
		}
		return true
	}
	for port := preferred; port < preferred+1000; port++ {
		if free(port) {
			return port
		}
	}
	require.FailNow(t, "no port is free", "from %d", preferred)
	return 0
}

// start runs a process with the environment of the file. Only its addresses and the key differ, because
// all processes are on one machine, and the DNS server is that of the test.
func (c *composition) start(name string, changes ...string) *node {
	c.t.Helper()
	n := &node{
		id:     name,
		gossip: net.JoinHostPort(c.addresses[name], strconv.Itoa(c.gossip)),
		http:   net.JoinHostPort(c.addresses[name], strconv.Itoa(c.http)),
	}
	cmd := exec.Command(c.binary)
	for variable, value := range c.environments[name] {
		switch {
		case variable == "CLUSTERKIT_GOSSIP":
			require.Equal(c.t, "0.0.0.0:7946", value)
			value = n.gossip
		case variable == "CLUSTERKIT_HTTP":
			require.Equal(c.t, "0.0.0.0:8080", value)
			value = n.http
		case strings.HasPrefix(value, "${CLUSTERKIT_KEY:?"):
			value = strings.Repeat("00112233", 8)
		}
		require.NotContains(c.t, value, "$", variable)
		cmd.Env = append(cmd.Env, variable+"="+value)
	}
	cmd.Env = append(cmd.Env, "CLUSTERKIT_DNS_SERVER="+c.dns.addr)
	cmd.Env = append(cmd.Env, changes...)
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: composeUser, Gid: composeUser}}
	}
	n.process = start(c.t, name, cmd)
	c.running[name] = n
	return n
}

// members are the names of the services that own.
func (c *composition) members() (names []string) {
	for name, environment := range c.environments {
		if environment["CLUSTERKIT_OBSERVER"] == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// publish gives the name of the members the addresses of some of them. The IPv6 address beside them
// leads nowhere, as on a host whose IPv6 does not work.
func (c *composition) publish(names ...string) {
	addrs := []netip.Addr{netip.MustParseAddr("::1")}
	for _, name := range names {
		addrs = append(addrs, netip.MustParseAddr(c.addresses[name]))
	}
	c.dns.set("members", addrs...)
}

// agreed waits until all processes that run agree.
func (c *composition) agreed() {
	c.t.Helper()
	awaitAgreed(c.t, joinLimit, slices.Collect(maps.Values(c.running))...)
}

// testCompose runs the members of the Compose file: they form a cluster, a rolling restart loses no
// request, Prometheus scrapes them, every panel of the dashboard has data, and the loss of a zone
// fires its alert and no other critical one.
func testCompose(t *testing.T, binary string) {
	c := newComposition(t, binary)

	// The records change while the members start: the first lookups find nobody, or some.
	members := c.members()
	c.start(members[0])
	c.publish(members[0])
	for _, name := range members[1:] {
		c.start(name)
	}
	c.publish(members...)
	// The router finds the members by SRV records, which name hosts.
	const srv = "_gossip._udp.members"
	var records []dnsmessage.SRVResource
	for _, name := range members[:2] {
		host := name + ".members"
		c.dns.set(host, netip.MustParseAddr(c.addresses[name]))
		records = append(records, dnsmessage.SRVResource{Port: uint16(c.gossip), Target: dnsmessage.MustNewName(host + ".")})
	}
	c.dns.setSRV(srv, records...)
	delete(c.environments["router"], "CLUSTERKIT_DNS")
	router := c.start("router", "CLUSTERKIT_SRV="+srv)
	c.agreed()
	for _, of := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeSRV} {
		require.Positive(t, c.dns.count(of), "%v", of)
	}
	if os.Getuid() == 0 {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", router.cmd.Process.Pid))
		require.NoError(t, err)
		require.Regexp(t, fmt.Sprintf(`\nUid:\t%d\t`, composeUser), string(status))
	}
	requireCheck(t, c, members[0])

	monitoring, installed := c.prometheus()
	lost := c.load(router)
	for _, name := range members {
		c.running[name].signal(syscall.SIGTERM)
		require.Equal(t, 0, c.running[name].exit(exitLimit), name)
		c.start(name)
		c.agreed()
	}
	lost()

	if !installed {
		t.Skip("prometheus is not installed: apt-get install prometheus")
	}
	eventually(t, "all seven are scraped", noticeLimit, monitoring.says(`sum(up) + sum(clusterkit_ready)`, "14"))
	c.panels(monitoring)
	eventually(t, "no critical alert", noticeLimit, monitoring.says(criticalAlerts, ""))
	for _, name := range members {
		if c.environments[name]["CLUSTERKIT_ZONE"] == "c" {
			c.running[name].kill()
			delete(c.running, name)
		}
	}
	eventually(t, "the alert of the zone, and no other critical one", noticeLimit, monitoring.says(criticalAlerts, "alertname=ClusterkitZoneGone cluster=orders region=eu zone=c 1"))
	c.agreed()
	eventually(t, "the targets are down", noticeLimit, monitoring.says(`count by (alertname) (ALERTS{alertname="ClusterkitTargetDown",alertstate="firing"})`,
		"alertname=ClusterkitTargetDown 2"))
	require.NoError(t, monitoring.says(criticalAlerts, "alertname=ClusterkitZoneGone cluster=orders region=eu zone=c 1")())
}

const criticalAlerts = `count by (alertname, cluster, region, zone) (ALERTS{severity="critical",alertstate="firing"})`

// requireCheck runs the health check of the image for a member that is ready.
func requireCheck(t *testing.T, c *composition, name string) {
	t.Helper()
	cmd := exec.Command(c.binary, "-check")
	cmd.Env = append(withoutSettings(os.Environ()), "CLUSTERKIT_ID="+name, "CLUSTERKIT_HTTP="+c.running[name].http)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// load sends reads and writes to a router, one after the other, until the returned function is called.
// That function requires that no request was lost.
func (c *composition) load(router *node) (end func()) {
	var sending sync.WaitGroup
	done, requests, nodes := make(chan struct{}), 0, make(map[string]int)
	var failures []string
	sending.Go(func() {
		for ; ; requests++ {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond): // not more load than the machine takes
			}
			method := []string{http.MethodGet, http.MethodPost}[requests%2]
			answer, err := ask(method, fmt.Sprintf("http://%s/echo/user:%d", router.http, requests))
			if err != nil {
				failures = append(failures, fmt.Sprint(method, " number ", requests, ": ", err))
				continue
			}
			nodes[answer]++
		}
	})
	return func() {
		close(done)
		sending.Wait()
		require.Empty(c.t, failures, "of %d requests", requests)
		require.Greater(c.t, requests, 100)
		require.Len(c.t, nodes, len(c.members()), "each member has answered some of %d requests: %v", requests, nodes)
	}
}

// patient sends each request on a connection of its own, and waits for longer than a router does.
var patient = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends a request to the service, and returns the member that has answered.
func ask(method, url string) (string, error) {
	request, err := http.NewRequest(method, url, http.NoBody)
	if err != nil {
		return "", err
	}
	body, err := read(patient.Do(request))
	if err != nil {
		return "", err
	}
	var answer struct{ Node string }
	err = json.Unmarshal(body, &answer)
	return answer.Node, err
}

// shorter is by how much the waits of alerts are shortened.
const shorter = 10

// prometheus runs Prometheus with the configuration of the Compose file and the rules of docs, on the
// addresses of the test, with shorter intervals.
func (c *composition) prometheus() (p prometheus, installed bool) {
	t := c.t
	t.Helper()
	server, err := exec.LookPath("prometheus")
	if err != nil {
		return p, false
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	rules, err := os.ReadFile("../../docs/alerts.yml")
	require.NoError(t, err)
	waits := 0
	write("alerts.yml", regexp.MustCompile(`(?m)^        for: (\S+)$`).ReplaceAllStringFunc(string(rules), func(line string) string {
		wait, err := time.ParseDuration(strings.TrimPrefix(strings.TrimSpace(line), "for: "))
		require.NoError(t, err)
		waits++
		return fmt.Sprintf("        for: %dms", (wait / shorter).Milliseconds())
	}))
	require.Greater(t, waits, 20)
	text, err := os.ReadFile("../../examples/compose/prometheus.yml")
	require.NoError(t, err)
	config := string(text)
	for name, node := range c.running {
		require.Contains(t, config, `"`+name+`:8080"`)
		config = strings.ReplaceAll(config, `"`+name+`:8080"`, `"`+node.http+`"`)
	}
	config = regexp.MustCompile(`_interval: 5s`).ReplaceAllString(config, "_interval: 1s")
	p = prometheus{addr: freeAddr(t)}
	run(t, "prometheus", server, "--config.file="+write("prometheus.yml", config), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+p.addr, "--log.level=warn")
	return p, true
}

// panels requires that every query of the dashboard returns data.
func (c *composition) panels(p prometheus) {
	t := c.t
	t.Helper()
	text, err := os.ReadFile("../../docs/grafana/clusterkit.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	variables, queries := strings.NewReplacer("$cluster", "orders", "$instance", ".*", "$__rate_interval", "1m"), 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries++
			require.NotContains(t, target.LegendFormat, "{{instance}}", "%s: people know names", panel.Title)
			eventually(t, panel.Title+" has data", noticeLimit, func() error {
				answer, err := p.ask(variables.Replace(target.Expr))
				if err == nil && answer == "" {
					err = fmt.Errorf("%s returns nothing", target.Expr)
				}
				return err
			})
		}
	}
	require.Greater(t, queries, 30)
	answer, err := p.ask(`count by (node) (clusterkit_member_info)`)
	require.NoError(t, err)
	require.Equal(t, "node=n1 1, node=n2 1, node=n3 1, node=n4 1, node=n5 1, node=n6 1, node=router 1", answer)
}
