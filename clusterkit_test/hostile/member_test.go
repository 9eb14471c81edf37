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
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

const (
	partitions = 4096
	memberEnv  = "CLUSTERKIT_HOSTILE_MEMBER"
	honestEnv  = "CLUSTERKIT_HOSTILE_HONEST"
	attackEnv  = "CLUSTERKIT_HOSTILE_ATTACK"
)

// TestMain runs a member in place of the tests, an honest client, or an attack, when the environment
// says so.
func TestMain(m *testing.M) {
	var err error
	if id := os.Getenv(memberEnv); id != "" {
		err = runMember(id, os.Args[1], os.Args[2:])
	} else if lasts := os.Getenv(honestEnv); lasts != "" {
		err = runHonest(must(time.ParseDuration(lasts)), os.Args[1:])
	} else if name := os.Getenv(attackEnv); name != "" {
		err = runAttack(name)
	} else {
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are those of a member at an IP address. A key of length zero means none. The mode is empty or
// withHandoff.
func options(id, ip, key, mode string, seeds []string) cluster.Options {
	o := cluster.Options{
		ClusterName: clusterName, NodeID: id, GossipAddr: ip + ":0", HTTPAddr: ip + ":0", Seeds: seeds, PartitionCount: partitions,
		Logger:    slog.New(slog.DiscardHandler),
		Bootstrap: cluster.BootstrapOptions{Timeout: 30 * time.Second},
	}
	if key != "" {
		o.Gossip.Keys = membership.Keys{[]byte(key)}
	}
	if mode == withHandoff {
		o.Handoff.Mover, o.ReplicationFactor, o.Gossip.TrustedNetwork = &mover{}, 1, key == ""
	}
	return o
}

// configuration is what members announce that run the options.
var configuration = sync.OnceValue(func() string {
	return must(cluster.New(options("n1", "127.0.0.1", "", "", nil))).Local().Configurations[0]
})

// state is what a member says of itself.
type state struct {
	HTTP, Gossip string
	Nonce        uint64
	Goroutines   int
	Failed       int // honest members that it has declared failed
	Members      []string
	Moving       int   // partitions of which the member waits for anything
	Released     int64 // partitions
}

// runMember runs a member until its standard input ends. Its first line of output is the address at
// which it answers with its state, after doing what the query says.
func runMember(id, ip string, rest []string) error {
	o := options(id, ip, rest[0], rest[1], rest[2:])
	moves, _ := o.Handoff.Mover.(*mover)
	c, err := cluster.New(o)
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
			switch r.URL.RawQuery {
			case "collect":
				debug.FreeOSMemory()
			case "stick":
				moves.stuck.Store(true)
			case "drain":
				go func() { _ = c.Drain(context.Background()) }()
			}
			s := state{HTTP: c.HTTPAddr(), Gossip: c.Local().Addr.String(), Nonce: c.Local().Start.Nonce, Goroutines: runtime.NumGoroutine(), Failed: int(failed.Load())}
			for _, m := range c.Members() {
				s.Members = append(s.Members, m.ID)
			}
			if moves != nil {
				h := c.Handoff().State()
				s.Moving, s.Released = h.Receiving+h.Releasing+h.Sharing, moves.released.Load()
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
func startProcess(t *testing.T, id, ip, key, mode string, seeds ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{ip, key, mode}, seeds...)...)
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
	p.state = p.ask(t, "")
	return p
}

func (p *process) id() string { return p.cmd.Env[len(p.cmd.Env)-1][len(memberEnv)+1:] }

// control keeps no connection: members count goroutines.
var control = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask returns the state of a member. The member first does something: with "collect" it returns memory
// that it does not use to the system, with "stick" it merges no further partition, and with "drain" it
// drains.
func (p *process) ask(t *testing.T, first string) (s state) {
	t.Helper()
	resp, err := control.Get("http://" + p.control + "/?" + first)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
	return s
}

// processors returns the time for which threads of a member have run, and for which they have waited for
// a processor.
func (p *process) processors(t *testing.T) (ran, waited time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	require.NoError(t, err)
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		require.NoError(t, err)
		var run, wait time.Duration
		_, err = fmt.Sscan(string(text), &run, &wait)
		require.NoError(t, err)
		ran, waited = ran+run, waited+wait
	}
	return ran, waited
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
