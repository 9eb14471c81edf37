package main

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
	"github.com/clusterkit/clusterkit/rebalance"
)

const (
	// mostMembers is how many members of a real cluster run in this process:
	// each probes the others once a second, and at 50 of them that is still
	// well below a hundredth of a processor.
	mostMembers = 50
	// formation is how long the members may take to find each other.
	formation = 2 * time.Minute
	// farewell is how long they may take to stop.
	farewell = 10 * time.Second
)

// clusterkitCluster asks one member of a running cluster, with all the others
// in the same process, gossiping over a network in memory.
var clusterkitCluster = adapter{
	name: "clusterkit cluster", kind: isOurs, pays: "a pointer, a table; no lock, no allocation",
	build: func(members []string, partitions int) (*subject, error) {
		if len(members) > mostMembers {
			return nil, fmt.Errorf("%w: a real cluster of %d members would be measuring its own gossip", errUnfit, len(members))
		}
		all, err := startCluster(members, partitions)
		if err != nil {
			return nil, err
		}
		c := all[0]
		return &subject{
			primary: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						owner, _ := c.Lookup(key).Primary()
						sum += len(owner.ID())
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) { return primaryID(c.Lookup(k.text[0])) },
			},
			three: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						for _, owner := range c.Lookup(key).All() {
							sum += len(owner.ID())
						}
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) { return placementIDs(c.Lookup(k.text[0])) },
			},
			close: func() { stopCluster(all) },
		}, nil
	},
}

// startCluster starts members, and waits until each sees all of them and they
// agree.
func startCluster(members []string, partitions int) ([]*cluster.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), formation)
	defer cancel()
	network, err := memnet.New(memnet.Options{})
	if err != nil {
		return nil, err
	}
	addr := netip.MustParseAddr("10.0.0.1")
	seed := netip.AddrPortFrom(addr, 7946).String()
	var all []*cluster.Cluster
	for _, id := range members {
		c, err := cluster.New(cluster.Options{
			ClusterName: "peers", NodeID: id,
			GossipAddr: netip.AddrPortFrom(addr, 7946).String(), Seeds: []string{seed},
			PartitionCount: partitions, ReplicationFactor: replicas, Strategy: rebalance.Rendezvous{},
			Gossip: membership.GossipOptions{Network: network}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		addr = addr.Next()
	}
	if err := startAll(ctx, all); err != nil {
		stopCluster(all)
		return nil, err
	}
	if err := agree(ctx, all); err != nil {
		stopCluster(all)
		return nil, err
	}
	return all, nil
}

// startAll starts the first, through which the others join at once.
func startAll(ctx context.Context, all []*cluster.Cluster) error {
	if err := all[0].Start(ctx); err != nil {
		return err
	}
	var started sync.WaitGroup
	failed := make([]error, len(all))
	for i, c := range all[1:] {
		started.Go(func() { failed[i] = c.Start(ctx) })
	}
	started.Wait()
	return errors.Join(failed...)
}

// agree waits until every member sees as many members as there are, and the same
// view of them.
func agree(ctx context.Context, all []*cluster.Cluster) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		agreed := true
		for _, c := range all {
			agreed = agreed && len(c.Members()) == len(all) && c.Fingerprint() == all[0].Fingerprint()
		}
		if agreed {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(errors.New("the members did not come to agree"), ctx.Err())
		}
	}
}

// stopCluster stops all members at once: nobody waits for anybody's goodbye.
func stopCluster(all []*cluster.Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	var stopped sync.WaitGroup
	for _, c := range all {
		stopped.Go(func() { _ = c.Stop(ctx) })
	}
	stopped.Wait()
}
