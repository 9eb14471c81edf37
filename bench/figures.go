package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// timedBuilds is the number of builds whose median is the build time.
const timedBuilds = 5

// figures are the results of one strategy on one layout. The best ratio is 1.
//
// Movement is the replica slots that change owner, over the slots that must move in
// any plan between the two memberships:
//
//   - join: the slots that the joining member gets,
//   - leave and zone loss: the slots of the leaving member, or of the zone,
//   - rolling restart, in which each member in turn leaves and comes back: twice the
//     slots of each member.
//
// A slot that has no owner afterwards, because too few members are left, counts as
// moved.
type figures struct {
	layout   layout
	strategy ring.RebalanceStrategy
	seeds    int

	replicas  stat // the fullest member's slots over the mean, both per weight
	primaries stat // the same for the partitions it is primary of
	join      stat // one joining member for each zone and weight
	leave     stat // one after the other, from the full cluster
	several   stat // the share of the partitions that a leave changes in which several owners change
	zoneLoss  stat // each zone; nothing when there is only one
	rolling   stat // the members of leave, in total
	spread    stat // the share of partitions with owners in as many zones as possible, 0 to 1

	// Peers are the other owners of a lost member's partitions. Until the ring changes
	// they carry its load.
	peers     stat // the number of peers of a member
	peerShare stat // the largest share of its partitions that one peer owns, 0 to 1

	build time.Duration // the median of building the ring, on this machine
}

// stat collects one figure over all seeds and changes.
type stat struct {
	least, most, sum float64
	count            int
}

func (s *stat) add(v float64) {
	if s.count == 0 {
		s.least = v
	}
	s.least, s.most = min(s.least, v), max(s.most, v)
	s.sum += v
	s.count++
}

func (s stat) mean() float64 { return s.sum / float64(s.count) }

// figuresOf measures all figures of a strategy on a layout. Up to leaves members,
// evenly spaced, leave the cluster one by one.
func figuresOf(s ring.RebalanceStrategy, l layout, seeds, leaves int) (figures, error) {
	f := figures{layout: l, strategy: s, seeds: seeds}
	for seed := range seeds {
		if err := f.addSeed(uint64(seed)+1, leaves); err != nil {
			return f, fmt.Errorf("measuring %s on %s with seed %d: %w", s.Name(), l, seed+1, err)
		}
	}
	return f, f.timeBuild()
}

func (f *figures) config() ring.Config {
	return ring.Config{PartitionCount: f.layout.partitions, ReplicationFactor: f.layout.replicas, Strategy: f.strategy}
}

func (f *figures) addSeed(seed uint64, leaves int) error {
	nodes, joiners := f.layout.members(seed)
	r, err := ring.Build(f.config(), nodes)
	if err != nil {
		return err
	}
	f.addBalance(r)
	if err := f.addJoins(r, joiners); err != nil {
		return err
	}
	if err := f.addLeaves(r, leaves); err != nil {
		return err
	}
	return f.addZoneLosses(r)
}

func (f *figures) addBalance(r *ring.Ring) {
	slots, primaries := loads(r)
	f.replicas.add(maxOverMean(slots, r.Nodes()))
	f.primaries.add(maxOverMean(primaries, r.Nodes()))
	f.addSpread(r)
}

func (f *figures) addSpread(r *ring.Ring) {
	f.spread.add(1 - float64(r.Spread().ZoneViolations)/float64(r.PartitionCount()))
}

// change returns the ring after a change, and counts its spread.
func (f *figures) change(r *ring.Ring, c rebalance.Change) (*ring.Ring, int, error) {
	to, plan, err := rebalance.WhatIf(r, c)
	if err != nil {
		return nil, 0, err
	}
	f.addSpread(to)
	return to, len(plan.Moves), nil
}

func (f *figures) addJoins(r *ring.Ring, joiners []ring.Node) error {
	for _, n := range joiners {
		to, moves, err := f.change(r, rebalance.Change{Add: []ring.Node{n}})
		if err != nil {
			return err
		}
		slots, _ := loads(to)
		f.join.addRatio(moves, slots[n.ID])
	}
	return nil
}

