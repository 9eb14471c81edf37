// Command node runs one member of a cluster as a process of its own. It owns keys,
// answers over HTTP which members own a key, forwards requests to the owners of their
// keys, and logs a line for every change that it sees. It can be deployed as it is, and is
// the beginning of a service of your own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
)

func main() {
	c, err := parse(os.Args[1:], os.Environ(), os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(2)
	}
	if err := do(c); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

// do does what the mode says.
func do(c config) error {
	switch c.mode {
	case showsVersion:
		return showVersion(os.Stdout)
	case checksMember:
		return check(context.Background(), c)
	case writesPlace:
		pod, err := kubeFromPod(os.LookupEnv)
		if err != nil {
			return err
		}
		return pod.writePlace(context.Background(), c.kubeNode, c.placeDir)
	default:
		return run(untilSignal(), c, os.Stderr)
	}
}

// errLeave is the cause of a context that ends because the member should leave for
// good.
var errLeave = errors.New("interrupted")

// untilSignal returns a context that ends with the first signal: SIGTERM, or Ctrl-C with the cause
// errLeave. A second signal ends the process.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		var cause error
		if <-signals == os.Interrupt {
			cause = errLeave
		}
		signal.Stop(signals)
		cancel(cause)
	}()
	return ctx
}

// run runs a member: it joins, works until the context ends, and stops. With the cause errLeave, or
// -on-term drain, it drains first, so that it leaves for good. Otherwise it stays an owner for the
// time of a restart.
func run(ctx context.Context, c config, out io.Writer) error {
	logger := c.logger(out)
	c.options.Logger = logger
	if len(c.unknown) > 0 {
		logger.Warn("variables that belong to no flag are ignored: correct their names, or unset them", "variables", c.unknown)
	}
	var echoes service
	echoes.addTo(&c.options)
	member, err := cluster.New(c.options)
	if err != nil {
		return err
	}
	defer echoes.end()
	if err := echoes.begin(member, c.options); err != nil {
		_ = member.Stop(context.Background()) // a member that was not started stops at once
		return err
	}

	events := member.Events(context.Background()) // from now on, until the member has stopped
	var following sync.WaitGroup
	following.Go(func() {
		for e := range events {
			logEvent(logger, e)
		}
	})

	signals := make(chan os.Signal, 8)
	for s, a := range actions() {
		if a != reweigh || c.weightFile != "" {
			signal.Notify(signals, s)
		}
	}
	started := member.Start(ctx)
	if started == nil {
		following.Go(func() { act(ctx, signals, member, c, logger) })
		if err := echoes.announce(ctx, member); err != nil && ctx.Err() == nil {
			logger.Warn("announcing the service", "error", err)
		}
		logger.Info("serving", "http", member.HTTPAddr(), "gossip", member.Local().Addr)
		<-ctx.Done()
		logger.Info("leaving", "at_least", c.stopDelay, "at_most", c.stopDelay+c.leaveTimeout)
	}
	asked := ctx.Err() != nil
	stopped := leave(context.Cause(ctx), member, c, started == nil, logger)
	following.Wait()
	if started != nil && !asked {
		return started
	}
	return stopped
}

// leave stops a member for the cause of a signal. A member that has started goes on serving for
// -stop-delay, while it drains if it is to leave for good.
func leave(cause error, member *cluster.Cluster, c config, serves bool, logger *slog.Logger) error {
	delay := c.stopDelay
	if !serves {
		delay = 0
	}
	leaving, cancel := context.WithTimeout(context.Background(), delay+c.leaveTimeout)
	defer cancel()
	var delayed sync.WaitGroup
	delayed.Go(func() { wait(leaving, delay) })
	if serves && (errors.Is(cause, errLeave) || c.onTerm == onTermDrain) {
		if err := member.Drain(leaving); err != nil {
			logger.Warn("draining", "error", err)
		}
	}
	delayed.Wait()
	return member.Stop(leaving)
}

// wait waits for a time, or until the context ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
