package detection_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// kind is what the members of an experiment are.
type kind string

const (
	ours  kind = "clusterkit"
	stock kind = "memberlist" // with its own configuration for local networks
)

const (
	port       = 7946
	partitions = 64
	replicas   = 3
)

// node is one start of a member.
type node struct {
	number int
	id     string
	addr   netip.AddrPort
	sees   func() int // how many members it sees
	view   func() string
	stop   func()
}

// nodeNumber returns the NodeID and the address of a member.
func nodeNumber(n int) (string, netip.AddrPort) {
	return fmt.Sprintf("m%04d", n), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), port)
}

// seeds are the addresses of the first three members.
func seeds() (addrs []string) {
	for n := range 3 {
		_, addr := nodeNumber(n)
		addrs = append(addrs, addr.String())
	}
	return addrs
}

// makeOurs makes a member of this library, and starts it.
func makeOurs(t *testing.T, b *bubble.Bubble, r *record, n int) *node {
	t.Helper()
	id, addr := nodeNumber(n)
	c, err := cluster.New(cluster.Options{
		ClusterName: "detection", NodeID: id, GossipAddr: addr.String(), Seeds: seeds(),
		Region: "r", Zone: fmt.Sprintf("z%d", n%3), PartitionCount: partitions, ReplicationFactor: replicas,
		Gossip: membership.GossipOptions{Network: b.Net}, Logger: logger(id),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	stream := c.Events(ctx)
	go func() {
		for e := range stream {
			switch e.Kind {
			case cluster.MemberFailed:
				r.add(change{at: e.At, by: id, of: e.Member.ID, kind: removed})
			case cluster.MemberJoined, cluster.MemberRejoined:
				r.add(change{at: e.At, by: id, of: e.Member.ID, kind: added})
			case cluster.RingChanged:
				r.add(change{at: e.At, by: id, ring: e.Ring.Fingerprint.String(), kind: ringChanged})
			}
		}
	}()
	r.work.Go(func() {
		if err := c.Start(context.Background()); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	})
	return &node{
		number: n, id: id, addr: addr,
		sees: func() int { return len(c.Members()) },
		view: func() string { return c.Fingerprint().String() },
		stop: func() {
			cancel()
			_ = c.Stop(bubble.Ended())
		},
	}
}

// listener records what memberlist tells of its list of members.
type listener struct {
	r    *record
	self string
}

// NotifyJoin records a member that appeared.
func (l listener) NotifyJoin(n *memberlist.Node) {
	l.r.add(change{at: time.Now(), by: l.self, of: n.Name, kind: added})
}

// NotifyLeave records a member that is gone.
func (l listener) NotifyLeave(n *memberlist.Node) {
	l.r.add(change{at: time.Now(), by: l.self, of: n.Name, kind: removed})
}

// NotifyUpdate is not used: members of plain memberlist announce nothing here.
func (l listener) NotifyUpdate(*memberlist.Node) {}

// makeStock makes a member of plain memberlist, and joins it.
func makeStock(t *testing.T, b *bubble.Bubble, r *record, n int, config memberlist.Config) *node {
	t.Helper()
	id, addr := nodeNumber(n)
	quiet := log.New(io.Discard, "", 0)
	transport, err := b.Net.Listen(addr, quiet)
	require.NoError(t, err)
	config.Name, config.Transport, config.Logger = id, transport, quiet
	config.Events = listener{r, id}
	config.EnableCompression = false // costs time, and changes no detection
	m, err := memberlist.Create(&config)
	require.NoError(t, err)
	r.work.Go(func() {
		for range 5 { // with loss a join may fail
			if _, err = m.Join(seeds()); err == nil {
				return
			}
		}
		t.Errorf("%s: %v", id, err)
	})
	return &node{
		number: n, id: id, addr: addr,
		sees: m.NumMembers, view: func() string { return "" },
		stop: func() { _ = m.Shutdown() },
	}
}

// world is a network with the members of one experiment.
type world struct {
	*record
	t      *testing.T
	b      *bubble.Bubble
	kind   kind
	config memberlist.Config
	nodes  []*node // that run, in the order of their starts
	next   int
}

// simulate runs an experiment with members of a kind in virtual time.
func simulate(t *testing.T, k kind, options memnet.Options, run func(*world)) {
	t.Helper()
	config := *memberlist.DefaultLANConfig() // reads the name of the host
	options.Latency = time.Millisecond
	bubble.Run(t, options, func(t *testing.T, b *bubble.Bubble) {
		w := &world{record: &record{}, t: t, b: b, kind: k, config: config}
		defer func() {
			b.Net.Heal()
			w.work.Wait()
			for _, n := range w.nodes {
				n.stop()
			}
		}()
		run(w)
	})
}

// grow starts members, and waits until all agree.
func (w *world) grow(count int) {
	w.t.Helper()
	for range count {
		w.start(w.next)
		if w.next++; w.next == 1 {
			w.work.Wait() // the others find the first one
		}
	}
	w.work.Wait()
	w.settle()
}

func (w *world) start(number int) {
	w.t.Helper()
	if w.kind == stock {
		w.nodes = append(w.nodes, makeStock(w.t, w.b, w.record, number, w.config))
	} else {
		w.nodes = append(w.nodes, makeOurs(w.t, w.b, w.record, number))
	}
}

// settle waits until all members see each other, and have one view.
func (w *world) settle() {
	w.t.Helper()
	bubble.Eventually(w.t, 5*time.Minute, "the members agree", func() error {
		for _, n := range w.nodes {
			if n.sees() != len(w.nodes) || n.view() != w.nodes[0].view() {
				return fmt.Errorf("%s sees %d members of %d, with view %q", n.id, n.sees(), len(w.nodes), n.view())
			}
		}
		return nil
	})
}

// remove takes members out of the list of those that run, after a fault has ended them,
// and stops their goroutines.
func (w *world) remove(gone []*node) {
	for _, g := range gone {
		for i, n := range w.nodes {
			if n == g {
				w.nodes = append(w.nodes[:i:i], w.nodes[i+1:]...)
				break
			}
		}
		g.stop()
	}
}

// failed returns an error while some member that runs still sees one that does not.
func (w *world) failed() error {
	for _, n := range w.nodes {
		if n.sees() > len(w.nodes) {
			return errors.New(n.id + " sees a member that is gone")
		}
	}
	return nil
}
