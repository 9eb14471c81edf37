package grpcroute

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/resolver"

	"github.com/clusterkit/clusterkit/transport/route"
)

// scheme is that of the target of clients. It is known to their own connections only.
const scheme = "clusterkit"

// newsKey is the attribute of a resolver's state that holds its news.
type newsKey struct{}

// news is what the resolver tells the balancer.
type news struct {
	link *link
	view route.View
}

// Equal compares news as gRPC asks for it.
func (n *news) Equal(o any) bool { return n == o }

// serviceConfig returns the configuration that a client runs under: the balancer, and
// streams that are sent again after a refusal.
func (l *link) serviceConfig() string {
	o := l.router.options
	type object map[string]any
	config := object{"loadBalancingConfig": []object{{balancerName: object{}}}}
	if o.MaxAttempts > 1 {
		config["methodConfig"] = []object{{
			"name": []object{{}},
			"retryPolicy": object{
				// One more than the balancer allows, so that the balancer says why it ends.
				"maxAttempts": o.MaxAttempts + 1, "initialBackoff": "0.02s", "maxBackoff": "0.5s",
				"backoffMultiplier": 2, "retryableStatusCodes": []int{int(refusal)},
			},
		}}
	}
	if o.CheckHealth {
		config["healthCheckConfig"] = object{"serviceName": ""}
	}
	text, err := json.Marshal(config)
	if err != nil {
		panic(fmt.Sprintf("grpcroute: the service configuration: %v", err)) // cannot fail for constants and a number
	}
	return string(text)
}

// Scheme is a method of resolver.Builder.
func (l *link) Scheme() string { return scheme }

// Build is a method of resolver.Builder. It tells the present view, without which gRPC makes no
// balancer that ClientConn.Connect could ask, and starts to follow the next ones.
func (l *link) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	f := &follower{link: l, cc: cc, end: make(chan struct{})}
	changed := l.router.cluster.Changed()
	f.tell(l.router.cluster.View())
	f.ended.Go(func() { f.run(changed) })
	return f, nil
}

// follower tells a connection the addresses of the service, from view to view.
type follower struct {
	link    *link
	cc      resolver.ClientConn
	version uint64 // the version of the view that gRPC was given last
	end     chan struct{}
	ended   sync.WaitGroup
}

func (f *follower) run(changed <-chan struct{}) {
	cluster := f.link.router.cluster
	for {
		select {
		case <-changed:
		case <-f.end:
			return
		}
		changed = cluster.Changed()
		if view := cluster.View(); view.Version != f.version {
			f.tell(view)
		}
	}
}

func (f *follower) tell(view route.View) {
	f.version = view.Version
	_ = f.cc.UpdateState(f.state(view)) // the balancer accepts every state
}

func (f *follower) state(view route.View) resolver.State {
	s := resolver.State{Attributes: attributes.New(newsKey{}, &news{f.link, view})}
	for i := range view.Members {
		if addr := view.Members[i].Services[f.link.router.options.Service]; addr != "" {
			s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{address(addr)}})
		}
	}
	return s
}

// address returns an address whose host is the name that TLS checks. No certificate names the
// zone of an IPv6 address.
func address(addr string) resolver.Address {
	a := resolver.Address{Addr: addr}
	if host, _, err := net.SplitHostPort(addr); err == nil {
		a.ServerName, _, _ = strings.Cut(host, "%") // no certificate names the zone of an address
	}
	return a
}

// ResolveNow is a method of resolver.Resolver. The view is always the newest.
func (f *follower) ResolveNow(resolver.ResolveNowOptions) {}

// Close is a method of resolver.Resolver. No state is told after it.
func (f *follower) Close() {
	close(f.end)
	f.ended.Wait()
}
