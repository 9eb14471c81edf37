package main

import (
	"context"
	"log/slog"
	"os"
	"sync"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// action is the action of a running member for a signal.
type action int

const (
	drain   action = iota + 1 // own nothing, and go on answering
	resume                    // own again
	reweigh                   // read the weight from its file again
)

// act carries out the actions of signals, until the context ends. A drain may take long, so the
// next signal does not wait for it: a resume ends it.
func act(ctx context.Context, signals <-chan os.Signal, member *cluster.Cluster, c config, logger *slog.Logger) {
	var draining sync.WaitGroup
	defer draining.Wait()
	report := func(done string, err error) {
		if err != nil {
			logger.Warn("not "+done, "error", err)
			return
		}
		logger.Info(done)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			switch actions()[s] {
			case drain:
				draining.Go(func() { report("drained", member.Drain(ctx)) })
			case resume:
				report("resumed", member.Resume(ctx))
			case reweigh:
				report("reweighed", weigh(ctx, member, c.weightFile))
			}
		}
	}
}

// weigh announces the weight that a file has.
func weigh(ctx context.Context, member *cluster.Cluster, file string) error {
	weight, err := readWeight(file)
	if err != nil {
		return err
	}
	return member.Update(ctx, func(a *membership.Attributes) { a.Weight = weight })
}
