package detection_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// outcome is what a cluster did when some of its members ended at the same instant.
type outcome struct {
	known   []time.Duration // for each of them: until all others knew
	views   []int           // rings, or lists of members, that each survivor went through
	atOnce  []int           // different rings at one instant, at most
	settled []time.Duration // until the survivors agreed on a view without them
	wrong   int             // survivors that were removed, by any view
}

func (o *outcome) join(other outcome) {
	o.known = append(o.known, other.known...)
	o.views = append(o.views, other.views...)
	o.atOnce = append(o.atOnce, other.atOnce...)
	o.settled = append(o.settled, other.settled...)
	o.wrong += other.wrong
}

// end ends some members at once, and measures what the others see.
func (w *world) end(victims []*node, fault func(*memnet.Network, *node)) outcome {
	w.t.Helper()
	began := time.Now()
	for _, v := range victims {
		fault(w.b.Net, v)
	}
	w.remove(victims)
	bubble.Eventually(w.t, 2*time.Minute, "all know", w.failed)
	w.settle()
	o := outcome{settled: []time.Duration{time.Since(began)}}
	time.Sleep(5 * time.Second) // later rings count too
	changes := w.since(began)
	for _, v := range victims {
		latest := make(map[string]time.Duration)
		for _, c := range changes {
			if c.of == v.id && c.kind == removed {
				latest[c.by] = c.at.Sub(began)
			}
		}
		var all time.Duration
		for _, n := range w.nodes {
			at, knows := latest[n.id]
			require.True(w.t, knows, "%s does not know of the end of %s", n.id, v.id)
			all = max(all, at)
		}
		o.known = append(o.known, all)
	}
	survivor := make(map[string]bool)
	for _, n := range w.nodes {
		survivor[n.id] = true
	}
	o.wrong = count(changes, func(c change) bool { return c.kind == removed && survivor[c.by] && survivor[c.of] })
	o.views = viewsOf(w.kind, changes, w.nodes)
	o.atOnce = []int{ringsAtOnce(changes, w.nodes)}
	return o
}

func kill(n *memnet.Network, of *node)  { n.Kill(of.addr) }
func crash(n *memnet.Network, of *node) { n.Crash(of.addr) }

// crashes is one line of the table of crashes.
type crashes struct {
	name   string
	of     int
	count  int
	zone   bool // those that end are all members of one zone
	rounds int
	loss   float64
	fault  func(*memnet.Network, *node)
}

// run repeats the crash, with new members in place of those that ended. The first three
// members stay, because the others join through them.
func (c crashes) run(t *testing.T, k kind, seed uint64) (total outcome) {
	t.Helper()
	simulate(t, k, memnet.Options{Seed: seed, PacketLoss: c.loss, StreamLoss: c.loss}, func(w *world) {
		w.grow(c.of)
		for range c.rounds {
			victims := slices.Clone(w.nodes[len(w.nodes)-c.count:])
			if c.zone {
				victims = slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n.number%3 != 2 || n.number < 3 })
			}
			time.Sleep(7300 * time.Millisecond) // another phase of the probes each time
			total.join(w.end(victims, c.fault))
			w.grow(len(victims))
		}
	})
	return total
}

func TestCrashes(t *testing.T) {
	for _, c := range []crashes{
		{name: "one of 5", of: 5, count: 1, rounds: 3, fault: kill},
		{name: "five of 24", of: 24, count: 5, rounds: 1, fault: kill},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := c.run(t, ours, 1)
			t.Logf("known to all %s; views %s; at once %s", seconds(o.known), medianMax(o.views), medianMax(o.atOnce))
			require.Zero(t, o.wrong, "survivors that were removed")
			require.Less(t, slices.Max(o.known), 20*time.Second)
			require.LessOrEqual(t, slices.Max(o.views), 3, "rings of a survivor")
			require.LessOrEqual(t, slices.Max(o.atOnce), 4, "different rings at one instant")
		})
	}
}

func TestTableOfCrashes(t *testing.T) {
	skipTable(t)
	tab := newTable(t, "what crashes at once", "packet loss", "known to all: p50 / p99 / max", "memberlist", "rings per survivor", "at one instant", "survivors removed", "memberlist")
	for _, c := range []crashes{
		{name: "a process, 1 of 5", of: 5, count: 1, rounds: rounds(100), fault: kill},
		{name: "a process, 1 of 30", of: 30, count: 1, rounds: rounds(100), fault: kill},
		{name: "a process, 1 of 100", of: 100, count: 1, rounds: rounds(100), fault: kill},
		{name: "processes, 10 of 64", of: 64, count: 10, rounds: rounds(10), fault: kill},
		{name: "processes, 10 of 100", of: 100, count: 10, rounds: rounds(10), fault: kill},
		{name: "a zone, 33 of 99", of: 99, zone: true, rounds: rounds(3), fault: kill},
		{name: "a host, 1 of 30", of: 30, count: 1, rounds: rounds(100), fault: crash},
		{name: "a host, 1 of 100", of: 100, count: 1, rounds: rounds(100), fault: crash},
	} {
		for _, c.loss = range []float64{0, 0.05} {
			a, b := c.run(t, ours, 1), c.run(t, stock, 1)
			tab.row(c.name, fmt.Sprintf("%.0f %%", 100*c.loss), seconds(a.known), seconds(b.known),
				medianMax(a.views), medianMax(a.atOnce), fmt.Sprint(a.wrong), fmt.Sprint(b.wrong))
			t.Log(tab.rows[len(tab.rows)-1])
		}
	}
	tab.print()
}
