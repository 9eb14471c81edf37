package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/examples/grpc/counterpb"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/grpcroute"
)

const service = "counter" // the name under which members announce their gRPC server

// process is a member with its gRPC server, or an observer, which only makes calls.
type process struct {
	cluster *cluster.Cluster
	counter *counter // nil: it is an observer
	server  *grpc.Server
	serving sync.WaitGroup
	conn    *grpc.ClientConn
}

// start starts a process. One without seeds begins the cluster.
func start(ctx context.Context, id string, observer bool, seeds ...string) (p *process, err error) {
	p = &process{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop(ctx))
		}
	}()
	o := cluster.Options{
		ClusterName: "counters", NodeID: id, Observer: observer, Seeds: seeds, GossipAddr: "127.0.0.1:0",
		Gossip: membership.GossipOptions{Profile: membership.Local}, ReplicationFactor: 1, Logger: slog.New(slog.DiscardHandler),
	}
	var listener net.Listener
	if !observer {
		// It listens before the address is announced. Calls that come early are refused.
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return p, err
		}
		o.Services = map[string]string{service: listener.Addr().String()}
	}
	if p.cluster, err = cluster.New(o); err != nil {
		return p, err
	}
	router, err := grpcroute.New(p.cluster.Routing(), grpcroute.Options{Service: service, Key: keyOf, Patience: 10 * time.Second})
	if err != nil {
		return p, err
	}
	if !observer {
		p.counter = newCounter(id)
		p.server = grpc.NewServer(router.ServerOptions()...)
		counterpb.RegisterCounterServer(p.server, p.counter)
		p.serving.Go(func() { _ = p.server.Serve(listener) }) // Serve returns after GracefulStop
	}
	if p.conn, err = router.NewClient(grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		return p, err
	}
	return p, p.cluster.Start(ctx)
}

// stop leaves the cluster first, so that calls go elsewhere, and then lets the calls end.
func (p *process) stop(ctx context.Context) (err error) {
	if p.cluster != nil {
		err = p.cluster.Stop(ctx)
	}
	if p.conn != nil {
		err = errors.Join(err, p.conn.Close())
	}
	if p.server != nil {
		p.server.GracefulStop()
		p.serving.Wait()
	}
	return err
}

// client returns the client of the service for calls to any key.
func (p *process) client() counterpb.CounterClient { return counterpb.NewCounterClient(p.conn) }
