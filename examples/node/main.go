// Command node runs one member of a cluster as a process of its own. It owns
// keys, answers who owns which over HTTP, and logs a line for every change it
// sees. Take it as the start of a service of yours.
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if err := run(ctx, stop, c, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

// run is a member's life: it joins, works until the context ends, and leaves.
// Before it leaves it calls interrupted, so that a second signal does not wait.
func run(ctx context.Context, interrupted func(), c config, out io.Writer) error {
	logger := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: c.logLevel}))
	c.options.Logger = logger
	member, err := cluster.New(c.options)
	if err != nil {
		return err
	}

	events := member.Events(context.Background()) // from here on until it has stopped
	var following sync.WaitGroup
	following.Go(func() {
		for e := range events {
			logEvent(logger, e)
		}
	})

	started := member.Start(ctx)
	if started == nil {
		logger.Info("serving", "http", member.HTTPAddr(), "gossip", member.Local().Addr)
		<-ctx.Done()
		logger.Info("leaving", "at_most", c.leaveTimeout)
	}
	asked := ctx.Err() != nil
	interrupted()
	leaving, cancel := context.WithTimeout(context.Background(), c.leaveTimeout)
	defer cancel()
	stopped := member.Stop(leaving)
	following.Wait()
	if started != nil && !asked {
		return started
	}
	return stopped
}
