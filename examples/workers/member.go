package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/examples/internal/demo"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

const (
	partitions = 64
	stepTime   = 200 * time.Millisecond
	retryTime  = time.Second
)

// runMember runs one member: it runs the workers of its partitions until the context
// ends, hands them over, and leaves.
func runMember(ctx context.Context, args []string, in io.Reader, out io.Writer, logger *slog.Logger) (failed error) {
	flags := flag.NewFlagSet("workers member", flag.ContinueOnError)
	id := flags.String("id", "", "this member's name")
	zone := flags.String("zone", "", "where it stands")
	join := flags.String("join", "", "addresses of gossip to join through, separated by commas")
	store := flags.String("store", "", "URL of the store")
	agreement := flags.Duration("agreement", 0, "how long to wait for agreement before workers begin")
	attached := flags.Bool("attached", false, "end when standard input does")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *attached {
		ctx = demo.Attached(ctx, in)
	}

	logger = logger.With("member", *id)
	c, err := cluster.New(cluster.Options{
		ClusterName:    "workers",
		NodeID:         *id,
		Zone:           *zone,
		GossipAddr:     "127.0.0.1:0", // any free port
		HTTPAddr:       "127.0.0.1:0",
		Seeds:          seeds(*join),
		PartitionCount: partitions,
		// Only primaries have workers. With further owners, changes of their order
		// would move workers without need.
		ReplicationFactor: 1,
		Gossip:            membership.GossipOptions{Profile: membership.Local},
		Logger:            logger,
	})
	if err != nil {
		return err
	}
	steps := &Steps{
		Store:  &remote{*store, &http.Client{Timeout: time.Second}},
		Step:   func(ctx context.Context, _ int, _ int64) error { return work(ctx) },
		Retry:  retryTime,
		Logger: logger,
	}
	runner := &Runner{View: c, Job: reported(steps.Run, &log{out: out}), Agreement: *agreement}
	events := c.Events(context.Background()) // until the member has stopped
	var running sync.WaitGroup
	running.Go(func() { runner.Run(events) })

	// First the other members take the partitions over, then this one leaves.
	defer func() {
		leaving, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if failed == nil {
			failed = c.Drain(leaving)
		}
		failed = errors.Join(failed, c.Stop(leaving))
		running.Wait()
	}()
	if err := c.Start(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", *id, err)
	}
	if err := demo.Serving(out, c.HTTPAddr(), c.Local().Addr.String()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// work takes the time of a step. Put your own work here.
func work(ctx context.Context) error {
	t := time.NewTimer(stepTime)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// log prints when workers begin and end, for the measurement: "begin" or "end", the
// partition, and nanoseconds since 1970.
type log struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *log) line(what string, partition int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.out, "%s %d %d\n", what, partition, time.Now().UnixNano())
}

// reported is a job that prints when it begins and ends.
func reported(job Job, l *log) Job {
	return func(ctx context.Context, partition int, token ring.Token) {
		l.line("begin", partition)
		defer l.line("end", partition)
		job(ctx, partition, token)
	}
}

func seeds(join string) []string {
	if join == "" {
		return nil
	}
	return strings.Split(join, ",")
}
