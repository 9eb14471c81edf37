package detection_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// oneWay is one line of the table of faults in one direction, at one member: the
// experiments of Rapid.
type oneWay struct {
	name  string
	of    int
	total time.Duration
	fault func(w *world, bad *node, total time.Duration)
}

// loses makes a member lose a share of what it receives and sends.
func loses(in, out float64) func(*world, *node, time.Duration) {
	return func(w *world, bad *node, total time.Duration) {
		require.NoError(w.t, w.b.Net.SetHostLoss(bad.addr, in, out))
		time.Sleep(total)
	}
}

// deaf cuts what a member receives, 20 s on and 20 s off.
func deaf(w *world, bad *node, total time.Duration) {
	began := time.Now()
	for on := true; time.Since(began) < total; on = !on {
		for _, n := range w.nodes {
			if on {
				w.b.Net.Block(n.addr, bad.addr)
			} else {
				w.b.Net.Unblock(n.addr, bad.addr)
			}
		}
		time.Sleep(20 * time.Second)
	}
}

// harm is what a fault at one member did to the views of the healthy ones.
type harm struct {
	views   []int // rings, or lists of members, of each healthy member
	bad     []int // how often each of them took the bad one for dead
	healthy int   // how often they took healthy ones for dead
}

func (o oneWay) run(t *testing.T, k kind, seed uint64) (h harm) {
	t.Helper()
	simulate(t, k, memnet.Options{Seed: seed}, func(w *world) {
		w.grow(o.of)
		bad, healthy := w.nodes[o.of-1], w.nodes[:o.of-1]
		time.Sleep(10 * time.Second)
		began := time.Now()
		o.fault(w, bad, o.total)
		changes := w.since(began)
		for _, n := range healthy {
			h.bad = append(h.bad, count(changes, func(c change) bool { return c.kind == removed && c.by == n.id && c.of == bad.id }))
		}
		h.healthy = count(changes, func(c change) bool { return c.kind == removed && c.by != bad.id && c.of != bad.id })
		h.views = viewsOf(k, changes, healthy)
	})
	return h
}

func (h harm) String() string {
	return fmt.Sprintf("views %s; bad member removed %s; healthy removed %d", medianMax(h.views), medianMax(h.bad), h.healthy)
}

var rapidExperiments = []oneWay{
	{name: "80 % of what it sends is lost", fault: loses(0, 0.8)},
	{name: "80 % of what it receives is lost", fault: loses(0.8, 0)},
	{name: "it receives nothing for 20 s of 40 s", fault: deaf},
}

func TestADeafMemberHarmsNoHealthyOne(t *testing.T) {
	t.Parallel()
	o := rapidExperiments[2]
	o.of, o.total = 12, 80*time.Second
	h := o.run(t, ours, 1)
	t.Log(h)
	require.Zero(t, h.healthy)
	require.LessOrEqual(t, slices.Max(h.views), 2)
}

func TestTableOfFaultsInOneDirection(t *testing.T) {
	skipTable(t)
	tab := newTable(t, "one of 40 members, for 320 s", "rings of a healthy member", "memberlist: lists", "the faulty member was removed", "memberlist", "healthy members removed", "memberlist")
	for _, o := range rapidExperiments {
		o.of, o.total = 40, 320*time.Second
		a, b := o.run(t, ours, 1), o.run(t, stock, 1)
		tab.row(o.name, medianMax(a.views), medianMax(b.views), medianMax(a.bad), medianMax(b.bad), fmt.Sprint(a.healthy), fmt.Sprint(b.healthy))
		t.Log(tab.rows[len(tab.rows)-1])
	}
	tab.print()
}
