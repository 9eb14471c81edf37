package route_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/route"
)

// fixed is a view of a cluster that never changes.
type fixed struct{ view route.View }

func (f fixed) View() route.View         { return f.view }
func (f fixed) Changed() <-chan struct{} { return nil }

// Two members, each with a router in front of its handler. A request goes to
// either of them, and the member that owns the key answers.
func ExampleNew() {
	ids := []string{"orders-1", "orders-2"}
	r, err := ring.Build(
		ring.Config{PartitionCount: 64, ReplicationFactor: 1, Strategy: rebalance.Rendezvous{}},
		[]ring.Node{{ID: ids[0], Zone: "a"}, {ID: ids[1], Zone: "b"}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	// In your program c.Router(...) of package cluster does the following, and gossip
	// tells the members the addresses.
	servers := []*httptest.Server{httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)}
	var members []membership.Member
	for i, id := range ids {
		members = append(members, membership.Member{
			ID: id, Zone: string(rune('a' + i)),
			Services: map[string]string{"orders": servers[i].Listener.Addr().String()},
		})
	}
	for i, id := range ids {
		answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "%s answers %s", id, r.URL.Path)
		})
		view := route.View{ClusterName: "orders", NodeID: id, Version: 1, Ring: r, Members: members}
		router, err := route.New(fixed{view}, answer, route.Options{
			Service: "orders",
			Key: func(r *http.Request) (string, bool) {
				return strings.CutPrefix(r.URL.Path, "/users/")
			},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer func() { _ = router.Close() }()
		servers[i].Config.Handler = router
		servers[i].Start()
		defer servers[i].Close()
	}

	for _, path := range []string{"/users/42", "/users/43", "/status"} {
		for i, id := range ids {
			response, err := servers[i].Client().Get(servers[i].URL + path)
			if err != nil {
				fmt.Println(err)
				return
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			fmt.Printf("asked %s: %s\n", id, body)
		}
	}

	// Output:
	// asked orders-1: orders-1 answers /users/42
	// asked orders-2: orders-1 answers /users/42
	// asked orders-1: orders-2 answers /users/43
	// asked orders-2: orders-2 answers /users/43
	// asked orders-1: orders-1 answers /status
	// asked orders-2: orders-2 answers /status
}
