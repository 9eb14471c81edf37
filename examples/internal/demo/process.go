package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Process is a member in a process of its own, for the program that started it.
type Process struct {
	ID, Zone     string
	HTTP, Gossip string // the address of its HTTP
	Service      string // the address of its service, if it has one

	cmd    *exec.Cmd
	stdin  io.Closer
	exited chan struct{} // closed when the process has ended
	err    error         // how it ended; set before done is closed
}

// serving is the beginning of the line that a member prints when it serves.
const serving = "serving "

// Spawn starts this program again with the arguments "member -id ID -zone ZONE -attached"
// and the given ones. It waits until the member prints its addresses. It passes each
// further line that the member prints to said, in order. Standard error of the member
// goes to that of this program. When the context ends first, Spawn kills the process.
func Spawn(ctx context.Context, id, zone string, said func(line string), args ...string) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", id, err)
	}
	p := &Process{ID: id, Zone: zone, exited: make(chan struct{})}
	p.cmd = exec.Command(program, append([]string{"member", "-id", id, "-zone", zone, "-attached"}, args...)...)
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", id, err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", id, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", id, err)
	}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), serving); ok && p.HTTP == "" {
				p.HTTP, rest, _ = strings.Cut(rest, " ")
				p.Gossip, p.Service, _ = strings.Cut(rest, " ")
				close(ready)
			} else if said != nil {
				said(lines.Text())
			}
		}
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	select {
	case <-ready:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("starting %s: it ended: %w", id, p.err)
	case <-ctx.Done():
		p.Kill()
		return nil, fmt.Errorf("starting %s: it has not said that it serves: %w", id, context.Cause(ctx))
	}
}

// Kill ends the member as kill -9 does, and waits until all lines that it printed have
// been passed on.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // the only error is that the process has ended already
	<-p.exited
}

// Stop tells the member to stop gracefully, and waits until it has ended. When the
// context ends first, Stop kills it.
func (p *Process) Stop(ctx context.Context) error {
	_ = p.stdin.Close() // see Attached
	return p.Wait(ctx)
}

// Signal sends the member a signal.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("sending %v to %s: %w", s, p.ID, err)
	}
	return nil
}

// Wait waits until the member has ended, and returns an error unless it ended
// gracefully. When the context ends first, Wait kills it.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("stopping %s: %w", p.ID, context.Cause(ctx))
	}
	if p.err != nil {
		return fmt.Errorf("stopping %s: %w", p.ID, p.err)
	}
	return nil
}

// stopWithin is how long members may take to stop, also on a busy machine.
const stopWithin = time.Minute

// StopAll stops members at the same time. Members that have not stopped within a
// minute are killed, and the error names them.
func StopAll(members []*Process) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), stopWithin, fmt.Errorf("still running after %v", stopWithin))
	defer cancel()
	failed := make(chan error, len(members))
	for _, p := range members {
		go func() { failed <- p.Stop(ctx) }()
	}
	errs := make([]error, 0, len(members))
	for range members {
		errs = append(errs, <-failed)
	}
	return errors.Join(errs...)
}

// Serving writes the addresses of a member to w, for Spawn to read: of its HTTP, its
// gossip and, if there is one, its service.
func Serving(w io.Writer, http, gossip string, service ...string) error {
	_, err := fmt.Fprintln(w, serving+strings.Join(append([]string{http, gossip}, service...), " "))
	return err
}

// Attached returns a context that ends with ctx, or when reading from in ends. A member
// whose standard input is a pipe from the program that started it so ends with that
// program, also when that is killed.
func Attached(ctx context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, in)
	}()
	return ctx
}
