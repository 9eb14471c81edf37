package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// startExample starts a member of a cluster on a network in memory, so that the
// examples run anywhere and always print the same.
func startExample(network *memnet.Network, n int, edit func(*cluster.Options)) *cluster.Cluster {
	o := cluster.Options{
		ClusterName: "orders",
		NodeID:      fmt.Sprintf("orders-%d", n),
		GossipAddr:  fmt.Sprintf("10.0.0.%d:7946", n),
		Zone:        fmt.Sprintf("eu-1%c", 'a'+n%3),
		Seeds:       []string{"10.0.0.1:7946"},
		Gossip:      membership.GossipOptions{Profile: membership.Local, Network: network},
		Logger:      slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&o)
	}
	c, err := cluster.New(o)
	if err != nil {
		panic(err)
	}
	if err := c.Start(context.Background()); err != nil {
		panic(err)
	}
	return c
}

// startExamples starts three members and waits until they agree.
func startExamples() []*cluster.Cluster {
	network, err := memnet.New(memnet.Options{})
	if err != nil {
		panic(err)
	}
	var all []*cluster.Cluster
	for n := range 3 {
		all = append(all, startExample(network, n+1, nil))
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for slices.ContainsFunc(all, func(c *cluster.Cluster) bool {
		return len(c.Members()) < len(all) || c.Fingerprint() != all[0].Fingerprint()
	}) {
		<-tick.C
	}
	return all
}

func stopExamples(all []*cluster.Cluster) {
	for _, c := range all {
		_ = c.Stop(ended())
	}
	for _, c := range all {
		_ = c.Stop(context.Background())
	}
}

// Three members agree on the owners of a key. Here all of them run in one process.
func Example() {
	all := startExamples()
	defer stopExamples(all)
	for _, c := range all {
		p := c.Lookup("user:42")
		primary, _ := p.Primary()
		fmt.Println(c.Local().ID, "says:", primary.ID(), "and", p.At(1).ID(), "and", p.At(2).ID())
	}
	// Output:
	// orders-1 says: orders-1 and orders-2 and orders-3
	// orders-2 says: orders-1 and orders-2 and orders-3
	// orders-3 says: orders-1 and orders-2 and orders-3
}

// All options that are out of bounds are reported at once.
func ExampleOptions_Validate() {
	err := cluster.Options{NodeID: "orders-1", GossipAddr: "localhost", Weight: -1}.Validate()
	fmt.Println(err)
	// Output:
	// ClusterName is "": must be 1 to 128 bytes of letters, digits and . _ : / @ -
	// GossipAddr is "localhost": must be IP:port, with a port from 0 to 65535
	// Weight is -1: must be between 0 and 1048576
}

// A request to the nearest owner need not leave the zone.
func ExampleCluster_Lookup() {
	all := startExamples()
	defer stopExamples(all)
	c := all[1]
	placement := c.Lookup("user:42").Prefer(c.Local().Region, c.Local().Zone)
	for i, node := range placement.All() {
		fmt.Println(i, node.ID(), node.Zone())
	}
	fmt.Println("an owner myself:", placement.Owns(c.Local().ID))
	// Output:
	// 0 orders-2 eu-1c
	// 1 orders-1 eu-1b
	// 2 orders-3 eu-1a
	// an owner myself: true
}

// NodesForKey waits until this member is ready, and returns the owners with their
// addresses, for a request over the network.
func ExampleCluster_NodesForKey() {
	all := startExamples()
	defer stopExamples(all)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	owners, err := all[1].NodesForKey(ctx, "user:42")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range owners {
		fmt.Println(m.ID, m.Zone, m.Addr) // and m.Services, m.HTTPAddr
	}
	// Output:
	// orders-1 eu-1b 10.0.0.1:7946
	// orders-2 eu-1c 10.0.0.2:7946
	// orders-3 eu-1a 10.0.0.3:7946
}

// A member hands its partitions over before it stops: Drain returns when all members
// know that it is leaving.
func ExampleCluster_Drain() {
	all := startExamples()
	defer stopExamples(all)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	leaver, other := all[2], all[0]
	fmt.Println("an owner:", other.Lookup("user:42").Owns(leaver.Local().ID))
	if err := leaver.Drain(ctx); err != nil {
		fmt.Println(err) // the error names the members that have not confirmed; Drain may be called again
		return
	}
	fmt.Println("an owner:", other.Lookup("user:42").Owns(leaver.Local().ID))
	fmt.Println(leaver.Local().ID, "is", leaver.Local().State)
	// Output:
	// an owner: true
	// an owner: false
	// orders-3 is leaving
}

// A batch is looked up in one ring and grouped by primary, one request each.
func ExampleCluster_Ring() {
	all := startExamples()
	defer stopExamples(all)
	keys := []string{"user:1", "user:2", "user:3", "user:4", "user:5"}
	var batch ring.Batch
	all[0].Ring().Group(keys, &batch)
	for primary, positions := range batch.All() {
		fmt.Print(primary.ID(), ":")
		for _, i := range positions {
			fmt.Print(" ", keys[i])
		}
		fmt.Println()
	}
	// Output:
	// orders-1: user:1 user:4
	// orders-2: user:2 user:3 user:5
}

// Plan says which partitions would move if another member joined.
func ExampleCluster_Plan() {
	all := startExamples()
	defer stopExamples(all)
	plan, err := all[0].Plan(rebalance.Change{Add: []ring.Node{{ID: "orders-4", Zone: "eu-1a"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range plan.Members {
		if m.Gained > 0 {
			fmt.Println(m.ID, "would gain", m.Gained, "of", plan.Slots, "replicas")
		}
	}
	// Output:
	// orders-4 would gain 2062 of 12288 replicas
}

// Each event is a change, with the state before it and after it.
func ExampleCluster_Events() {
	network, err := memnet.New(memnet.Options{})
	if err != nil {
		panic(err)
	}
	first := startExample(network, 1, nil)
	events := first.Events(context.Background()) // from here on
	second := startExample(network, 2, nil)
	defer stopExamples([]*cluster.Cluster{first, second})
	for e := range events {
		switch {
		case e.Kind == cluster.MemberJoined:
			fmt.Println(e.Member.ID, "joined")
		case e.Kind == cluster.RingChanged && e.Ring.New.Len() == 2:
			fmt.Println("owners:", e.Ring.Old.Len(), "before,", e.Ring.New.Len(), "after")
			return
		}
	}
	// Output:
	// orders-2 joined
	// owners: 1 before, 2 after
}

// An event says when this member becomes an owner, and when it ceases to be one. Subscribe
// before Start, so that no change is missed. To wait without events,
// [cluster.Cluster.WaitReady] returns once the member owns, or observes.
func ExampleCluster_Events_owner() {
	network, err := memnet.New(memnet.Options{})
	if err != nil {
		panic(err)
	}
	c, err := cluster.New(cluster.Options{
		ClusterName: "orders", NodeID: "orders-1", GossipAddr: "10.0.0.1:7946",
		Gossip: membership.GossipOptions{Network: network}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	events := c.Events(context.Background())
	if err := c.Start(context.Background()); err != nil {
		panic(err)
	}
	for e := range events {
		if e.Kind != cluster.StateChanged {
			continue
		}
		fmt.Println("from", e.Member.Before.State, "to", e.Member.After.State)
		switch e.Member.After.State {
		case membership.Active: // begin to work on the partitions that this member owns
			go func() { _ = c.Drain(context.Background()) }()
		case membership.Leaving: // this member owns nothing any more
			_ = c.Stop(context.Background())
		}
	}
	// Output:
	// from joining to active
	// from active to draining
	// from draining to leaving
}

// Health says whether requests should be sent to this member, and lists its problems.
func ExampleCluster_Health() {
	network, err := memnet.New(memnet.Options{})
	if err != nil {
		panic(err)
	}
	alone := startExample(network, 1, nil)
	defer stopExamples([]*cluster.Cluster{alone})
	h := alone.Health()
	fmt.Println("ready:", h.Ready, "healthy:", h.Healthy)
	for _, p := range h.Problems {
		fmt.Println(p.Code+":", p.Message)
	}
	// Output:
	// ready: true healthy: false
	// under-replicated: 4096 partitions have 1 of 3 replicas: there are too few members
}

// The cluster refuses a member that cannot work with it, and says why.
func ExampleCluster_Start_refused() {
	network, err := memnet.New(memnet.Options{})
	if err != nil {
		panic(err)
	}
	first := startExample(network, 1, nil)
	defer stopExamples([]*cluster.Cluster{first})
	other, err := cluster.New(cluster.Options{
		ClusterName: "orders", NodeID: "orders-2", GossipAddr: "10.0.0.2:7946", Seeds: []string{"10.0.0.1:7946"},
		PartitionCount: 1024, Gossip: membership.GossipOptions{Network: network}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	err = other.Start(context.Background())
	fmt.Println(strings.ReplaceAll(err.Error(), ": ", ":\n"))
	// Output:
	// cluster:
	// membership:
	// member "orders-1" at 10.0.0.1:7946:
	// incompatible configuration:
	// PartitionCount is 4096 there and 1024 here:
	// it is fixed for a cluster's life, start every member with the same
}
