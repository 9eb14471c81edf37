package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
)

// exampleCluster is a cluster of one member, for examples.
func exampleCluster() transport.Cluster {
	r, err := ring.Build(
		ring.Config{PartitionCount: 64, ReplicationFactor: 1, Strategy: rebalance.Rendezvous{}},
		[]ring.Node{{ID: "orders-1", Region: "eu", Zone: "eu-1a"}},
	)
	if err != nil {
		panic(err)
	}
	return alone{r}
}

// A client asks a member, with a token. A refusal becomes an error with its problem
// document.
func Example_client() {
	token := func() string { return "an-example-of-a-token" } // read it from a file or the environment
	guard, err := transport.NewGuard(transport.GuardOptions{
		Tokens: []transport.Credential{{Token: token}},
	})
	if err != nil {
		panic(err)
	}
	h, err := transport.NewHandler(exampleCluster(), transport.HandlerOptions{Middleware: []func(http.Handler) http.Handler{guard.Wrap}})
	if err != nil {
		panic(err)
	}
	member := httptest.NewServer(h)
	defer member.Close()

	ctx := context.Background()
	c, err := client.New(client.Options{
		URLs:        []string{member.URL}, // with more than one, the client asks the next when one fails
		PoolOptions: client.PoolOptions{Token: token},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	answer, err := c.Lookup(ctx, "user:42", client.Near{Region: "eu", Zone: "eu-1a"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Key, "is owned by", answer.Primary)

	_, err = c.Partition(ctx, 64, client.Near{})
	if p, ok := errors.AsType[*api.Refusal](err); ok && p.Status == http.StatusNotFound {
		fmt.Println("there are only", p.Bound, "partitions")
	}

	// Output:
	// user:42 is owned by orders-1
	// there are only 64 partitions
}

// A guard can be put before any handler.
func ExampleGuard() {
	o := transport.GuardOptions{
		Tokens: []transport.Credential{
			{Token: func() string { return "the-token-of-last-month" }, Read: true},
			{Token: func() string { return "the-token-of-this-month" }, Read: true, Write: true},
		},
		PerClient:      transport.RateLimit{PerSecond: 50, Burst: 100},
		Overall:        transport.RateLimit{PerSecond: 1000},
		TrustedProxies: []string{"10.1.0.0/16"},
	}
	guard, err := transport.NewGuard(o)
	if err != nil {
		fmt.Println(err)
		return
	}
	admin := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "done") }))

	for _, token := range []string{"", "the-token-of-last-month", "the-token-of-this-month"} {
		r := httptest.NewRequest(http.MethodPost, "/admin/drain", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}

	// Output:
	// 401
	// 403
	// 200
}

// Options that contradict each other are refused before anything is opened.
func ExampleServerOptions_Validate() {
	err := transport.ServerOptions{
		TLS:            client.TLSOptions{KeyFile: "/etc/orders/tls.key", ClientCAFile: "/etc/orders/ca.pem"},
		MaxConnections: -1,
	}.Validate()
	fmt.Println(err)

	// Output:
	// TLS.CertFile is "": must be set when KeyFile is: a key needs its certificate
	// MaxConnections is -1: must be between 1 and 1048576, or zero for the default
}
