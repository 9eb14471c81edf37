package cluster_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/route"
)

// HTTP with TLS, client certificates, tokens and limits, and encrypted gossip. Options
// that would send a secret in clear text are refused.
func ExampleOptions_security() {
	o := cluster.Options{
		ClusterName: "orders",
		NodeID:      "orders-1",
		GossipAddr:  "10.0.0.1:7946",
		HTTPAddr:    "10.0.0.1:8443",
		Gossip:      membership.GossipOptions{Keys: [][]byte{[]byte("32 bytes, in earnest random ones")}},
		HTTP: cluster.HTTPOptions{Guard: transport.GuardOptions{
			TokenFile: "/etc/orders/tokens",
			PerClient: transport.RateLimit{PerSecond: 50, Burst: 100},
		}},
	}
	fmt.Println(o.Validate())

	o.HTTP.Server.TLS = client.TLSOptions{
		CertFile:     "/etc/orders/tls.pem",
		KeyFile:      "/etc/orders/tls.key",
		ClientCAFile: "/etc/orders/ca.pem",
	}
	fmt.Println(o.Validate())
	fmt.Println(o.Gossip.Keys)
	// Output:
	// HTTPAddr is "10.0.0.1:8443": must be a loopback address, or HTTP.Server.TLS or HTTP.Guard.TokensInClear set: tokens would be sent in clear
	// <nil>
	// [redacted]
}

// A service that listens on a port of the system's choice opens its listener first. So
// it knows the address to announce when it makes the cluster, and the router exists
// before the first request is accepted.
func ExampleCluster_Router() {
	network, err := memnet.New(memnet.Options{})
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	c, err := cluster.New(cluster.Options{
		ClusterName: "orders", NodeID: "orders-1", GossipAddr: "10.0.0.1:7946",
		Services: map[string]string{"orders": listener.Addr().String()},
		Gossip:   membership.GossipOptions{Network: network},
	})
	if err != nil {
		panic(err)
	}
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, c.Local().ID, " has ", r.URL.Path) })
	router, err := c.Router(orders, route.Options{
		Service: "orders",
		Key:     func(r *http.Request) (string, bool) { return strings.CutPrefix(r.URL.Path, "/orders/") },
	})
	if err != nil {
		panic(err)
	}
	server := &http.Server{Handler: router}
	go func() { _ = server.Serve(listener) }()
	if err := c.Start(context.Background()); err != nil {
		panic(err)
	}
	response, err := http.Get("http://" + listener.Addr().String() + "/orders/42")
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	fmt.Println(string(body))

	_ = server.Shutdown(context.Background())
	_ = router.Close()
	_ = c.Stop(context.Background())
	// Output:
	// orders-1 has /orders/42
}

// The cluster's own HTTP interface takes a listener in place of an address, and owns it from
// New on.
func ExampleHTTPOptions() {
	network, err := memnet.New(memnet.Options{})
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	c := startExample(network, 1, func(o *cluster.Options) { o.HTTP.Listener = listener })
	fmt.Println("served there:", c.HTTPAddr() == listener.Addr().String())
	fmt.Println("and announced:", c.Local().HTTPAddr == listener.Addr().String())
	_ = c.Stop(context.Background())
	_, err = listener.Accept()
	fmt.Println("closed:", err != nil)
	// Output:
	// served there: true
	// and announced: true
	// closed: true
}

// Routes between the members of a service have the same guard as the cluster's own routes. The
// cluster's client sends the token.
func ExampleCluster_Guard() {
	network, err := memnet.New(memnet.Options{})
	if err != nil {
		panic(err)
	}
	c := startExample(network, 1, func(o *cluster.Options) {
		o.HTTP.Guard.Tokens = []transport.Credential{{Token: func() string { return "a-token-of-the-members" }}}
	})
	defer stopExamples([]*cluster.Cluster{c})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /replica/{key}", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "value of ", r.PathValue("key")) })
	server := httptest.NewServer(c.Guard().Wrap(mux))
	defer server.Close()

	for _, caller := range []*http.Client{http.DefaultClient, c.Client()} { // on another member: the Client of that member
		response, err := caller.Get(server.URL + "/replica/42")
		if err != nil {
			panic(err)
		}
		fmt.Println(response.StatusCode)
		_ = response.Body.Close()
	}
	// Output:
	// 401
	// 200
}
