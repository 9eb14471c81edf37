package handofftest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// run is one simulation. Only the goroutine of the test changes it.
type run struct {
	t         *testing.T
	o         Options
	net       *memnet.Network
	rand      *rand.Rand
	peers     *peers
	live      map[string]*process
	disks     map[string]*disk // by NodeID, where stores survive
	away      []string         // members that crashed and are to start again
	names     int
	addrs     int
	history   []string
	needless  []string // reports of possible loss where nothing was lost
	keys      []string
	tardy     time.Duration // the longest delay of a write request
	grace     time.Duration // how long a member that stops keeps its place
	zoneGrace time.Duration // the same for the members of a zone that is lost as a whole
	losses    int           // losses of state since all handoffs were complete
	parted    bool          // the network is cut now

	runs  cluster.Configuration   // the main configuration of a member that starts
	also  []cluster.Configuration // and its AlsoRuns
	todo  map[string]bool         // the members that are to start again in this round
	round int                     // the round of a change of the configuration; 0: no change is under way
}

func (r *run) note(format string, args ...any) {
	r.history = append(r.history, fmt.Sprintf(format, args...))
}

// fail ends the run with an error, which simulate returns.
func (r *run) fail(format string, args ...any) {
	panic(failure(fmt.Sprintf("handofftest: %s; seed %d: %v", fmt.Sprintf(format, args...), r.o.Seed, r.history)))
}

// sorted returns the running processes, sorted by NodeID.
func (r *run) sorted() []*process {
	all := make([]*process, 0, len(r.live))
	for _, n := range r.live {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *process) int { return int(a.Local().Start.Number) - int(b.Local().Start.Number) })
	return all
}

func (r *run) one() *process {
	all := r.sorted()
	return all[r.rand.IntN(len(all))]
}

// start starts a process, empty, at an address of its own.
func (r *run) start(id string) {
	r.addrs++
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(r.addrs / 200), byte(1 + r.addrs%200)}), 7946)
	seeds := make([]string, 0, len(r.live))
	for _, n := range r.sorted() {
		seeds = append(seeds, n.addr.String())
	}
	n := &process{id: id, addr: addr}
	handoff := cluster.HandoffOptions{WriteQuorum: r.runs.WriteQuorum}
	enough := 0
	if n.store = r.inherit(n, &handoff); n.store == nil {
		n.store = r.o.New(near{r.peers, id})
	}
	if r.o.Durable {
		enough = r.o.Members/2 + 1
		r.disks[id].store = n.store
	}
	handoff.Mover = n.store
	zone, weight := fmt.Sprintf("z%d", r.rand.IntN(4)), 1+r.rand.IntN(3)
	c, err := cluster.New(cluster.Options{
		ClusterName: "handofftest", NodeID: id, Zone: zone, Weight: weight, GossipAddr: addr.String(), Seeds: seeds,
		RestartGrace: r.grace, ZoneGrace: r.zoneGrace, PartitionCount: r.o.Partitions, ReplicationFactor: r.runs.ReplicationFactor, Strategy: r.runs.Strategy, AlsoRuns: r.also, Logger: slog.New(slog.DiscardHandler),
		Gossip: membership.GossipOptions{Network: r.net, TrustedNetwork: true}, Bootstrap: cluster.BootstrapOptions{MinMembers: enough}, Handoff: handoff,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	n.Cluster = c
	delete(r.todo, id)
	r.peers.add(n)
	r.live[id] = n
	r.note("%s starts in %s with weight %d", id, zone, weight)
	if err := c.Start(r.t.Context()); err != nil {
		r.fail("starting %s: %v", id, err)
	}
}

// crash ends a process, and deletes its data unless stores survive.
func (r *run) crash(n *process) {
	r.note("%s crashes", n.id)
	r.losses++
	r.peers.remove(n)
	delete(r.live, n.id)
	r.net.Crash(n.addr)
	r.stop(n)
}

func (r *run) stop(n *process) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = n.Stop(ended) // Stop continues in the background
}

func (r *run) end() {
	for _, n := range r.sorted() {
		r.stop(n)
	}
	time.Sleep(40 * time.Second) // the goroutines that memberlist leaves end within this time
}
