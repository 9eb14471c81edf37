//go:build linux

package process_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a program that this test has started.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdout output
	stderr output
	exited chan struct{} // closed when the program has exited
}

// run starts a program with arguments. When the test ends, a program that still runs is killed. When the
// test has failed, the output of the program is shown.
func run(t *testing.T, name, binary string, args ...string) *process {
	t.Helper()
	return start(t, name, exec.Command(binary, args...))
}

// start is like run, for a command with an environment or a user of its own.
func start(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: cmd, exited: make(chan struct{})}
	p.cmd.Env = append(withoutSettings(os.Environ()), cmd.Env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // the ProcessState says how the program ended
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s %v: %v\n%s%s", name, cmd.Args, p.cmd.ProcessState, &p.stdout, &p.stderr)
		}
	})
	return p
}

// withoutSettings leaves out the environment variables that would change how the programs run.
func withoutSettings(env []string) (kept []string) {
	for _, entry := range env {
		if !strings.HasPrefix(entry, "CLUSTERKIT_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// kill ends the process at once, as kill -9 does, and waits until the process has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error means that the process has ended already
	<-p.exited
}

// signal sends the process a signal.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s), "%s", p.name)
}

// exit waits for the process to end by itself and returns its exit status.
func (p *process) exit(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(limit):
		require.FailNow(p.t, "still running", "%s, after %v", p.name, limit)
	}
	return p.cmd.ProcessState.ExitCode()
}

// output is the output of a process. It can be read while the process runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// lines returns the complete lines of the output until now.
func (o *output) lines() []string {
	lines := strings.Split(o.String(), "\n")
	return lines[:len(lines)-1]
}

// eventually waits until a condition returns nil.
func eventually(t *testing.T, what string, limit time.Duration, condition func() error) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			require.FailNow(t, "never: "+what, fmt.Sprintf("within %v: %v", limit, err))
		}
	}
}