// addLeaves measures leaves and, from them, the rolling restart. A strategy depends
// only on the members: when the member is back, the ring is the one of before, and
// every moved slot moves back.
func (f *figures) addLeaves(r *ring.Ring, leaves int) error {
	slots, _ := loads(r)
	moved, minimum := 0, 0
	for _, n := range evenly(r.Nodes(), leaves) {
		to, plan, err := rebalance.WhatIf(r, rebalance.Change{Remove: []string{n.ID}})
		if err != nil {
			return err
		}
		f.addSpread(to)
		f.addSeveral(plan)
		moves := len(plan.Moves)
		f.leave.addRatio(moves, slots[n.ID])
		f.addPeers(r, n.ID)
		moved += 2 * moves
		minimum += 2 * slots[n.ID]
	}
	f.rolling.addRatio(moved, minimum)
	return nil
}

// addSeveral counts the partitions of which a leave changes more than one owner.
func (f *figures) addSeveral(p rebalance.Plan) {
	changed, several := 0, 0
	for rest := p.Moves; len(rest) > 0; changed++ {
		n := 1
		for n < len(rest) && rest[n].Partition == rest[0].Partition {
			n++
		}
		if n > 1 {
			several++
		}
		rest = rest[n:]
	}
	f.several.addRatio(several, changed)
}

func (f *figures) addZoneLosses(r *ring.Ring) error {
	inZone, held := make(map[string][]string), make(map[string]int)
	slots, _ := loads(r)
	for _, n := range r.Nodes() {
		zone := n.Region + "/" + n.Zone
		inZone[zone] = append(inZone[zone], n.ID)
		held[zone] += slots[n.ID]
	}
	if len(inZone) == 1 {
		return nil
	}
	for _, zone := range slices.Sorted(maps.Keys(inZone)) {
		_, moves, err := f.change(r, rebalance.Change{Remove: inZone[zone]})
		if err != nil {
			return err
		}
		f.zoneLoss.addRatio(moves, held[zone])
	}
	return nil
}

// addPeers measures how many other members share the partitions of a member.
func (f *figures) addPeers(r *ring.Ring, member string) {
	common, held, most := make(map[string]int), 0, 0
	for _, p := range r.All() {
		if !p.Owns(member) {
			continue
		}
		held++
		for _, n := range p.All() {
			if n.ID() != member {
				common[n.ID()]++
				most = max(most, common[n.ID()])
			}
		}
	}
	f.peers.add(float64(len(common)))
	f.peerShare.addRatio(most, held)
}

// addRatio adds a ratio, unless the minimum is zero.
func (s *stat) addRatio(moved, minimum int) {
	if minimum > 0 {
		s.add(float64(moved) / float64(minimum))
	}
}

// timeBuild measures the median time of building the ring.
func (f *figures) timeBuild() error {
	times := make([]time.Duration, timedBuilds)
	nodes, _ := f.layout.members(1)
	for i := range times {
		began := time.Now()
		if _, err := ring.Build(f.config(), nodes); err != nil {
			return err
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	f.build = times[timedBuilds/2]
	return nil
}

// loads counts the replica slots and the primaries of each member.
func loads(r *ring.Ring) (slots, primaries map[string]int) {
	slots, primaries = make(map[string]int), make(map[string]int)
	for _, p := range r.All() {
		for i, n := range p.All() {
			slots[n.ID()]++
			if i == 0 {
				primaries[n.ID()]++
			}
		}
	}
	return slots, primaries
}

// maxOverMean returns the largest load for a unit of weight, divided by that of all
// members.
func maxOverMean(load map[string]int, nodes []ring.Node) float64 {
	total, weights, most := 0, 0, 0.0
	for _, n := range nodes {
		total += load[n.ID]
		weights += n.Weight
		most = max(most, float64(load[n.ID])/float64(n.Weight))
	}
	return most * float64(weights) / float64(total)
}

// evenly returns at most a number of the nodes, evenly spaced.
func evenly(nodes []ring.Node, most int) []ring.Node {
	if len(nodes) <= most {
		return nodes
	}
	some := make([]ring.Node, most)
	for i := range some {
		some[i] = nodes[i*len(nodes)/most]
	}
	return some
}
