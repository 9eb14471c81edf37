package membership_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// Two members form a cluster. The network is in memory, so that the example runs
// anywhere. Without the option Network they use sockets.
func Example() {
	network, err := memnet.New(memnet.Options{})
	if err != nil {
		panic(err)
	}
	join := func(id, addr string, seeds ...string) *membership.Membership {
		m, err := membership.New(membership.Options{
			ClusterName: "orders", NodeID: id, GossipAddr: addr, Zone: "eu-1a",
			PartitionCount: 4096, Configurations: []string{"rf3:balanced/1"},
			Discovery: membership.Static(seeds...),
			Gossip:    membership.GossipOptions{Profile: membership.Local, Network: network},
			Logger:    slog.New(slog.DiscardHandler),
		})
		if err != nil {
			panic(err)
		}
		if err := m.Start(context.Background()); err != nil {
			panic(err)
		}
		return m
	}
	first := join("orders-1", "10.0.0.1:7946")
	second := join("orders-2", "10.0.0.2:7946", "10.0.0.1:7946")
	members, _ := second.Members()
	for _, m := range members {
		fmt.Println(m.ID, m.Addr, m.Zone, m.State)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := second.Stop(ctx); err != nil {
		panic(err)
	}
	if err := first.Stop(ctx); err != nil {
		panic(err)
	}
	// Output:
	// orders-1 10.0.0.1:7946 eu-1a joining
	// orders-2 10.0.0.2:7946 eu-1a joining
}

// Join asks several sources. The failure of one source does not hide the addresses of
// the others.
func ExampleJoin() {
	found, err := membership.Join(
		membership.Static("orders-0:7946", "10.0.0.1:7946"),
		membership.DiscoveryFunc(func(context.Context) ([]string, error) {
			return nil, errors.New("the registry does not answer")
		}),
	).Discover(context.Background())
	fmt.Println(found)
	fmt.Println(err)
	// Output:
	// [orders-0:7946 10.0.0.1:7946]
	// the registry does not answer
}

func ExampleStart_Compare() {
	crashed := membership.Start{Number: 1_700_000_000_000, Nonce: 1}
	restarted := membership.Start{Number: crashed.Number + 1, Nonce: 0}
	fmt.Println(restarted.Compare(crashed))
	// Output: 1
}
