package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/route"
)

// member has the parts of one process of a service: a member, its router and its
// server.
type member struct {
	cluster *cluster.Cluster
	router  *route.Router
	server  *transport.Server
}

// start runs a member whose service answers with the member's name.
func start(ctx context.Context, id string, provider *sdktrace.TracerProvider, seeds ...string) (m *member, err error) {
	m = &member{}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.stop(ctx))
		}
	}()
	logger := slog.New(slog.DiscardHandler)
	l, err := net.Listen("tcp", "127.0.0.1:0") // first, so that the port is known when it is announced
	if err != nil {
		return m, err
	}
	addr := l.Addr().String()
	_ = l.Close()
	m.cluster, err = cluster.New(cluster.Options{
		ClusterName: "otel", NodeID: id, GossipAddr: "127.0.0.1:0", Gossip: membership.GossipOptions{Profile: membership.Local},
		Seeds: seeds, Services: map[string]string{"hello": addr}, ReplicationFactor: 1, Logger: logger,
	})
	if err != nil {
		return m, err
	}
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The wrapper below has put its span into the request's context. A second
		// wrapper here would use the caller's span from the header instead.
		_, span := provider.Tracer("hello").Start(r.Context(), "serve")
		defer span.End()
		_, _ = fmt.Fprintf(w, "%s says hello", id)
	})
	m.router, err = m.cluster.Router(service, route.Options{
		Service: "hello",
		Key:     func(r *http.Request) (string, bool) { return r.URL.Path, true },
		Wrap:    wrap(provider, "forward"), // the RoundTripper hook
	})
	if err != nil {
		return m, err
	}
	// The handler wrapper: it sees all requests before the router, also those of other
	// members.
	m.server, err = transport.Listen(addr, traced(m.router, provider, "receive "+id), transport.ServerOptions{Logger: logger})
	if err != nil {
		return m, err
	}
	// For the routes of clusterkit itself, use the wrapper as middleware, or around the
	// handler: traced(m.cluster.Handler(), provider, "clusterkit").
	return m, m.cluster.Start(ctx)
}

func (m *member) stop(ctx context.Context) (err error) {
	if m.cluster != nil {
		err = m.cluster.Stop(ctx)
	}
	if m.server != nil {
		err = errors.Join(err, m.server.Shutdown(ctx))
	}
	if m.router != nil {
		err = errors.Join(err, m.router.Close())
	}
	return err
}

// demonstrate sends one member a request for a key of the other, and returns the
// answer. The spans go to the exporter.
func demonstrate(ctx context.Context, exporter sdktrace.SpanExporter) (answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	provider := newProvider(exporter)
	defer func() { err = errors.Join(err, provider.Shutdown(context.WithoutCancel(ctx))) }()
	var members []*member
	defer func() {
		for _, m := range members {
			err = errors.Join(err, m.stop(context.WithoutCancel(ctx)))
		}
	}()
	for i, id := range []string{"n1", "n2"} {
		var seeds []string
		if i > 0 {
			seeds = []string{members[0].cluster.Local().Addr.String()}
		}
		m, err := start(ctx, id, provider, seeds...)
		if err != nil {
			return "", err
		}
		members = append(members, m)
	}
	for _, m := range members {
		if err := together(ctx, m.cluster, len(members)); err != nil {
			return "", err
		}
	}
	key := foreign(members[0].cluster)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+members[0].server.Addr().String()+key, nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: wrap(provider, "ask")(http.DefaultTransport)}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// together waits until a member's ring has a number of nodes and all members agree on it.
func together(ctx context.Context, c *cluster.Cluster, owners int) error {
	events := c.Events(ctx)
	if c.Ring().Len() < owners {
		for e := range events {
			if e.Ring != nil && e.Ring.New.Len() == owners {
				break
			}
		}
	}
	return c.WaitConverged(ctx)
}

// foreign returns a key that another member owns.
func foreign(c *cluster.Cluster) string {
	for i := 0; ; i++ {
		key := fmt.Sprint("/user/", i)
		if !c.Lookup(key).Owns(c.Local().ID) {
			return key
		}
	}
}
