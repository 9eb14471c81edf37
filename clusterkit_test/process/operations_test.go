//go:build linux

package process_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
	"github.com/clusterkit/clusterkit/transport/api"
)

// practiceIP is the address of the members of the procedures. No other test has members there.
const practiceIP = "127.0.7.1"

// testOperations types the commands of docs/operations.md, in their order, into one shell. Ports and
// paths differ from those of the page, and the program has been built before. After each section the
// cluster must be as the page says.
func testOperations(t *testing.T, binary string) {
	commands, all, free := sections(t), make([]*node, 4), freeAddresses(t, 8)
	for i := range all {
		all[i] = &node{id: fmt.Sprint("n", i+1), gossip: free[i], http: free[4+i]}
		for heading, text := range commands {
			text = strings.ReplaceAll(text, fmt.Sprint("127.0.0.1:", 7946+i), all[i].gossip)
			commands[heading] = strings.ReplaceAll(text, fmt.Sprint("127.0.0.1:", 8081+i), all[i].http)
		}
	}
	terminal := newShell(t)
	terminal.types(strings.NewReplacer(
		"go build -o /tmp/practice/node ./examples/node", "cp "+binary+" "+terminal.cmd.Dir+"/node", "/tmp/practice", terminal.cmd.Dir,
	).Replace(commands["A cluster to practice on"]))
	awaitAgreed(t, joinLimit, all...)
	original, owners := all[0].ring(t), requireSameOwners(t, all...)
	asBefore := func(what string) {
		t.Helper()
		awaitAgreed(t, joinLimit, all...)
		for _, n := range all {
			require.Equal(t, original.Nodes, n.ring(t).Nodes, "%s, after %s", n.id, what)
			require.Equal(t, original.Fingerprint, n.ring(t).Fingerprint, "%s, after %s", n.id, what)
		}
		require.Equal(t, owners, requireSameOwners(t, all...), "after %s", what)
	}

	// The same commands restart n2, n3 and n4. Meanwhile another member is asked for keys.
	for i, n := range all {
		other := all[(i+1)%len(all)]
		text := strings.NewReplacer("n1", n.id, all[0].http, n.http, all[1].http, other.http).Replace(commands["Rolling restarts and upgrades"])
		other.answers(t, func() { terminal.types(text) })
		asBefore("the restart of " + n.id)
	}

	terminal.types(commands["Taking members or a zone out of service and back"])
	asBefore("Drain and Resume")

	out, back, found := strings.Cut(commands["Take a zone out of service"], "kill -USR2")
	require.True(t, found)
	all[0].answers(t, func() { terminal.types(out) })
	for _, ids := range requireSameOwners(t, all...) {
		slices.Sort(ids)
		require.Equal(t, []string{"n1", "n2"}, ids, "the members of the zone answer, and own nothing")
	}
	all[0].answers(t, func() { terminal.types("kill -USR2" + back) })
	asBefore("the zone is back")

	terminal.types(commands["Changing a weight"])
	awaitAgreed(t, joinLimit, all...)
	requireSameOwners(t, all...)
	for i, n := range all[0].ring(t).Nodes {
		before := original.Nodes[i]
		if n.ID == "n4" {
			require.Equal(t, 3, n.Weight)
			require.Greater(t, n.Owned, before.Owned, "it has a larger share")
			continue
		}
		require.LessOrEqual(t, n.Owned, before.Owned, n.ID)
	}

	terminal.types(commands["Restoring after a loss"]) // nothing is lost, so the commands do not wait
	terminal.types(commands["Ending a whole cluster"])
	requireFree(t, all...)
}

// sections returns the commands of the sections of docs/operations.md, by heading.
func sections(t *testing.T) map[string]string {
	t.Helper()
	found, block := make(map[string]string), regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	page := strings.ReplaceAll(documents.Read(t)["docs/operations.md"], "\n### ", "\n## ")
	for section := range strings.SplitSeq(page, "\n## ") {
		heading, text, _ := strings.Cut(section, "\n")
		for _, lines := range block.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(lines[1]) {
				command, ok := strings.CutPrefix(line, "$ ")
				require.True(t, ok, "%s: not a command: %q", heading, line)
				found[heading] += command
			}
		}
	}
	require.Len(t, found, 7, "testOperations follows these sections and no other one")
	return found
}

// freeAddresses returns different addresses at which no process listens.
func freeAddresses(t *testing.T, count int) (free []string) {
	t.Helper()
	listeners := make([]net.Listener, count) // the listeners stay open until all addresses are known, so that the addresses differ
	for i := range listeners {
		listener, err := net.Listen("tcp", practiceIP+":0")
		require.NoError(t, err)
		listeners[i], free = listener, append(free, listener.Addr().String())
	}
	for _, listener := range listeners {
		require.NoError(t, listener.Close())
	}
	return free
}

// ring asks a member for its ring.
func (n *node) ring(t *testing.T) (answer api.Ring) {
	t.Helper()
	body, err := n.get("/v1/ring")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &answer))
	return answer
}

// answers asks a member for the owners of a key, again and again, while a function runs. Each answer must
// name two owners.
func (n *node) answers(t *testing.T, while func()) {
	t.Helper()
	done, wrong := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(wrong)
		for {
			body, answer, err := n.lookup("user:42")
			if err == nil && len(answer.Owners) != 2 {
				err = fmt.Errorf("%s does not name two owners: %s", n.id, body)
			}
			if err != nil {
				wrong <- err
				return
			}
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	while()
	close(done)
	require.NoError(t, <-wrong)
}

// shell is a bash process, as in a terminal, in a directory of its own.
type shell struct {
	*process
	in    io.Writer
	typed int // how many times commands were typed
}

// newShell starts a shell. When the test ends, the shell is killed with all processes that it has
// started.
func newShell(t *testing.T) *shell {
	t.Helper()
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the commands need %s: %v", tool, err)
		}
	}
	p := &process{t: t, name: "bash", cmd: exec.Command("bash", "-eu"), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = t.TempDir(), withoutSettings(os.Environ())
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // the ProcessState says how the shell ended
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // an error means that all processes have ended already
		<-p.exited
		if t.Failed() {
			t.Logf("%v\n%s%s", p.cmd.ProcessState, &p.stdout, &p.stderr)
			for i := range 4 {
				log, _ := os.ReadFile(filepath.Join(p.cmd.Dir, fmt.Sprintf("n%d.log", i+1)))
				t.Logf("n%d:\n%s", i+1, log)
			}
		}
	})
	return &shell{process: p, in: in}
}

// types types commands, and waits until the commands have ended. Each command must succeed.
func (s *shell) types(commands string) {
	s.t.Helper()
	s.typed++
	end := fmt.Sprint("ended ", s.typed)
	_, err := fmt.Fprintf(s.in, "%s\necho %s\n", commands, end)
	require.NoError(s.t, err)
	eventually(s.t, "these commands end:\n"+commands, joinLimit, func() error {
		select {
		case <-s.exited:
			require.FailNow(s.t, "a command has failed", "%s", commands)
		default:
		}
		if !slices.Contains(s.stdout.lines(), end) {
			return errors.New("they have not")
		}
		return nil
	})
}
