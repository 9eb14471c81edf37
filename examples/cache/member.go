package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/examples/internal/demo"
	"github.com/clusterkit/clusterkit/membership"
)

const (
	cacheBytes = 64 << 20
	maxAge     = 10 * time.Minute
	patience   = 2 * time.Second // the limit for an answer of another member
)

// runMember is the life of one member: it serves HTTP, joins the cluster, works
// until the context ends, and leaves.
func runMember(ctx context.Context, args []string, in io.Reader, out io.Writer, logger *slog.Logger) (failed error) {
	flags := flag.NewFlagSet("cache member", flag.ContinueOnError)
	id := flags.String("id", "", "this member's name")
	zone := flags.String("zone", "", "where it stands")
	join := flags.String("join", "", "addresses of gossip to join through, separated by commas")
	attached := flags.Bool("attached", false, "end when standard input does")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *attached {
		ctx = demo.Attached(ctx, in)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0") // any free port
	if err != nil {
		return err
	}
	c, err := cluster.New(cluster.Options{
		ClusterName:       "cache",
		NodeID:            *id,
		Zone:              *zone,
		GossipAddr:        "127.0.0.1:0",
		Seeds:             seeds(*join),
		ReplicationFactor: 3,
		Gossip:            membership.GossipOptions{Profile: membership.Local},
		HTTP:              cluster.HTTPOptions{AdvertiseAddr: listener.Addr().String()}, // this program serves HTTP; the cluster announces the address
		Logger:            logger.With("member", *id),
	})
	if err != nil {
		_ = listener.Close()
		return err
	}
	pool := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute} // the default keeps two
	service := NewService(c, NewStore(cacheBytes, maxAge), &http.Client{Transport: pool}, patience)
	mux := http.NewServeMux()
	service.Routes(mux)
	mux.Handle("/", c.Handler()) // health, members, lookups
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // until Shutdown
	go service.Follow(c.Events(context.WithoutCancel(ctx)))

	// First the other members learn that this one leaves. Then the HTTP server closes.
	defer func() {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		failed = errors.Join(failed, c.Stop(leaving), server.Shutdown(leaving))
	}()
	if err := c.Start(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", *id, err)
	}
	if err := demo.Serving(out, listener.Addr().String(), c.Local().Addr.String()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func seeds(join string) []string {
	if join == "" {
		return nil
	}
	return strings.Split(join, ",")
}
