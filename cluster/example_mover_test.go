package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/ring"
)

type item struct{ partition, key any }

// replica is what a member stores. The lock and the map of all replicas stand for a network.
type replica struct {
	*sync.Mutex
	all      map[string]*replica
	versions map[item]int
}

func (r *replica) Receive(_ context.Context, partition int, from []cluster.Member, _ int) error {
	r.Lock()
	defer r.Unlock()
	for _, source := range from {
		for i, version := range r.all[source.ID].versions {
			if i.partition == partition {
				r.versions[i] = max(r.versions[i], version) // nothing newer is replaced
			}
		}
	}
	return nil
}

func (r *replica) Release(_ context.Context, partition int) error {
	r.Lock()
	defer r.Unlock()
	maps.DeleteFunc(r.versions, func(i item, _ int) bool { return i.partition == partition })
	return nil
}

func Example_handoff() {
	ctx, lock, members, replicas := context.Background(), new(sync.Mutex), map[string]*cluster.Cluster{}, map[string]*replica{}
	network, _ := memnet.New(memnet.Options{})
	for _, id := range []string{"a", "b", "c"} {
		replicas[id] = &replica{lock, replicas, map[item]int{}}
		members[id], _ = cluster.New(cluster.Options{
			ClusterName: "shop", NodeID: id, GossipAddr: fmt.Sprintf("10.0.0.%d:7946", len(replicas)), Seeds: []string{"10.0.0.1:7946"},
			PartitionCount: 8, ReplicationFactor: 2, Handoff: cluster.HandoffOptions{Mover: replicas[id], WriteQuorum: 2},
			Gossip: membership.GossipOptions{Profile: membership.Local, Network: network, TrustedNetwork: true}, Logger: slog.New(slog.DiscardHandler),
		})
		_, _, _ = members[id].Start(ctx), members[id].WaitReady(ctx), members[id].WaitConverged(ctx)
		defer func() { _ = members[id].Stop(ctx) }()
	}
	at, took := members["a"].Lookup("user:42"), map[string]bool{}
	for owner := range ring.Writers(at).All() { // the serving owners and the target owners
		if done, err := members[owner.ID()].Handoff().Admit(at.Partition(), at.Token()); err == nil {
			lock.Lock()
			replicas[owner.ID()].versions[item{at.Partition(), "user:42"}], took[owner.ID()] = 7, true
			lock.Unlock()
			done()
		}
	}
	enough := ring.Writers(at).Enough(0, func(id string) bool { return took[id] })
	fmt.Println("acknowledged:", enough, "drained:", members["b"].Drain(ctx))
	at = members["a"].Lookup("user:42")
	lock.Lock()
	version := replicas["c"].versions[item{at.Partition(), "user:42"}]
	lock.Unlock()
	fmt.Println("c answers:", version, members["c"].Handoff().Serve(at.Partition(), at.Token()))
	// Output:
	// acknowledged: true drained: <nil>
	// c answers: 7 <nil>
}
