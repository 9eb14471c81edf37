package handofftest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// Options configure [Run]. Only New is required.
type Options struct {
	// New makes the empty store of a process that starts.
	New func(Peers) Store
	// Seed is the seed of the random events. Zero means 1.
	Seed uint64
	// Members is the approximate number of members. Fewer than 6 mean 6.
	Members int
	// Events is the number of events, which the package comment lists. Zero means 10.
	Events int
	// Partitions is the number of partitions. Zero means 16.
	Partitions int
	// Durable says that a store survives its process. Any number of members crash, at
	// times all of them, and come back with their stores and with a [cluster.Journal]. So do most
	// members that stop with a grace; some come back without.
	// False means that a process that crashes or stops loses its store.
	Durable bool
}

// configurations are the configurations that a cluster changes between. It begins with the
// first one.
var configurations = []cluster.Configuration{
	{ReplicationFactor: 3, WriteQuorum: 2}, {ReplicationFactor: 2, WriteQuorum: 2}, {ReplicationFactor: 4, WriteQuorum: 3}, {ReplicationFactor: 5, WriteQuorum: 3},
	{ReplicationFactor: 3, WriteQuorum: 2, Strategy: rebalance.Rendezvous{}},
}

// quorum is the smallest write quorum of configurations.
const quorum = 2

// Run fails the test when an acknowledged write is lost, or when some member does not become
// ready again. It also fails the test when a member counts a partition as received but lacks
// data of it. Members may report possible loss without need, as docs/handoff.md says; Run then
// looks whether any write is missing, accepts the loss if none is, and logs that. It takes a
// second or two of real time, and minutes of virtual time. Under the race detector run it with
// -cpu 1; see package memnet.
func Run(t *testing.T, o Options) {
	t.Helper()
	needless, wrong := simulate(t, o)
	if wrong != nil {
		t.Fatal(wrong)
	}
	for _, report := range needless {
		t.Logf("seed %d: %s", max(o.Seed, 1), report)
	}
}

// simulate runs one simulation. It returns the reports of possible loss that were needless, and the
// first error.
func simulate(t *testing.T, o Options) (needless []string, wrong error) {
	t.Helper()
	o.Seed, o.Members = max(o.Seed, 1), max(o.Members, 6)
	o.Events, o.Partitions = cmp.Or(o.Events, 10), cmp.Or(o.Partitions, 16)
	return within(t, o, (*run).all)
}

// within calls a function in virtual time, with a run that has no member yet.
func within(t *testing.T, o Options, all func(*run)) (needless []string, wrong error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network, err := memnet.New(memnet.Options{Seed: o.Seed, Latency: time.Millisecond, Jitter: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		r := &run{t: t, o: o, net: network, rand: rand.New(rand.NewPCG(o.Seed, 3)), runs: configurations[0], live: make(map[string]*process), disks: make(map[string]*disk),
			peers: &peers{all: make(map[uint64]*process), versions: make(map[string]uint64)}}
		r.tardy = []time.Duration{3 * time.Second, 10 * time.Second, time.Minute}[r.rand.IntN(3)]
		r.grace = []time.Duration{10 * time.Second, 30 * time.Second, time.Minute}[r.rand.IntN(3)]
		if o.Seed%2 == 0 {
			r.zoneGrace = r.grace
		}
		defer func() {
			r.end()
			needless = r.needless
			if v := recover(); v != nil {
				var ok bool
				if wrong, ok = v.(failure); !ok {
					panic(v)
				}
			}
		}()
		all(r)
	})
	return needless, wrong
}

// failure ends a run.
type failure string

func (f failure) Error() string { return string(f) }

func (r *run) all() {
	for range r.o.Members {
		r.start(fmt.Sprintf("m%d", r.names))
		r.names++
	}
	r.settle()
	for range r.o.Events {
		r.event()
		pause := []time.Duration{20 * time.Millisecond, 200 * time.Millisecond, 2 * time.Second}[r.rand.IntN(3)]
		for range 20 {
			r.write()
			time.Sleep(time.Duration(r.rand.Int64N(int64(pause))))
		}
	}
	time.Sleep(r.tardy)
	for r.settle(); r.round > 0; r.settle() {
		r.reconfigure()
	}
}

