// Command node runs one member of a cluster as a process of its own. It owns keys,
// answers over HTTP which members own a key, and logs a line for every change that it
// sees. Use it as the beginning of a service of your own.
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

	"github.com/clusterkit/clusterkit/cluster"
)

func main() {
	c, err := parse(os.Args[1:], os.LookupEnv, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(2)
	}
	if err := run(untilSignal(), c, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
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

// run runs a member: it joins, works until the context ends, and stops. With the cause errLeave it
// drains first, so that it leaves for good. Otherwise it stays an owner for the time of a restart.
func run(ctx context.Context, c config, out io.Writer) error {
	logger := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: c.logLevel}))
	c.options.Logger = logger
	member, err := cluster.New(c.options)
	if err != nil {
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
		logger.Info("serving", "http", member.HTTPAddr(), "gossip", member.Local().Addr)
		<-ctx.Done()
		logger.Info("leaving", "at_most", c.leaveTimeout)
	}
	asked := ctx.Err() != nil
	leaving, cancel := context.WithTimeout(context.Background(), c.leaveTimeout)
	defer cancel()
	if started == nil && errors.Is(context.Cause(ctx), errLeave) {
		if err := member.Drain(leaving); err != nil {
			logger.Warn("draining", "error", err)
		}
	}
	stopped := member.Stop(leaving)
	following.Wait()
	if started != nil && !asked {
		return started
	}
	return stopped
}
