package main

import (
	"fmt"
	"io"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// numberedLayout is a cluster of members with numbers, which are in the zones in turn. It has
// 4096 partitions and three replicas.
type numberedLayout struct{ members, zones int }

var numberedLayouts = []numberedLayout{{10, 1}, {100, 1}, {30, 3}, {99, 3}}

func (l numberedLayout) String() string {
	if l.zones == 1 {
		return fmt.Sprintf("%d in one zone", l.members)
	}
	return fmt.Sprintf("%d in %d zones", l.members, l.zones)
}

// numberedFigures are those of one strategy on one layout, as in figures.
type numberedFigures struct {
	strategy                        ring.RebalanceStrategy
	replicas, primaries, withHoles  stat // withHoles is replicas with two members away
	grow, shrink, hole, anotherHole stat
}

// numberedHoles is how many members are lost, each with another one after it.
const numberedHoles = 10

// numberedFiguresOf measures a strategy with the members from 0 on: one more, one less, and one and
// two that are lost elsewhere.
func numberedFiguresOf(s ring.RebalanceStrategy, l numberedLayout) (f numberedFigures, err error) {
	node := func(i int) ring.Node {
		return ring.Node{ID: fmt.Sprintf("orders-%d", i), Zone: fmt.Sprintf("zone-%d", i%l.zones)}
	}
	nodes := make([]ring.Node, l.members)
	for i := range nodes {
		nodes[i] = node(i)
	}
	f.strategy = s
	all, err := ring.Build(ring.Config{PartitionCount: 4096, ReplicationFactor: 3, Strategy: s}, nodes)
	if err != nil {
		return f, err
	}
	slots, primaries := loads(all)
	f.replicas.add(maxOverMean(slots, all.Nodes()))
	f.primaries.add(maxOverMean(primaries, all.Nodes()))
	more, plan, err := rebalance.WhatIf(all, rebalance.Change{Add: []ring.Node{node(l.members)}})
	if err != nil {
		return f, err
	}
	slots, _ = loads(more)
	f.grow.addRatio(len(plan.Moves), slots[node(l.members).ID])
	lose := func(r *ring.Ring, i int, s *stat) (*ring.Ring, error) {
		slots, _ := loads(r)
		to, plan, err := rebalance.WhatIf(r, rebalance.Change{Remove: []string{node(i).ID}})
		if err == nil {
			s.addRatio(len(plan.Moves), slots[node(i).ID])
		}
		return to, err
	}
	if _, err = lose(all, l.members-1, &f.shrink); err != nil {
		return f, err
	}
	for i := range numberedHoles {
		first := i * l.members / numberedHoles
		one, err := lose(all, first, &f.hole)
		if err != nil {
			return f, err
		}
		two, err := lose(one, (first+l.members/3)%l.members, &f.anotherHole)
		if err != nil {
			return f, err
		}
		slots, _ := loads(two)
		f.withHoles.add(maxOverMean(slots, two.Nodes()))
	}
	return f, nil
}

// numberedStrategies are those of the table.
func numberedStrategies(l numberedLayout) []ring.RebalanceStrategy {
	return []ring.RebalanceStrategy{rebalance.Ordinal{Prefix: "orders-", Zones: l.zones}, rebalance.Balanced{}}
}

// cells are the figures as the table shows them.
func (f numberedFigures) cells() []string {
	pair := func(s stat) string { return fmt.Sprintf("%.2f / %.2f", s.most, s.mean()) }
	return []string{
		fmt.Sprintf("%.3f", f.replicas.most), fmt.Sprintf("%.2f", f.primaries.most), fmt.Sprintf("%.2f", f.grow.most), fmt.Sprintf("%.2f", f.shrink.most),
		pair(f.hole), pair(f.anotherHole), fmt.Sprintf("%.3f", f.withHoles.most),
	}
}

// printNumbered prints the table of members with numbers.
func printNumbered(out io.Writer) error {
	t := measure.Table{
		Title: "Members with numbers, in zones in turn: 4096 partitions, 3 replicas",
		Head:  []string{"members", "", "replicas", "primaries", "grow", "shrink", "first hole", "second hole", "replicas with two holes"},
	}
	for _, l := range numberedLayouts {
		for _, s := range numberedStrategies(l) {
			f, err := numberedFiguresOf(s, l)
			if err != nil {
				return err
			}
			t.Rows = append(t.Rows, append([]string{l.String(), label(s)}, f.cells()...))
		}
	}
	return t.Write(out)
}
