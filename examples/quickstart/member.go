package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// member is one of the six members. In your service each is a process of its own.
type member struct {
	*cluster.Cluster
	id, zone string
	cable    *cable
}

// start makes a member and joins it to the cluster, through the seeds.
func start(ctx context.Context, id, zone string, logger *slog.Logger, seeds ...string) (*member, error) {
	m := &member{id: id, zone: zone, cable: &cable{}}
	var err error
	m.Cluster, err = cluster.New(cluster.Options{
		ClusterName:       "quickstart",
		NodeID:            id,
		GossipAddr:        "127.0.0.1:0", // any free port
		HTTPAddr:          "127.0.0.1:0",
		Seeds:             seeds,
		Zone:              zone,
		ReplicationFactor: 3,
		Gossip:            membership.GossipOptions{Profile: membership.Local, Network: m.cable}, // the cable is only for the crash
		Logger:            logger.With("member", id),
	})
	if err != nil {
		return nil, err
	}
	if err := m.Start(ctx); err != nil {
		return nil, fmt.Errorf("starting %s: %w", id, err)
	}
	return m, nil
}

// crash ends a member as kill -9 does: no other member is told.
func (m *member) crash() {
	m.cable.cut()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.Stop(now) // ends HTTP and all goroutines, without waiting
}

// stop stops members gracefully, all at the same time.
func stop(members []*member) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range members {
		all.Go(func() { _ = m.Stop(ctx) }) // when the time is over, Stop does not wait; here that is no problem
	}
	all.Wait()
}
