package hostile

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

const (
	partitions    = 4096
	configuration = "rf3:balanced/1"
	memberEnv     = "CLUSTERKIT_HOSTILE_MEMBER"
)

// TestMain runs a member in place of the tests when the environment says so.
func TestMain(m *testing.M) {
	if id := os.Getenv(memberEnv); id != "" {
		if err := runMember(id, os.Args[1], os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, id, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// options are those of a member at an IP address. A key of length zero means none.
func options(id, ip, key string, seeds []string) cluster.Options {
	o := cluster.Options{
		ClusterName: clusterName, NodeID: id, GossipAddr: ip + ":0", HTTPAddr: ip + ":0", Seeds: seeds, PartitionCount: partitions,
		Logger:    slog.New(slog.DiscardHandler),
		Bootstrap: cluster.BootstrapOptions{Timeout: 30 * time.Second},
	}
	if key != "" {
		o.Gossip.Keys = membership.Keys{[]byte(key)}
	}
	return o
}

// state is what a member says of itself.
type state struct {
	HTTP, Gossip string
	Nonce        uint64
	Goroutines   int
	Failed       int // honest members that it has declared failed
	Members      []string
}

// runMember runs a member until its standard input ends. Its first line of output is the address at
// which it answers with its state.
func runMember(id, ip string, rest []string) error {
	c, err := cluster.New(options(id, ip, rest[0], rest[1:]))
	if err != nil {
		return err
	}
	var failed atomic.Int64
	go func() {
		for e := range c.Events(context.Background()) {
			if e.Kind == cluster.MemberFailed && e.Member != nil && strings.HasPrefix(e.Member.ID, "n") {
				failed.Add(1)
			}
		}
	}()
	if err := c.Start(context.Background()); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" {
				debug.FreeOSMemory()
			}
			s := state{HTTP: c.HTTPAddr(), Gossip: c.Local().Addr.String(), Nonce: c.Local().Start.Nonce, Goroutines: runtime.NumGoroutine(), Failed: int(failed.Load())}
			for _, m := range c.Members() {
				s.Members = append(s.Members, m.ID)
			}
			_ = json.NewEncoder(w).Encode(s)
		}))
	}()
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// process is a member that runs as a process.
type process struct {
	cmd     *exec.Cmd
	control string
	state
}

// startProcess starts a member. It ends with the test.
func startProcess(t *testing.T, id, ip, key string, seeds ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{ip, key}, seeds...)...)
	cmd.Env = append(os.Environ(), memberEnv+"="+id)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	p := &process{cmd: cmd, control: strings.TrimSpace(line)}
	p.state = p.ask(t, false)
	return p
}

// control keeps no connection: members count goroutines.
var control = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask returns the state of a member. With collect the member first returns memory that it does not
// use to the system.
func (p *process) ask(t *testing.T, collect bool) (s state) {
	t.Helper()
	url := "http://" + p.control
	if collect {
		url += "/?collect"
	}
	resp, err := control.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
	return s
}

// busy returns the processor time that a member has used.
func (p *process) busy(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), ") ") // the name of the program may have blanks
	require.True(t, found)
	fields, ticks := strings.Fields(after), int64(0)
	for _, field := range fields[11:13] { // of the program, and of the system for it
		n, err := strconv.ParseInt(field, 10, 64)
		require.NoError(t, err)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

// resident returns the resident memory of a member in bytes.
func (p *process) resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "VmRSS:")
	require.True(t, found)
	n, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	require.NoError(t, err)
	return n << 10
}
