package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/clusterkit/clusterkit/transport"
)

// process is a member that runs as a process of its own: this program again.
type process struct {
	id, zone              string
	gossip, http, service string // where it listens
	cmd                   *exec.Cmd
	stdin                 io.Closer // it ends when this is closed, whoever closes it
}

// spawn starts a member and waits until it serves. When the context ends first, the
// member is killed.
func spawn(ctx context.Context, s settings, id, zone, join string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"-member", id, "-zone", zone, "-join", join, "-link", s.link.String()}
	if s.verbose {
		args = append(args, "-v")
	}
	p := &process{id: id, zone: zone, cmd: exec.Command(self, args...)}
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	said, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", id, err)
	}
	waited := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() }) // it may have gone already
	defer waited()
	line, err := bufio.NewReader(said).ReadString('\n')
	if err == nil {
		_, err = fmt.Sscan(line, &p.gossip, &p.http, &p.service)
	}
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("starting %s: it said %q: %w", id, line, err)
	}
	return p, nil
}

// kill ends the process at once; the others are not told.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have gone already
	_ = p.cmd.Wait()         // killed: that is no news
}

// stop ends the process in good order.
func (p *process) stop() {
	_ = p.stdin.Close() // which it takes for the end
	_ = p.cmd.Wait()    // how it ended does not matter any more
}

// health asks a member how it is.
func (p *process) health(ctx context.Context) (answer transport.HealthAnswer, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.http+"/v1/health", nil)
	if err != nil {
		return answer, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer, err
	}
	defer func() { _ = response.Body.Close() }()
	return answer, json.NewDecoder(response.Body).Decode(&answer)
}

// agree waits until the members know each other, nobody else, and that all do.
func agree(ctx context.Context, all []*process) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		agreed := true
		for _, p := range all {
			h, err := p.health(ctx)
			agreed = agreed && err == nil && h.Members == len(all) && h.Agreed
		}
		if agreed {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d members do not agree: %w", len(all), context.Cause(ctx))
		}
	}
}