// write writes the next version of a key. A quarter of the requests arrive late.
func (r *run) write() {
	if len(r.keys) < 64 {
		r.keys = append(r.keys, fmt.Sprintf("key-%d", len(r.keys)))
	}
	key := r.keys[r.rand.IntN(len(r.keys))]
	by := r.one()
	if r.peers.apart(by.id, by.id) {
		return // the member stands still
	}
	w := &write{by, key, r.peers.acknowledged(key) + 1, by.Lookup(key), make(map[string]bool)}
	for o := range ring.Writers(w.place).All() {
		id := o.ID()
		if r.rand.IntN(4) == 0 {
			time.AfterFunc(time.Duration(r.rand.Int64N(int64(r.tardy))), func() { r.peers.deliver(w, id) })
		} else {
			r.peers.deliver(w, id)
		}
	}
}

// settleTime is how long members have to become ready, and to complete all handoffs.
const settleTime = 5 * time.Minute

// settle ends all drains, restarts and cuts, waits until all members are ready and nothing moves,
// and then checks every key.
func (r *run) settle() {
	r.heal()
	r.depart()
	deadline := time.Now().Add(settleTime)
	for {
		still, outdated := r.still()
		if still && len(outdated) == 0 {
			break
		}
		if still {
			r.renew(outdated)
		}
		if time.Now().After(deadline) && r.acceptLosses() {
			deadline = time.Now().Add(settleTime)
		}
		if time.Now().After(deadline) {
			states := make([]string, 0, len(r.live))
			for _, n := range r.sorted() {
				states = append(states, fmt.Sprintf("%s %v %+v %v", n.id, n.Local().State, n.Handoff().State(), n.Health().Problems))
			}
			r.fail("not all are ready after %v: %v", settleTime, states)
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.losses = 0
	for _, key := range r.keys {
		r.check(key)
	}
}

// acceptLosses accepts the possible losses that members report, as an operator does who finds that no
// write is missing. It reports whether there were any.
func (r *run) acceptLosses() (found bool) {
	for _, n := range r.sorted() {
		for _, p := range n.Handoff().State().Lost {
			for _, key := range r.keys {
				if want := r.peers.acknowledged(key); n.Lookup(key).Partition() == p && r.newest(p, key) < want {
					r.fail("version %d of %q was acknowledged, and no member has it", want, key)
				}
			}
			if n.Handoff().AcceptLoss(p) {
				found = true
				report := fmt.Sprintf("%s reports possible loss of partition %d, and nothing is lost", n.id, p)
				r.note("%s", report)
				r.needless = append(r.needless, report)
			}
		}
	}
	return found
}

// newest returns the newest version of a key that any member has.
func (r *run) newest(partition int, key string) (version uint64) {
	for _, n := range r.live {
		if v, err := n.store.Get(partition, key); err == nil {
			version = max(version, v)
		}
	}
	return version
}

// still reports whether all members are ready and nothing moves, but for members that cannot
// run the configuration of the cluster, and returns these.
func (r *run) still() (is bool, outdated []*process) {
	all := r.sorted()
	var first *process
	for _, n := range all {
		if n.Local().State == membership.Joining && slices.ContainsFunc(n.Health().Problems, isConfiguration) {
			outdated = append(outdated, n)
			continue
		}
		first = cmp.Or(first, n)
		h := n.Handoff().State()
		if n.Local().State != membership.Active || h.Receiving+h.Releasing+h.Sharing > 0 || len(n.Members()) != len(all) || n.Fingerprint() != first.Fingerprint() {
			return false, nil
		}
	}
	return first != nil, outdated
}

func isConfiguration(p api.Problem) bool { return p.Code == api.ProblemConfiguration }

// renew starts members again with the configuration of the cluster, as their health says. They
// were cut off while the last of the others started again in the first round.
func (r *run) renew(outdated []*process) {
	for _, n := range outdated {
		r.note("%s cannot run the configuration", n.id)
		r.retire(n)
		r.start(n.id)
	}
}

// check requires that no read quorum misses the newest acknowledged version.
func (r *run) check(key string) {
	by := r.one()
	place := by.Lookup(key)
	behind, want := 0, r.peers.acknowledged(key)
	for _, o := range place.All() {
		n := r.live[o.ID()]
		if err := n.Handoff().Serve(place.Partition(), place.Token()); err != nil {
			r.fail("%s does not serve %q: %v", n.id, key, err)
		}
		version, err := n.store.Get(place.Partition(), key)
		if err != nil {
			r.fail("reading %q from %s: %v", key, n.id, err)
		}
		if version < want {
			behind++
		}
	}
	if slack := by.Ring().Config().ReplicationFactor - by.Handoff().WriteQuorum(); behind > slack {
		r.fail("version %d of %q was acknowledged and is missing from %d of its %d owners", want, key, behind, place.Len())
	}
}
