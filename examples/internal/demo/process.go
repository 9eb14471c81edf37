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

// Process is a member that runs in a process of its own, seen by the program
// that started it.
type Process struct {
	ID, Zone     string
	HTTP, Gossip string // where it listens
	Service      string // where its service listens, if it said so

	cmd    *exec.Cmd
	stdin  io.Closer
	exited chan struct{} // closed when it has
	err    error         // how; to be read when it has
}

// serving begins the line with which a member says that it serves.
const serving = "serving "

// Spawn starts this program again with the arguments "member -id ID -zone ZONE
// -attached" and the given ones, and waits until the member says where it serves. Further
// lines that it prints are handed to said, one at a time, in order; what it
// prints on standard error goes to this program's. When the context ends first,
// the process is killed.
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

// Kill ends the member as kill -9 does and waits until all that it has said has
// been handed over.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // the error says that it has gone already
	<-p.exited
}

// Stop asks the member to leave in good order and waits until it has. When the
// context ends first, it is killed.
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

// Wait waits until the member has ended, and returns an error unless it did so
// in good order. When the context ends first, it is killed.
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

// stopWithin is how long members may take to stop, on a machine that is busy.
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

// Serving says on w where a member serves, for Spawn to read: its own HTTP, its
// gossip and, if there is one, its service.
func Serving(w io.Writer, http, gossip string, service ...string) error {
	_, err := fmt.Fprintln(w, serving+strings.Join(append([]string{http, gossip}, service...), " "))
	return err
}

// Attached returns a context that ends with ctx, or when in does: a member
// whose standard input is a pipe from the program that started it ends with
// that program, however that ended.
func Attached(ctx context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, in)
	}()
	return ctx
}
