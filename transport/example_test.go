package transport_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

// alone is a cluster of one member, which is always ready.
type alone struct{ ring *ring.Ring }

func (a alone) View() route.View {
	return route.View{
		ClusterName: "orders", NodeID: "orders-1", Version: 1,
		Ring: a.ring, Fingerprint: a.ring.Fingerprint(),
		Members: []membership.Member{{ID: "orders-1", HTTPAddr: "10.0.0.1:8080", State: membership.Active}},
	}
}

func (a alone) Health() api.Health {
	return api.Health{Ready: true, Healthy: true, State: "active", Members: 1}
}

// The handler can be mounted like any handler, here below a prefix of an application's
// own mux.
func ExampleNewHandler() {
	r, err := ring.Build(
		ring.Config{PartitionCount: 64, ReplicationFactor: 1, Strategy: rebalance.Rendezvous{}},
		[]ring.Node{{ID: "orders-1", Region: "eu", Zone: "eu-1a"}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := transport.NewHandler(alone{r}, transport.HandlerOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/cluster/", http.StripPrefix("/cluster", h))
	server := httptest.NewServer(mux)
	defer server.Close()

	response, err := server.Client().Get(server.URL + "/cluster/v1/lookup?key=user:42")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	var answer api.Placement
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(response.Status)
	fmt.Println(answer.Key, "is owned by", answer.Primary, "at", answer.Owners[0].HTTPAddr)

	// Output:
	// 200 OK
	// user:42 is owned by orders-1 at 10.0.0.1:8080
}
