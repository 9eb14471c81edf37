package rebalance

// Zones of fewer nodes are not walked: to compare all nodes of the zone for each row is
// as fast.
const fewNodes = 24

// walk fills the lists of all rows for the zones of many nodes, where weights are equal.
// All nodes of a zone name their partition of rank 0, then that of rank 1, and so on.
// When each row has been named by as many nodes as its list holds, later nodes cannot get
// into a list. This takes about as many steps as partitions times the logarithm of their
// number, and comparing all nodes takes partitions times nodes.
//
// When many zones have many nodes, the lists would take too much memory, and walk does
// nothing.
func (f *filler) walk(stopped func() bool) {
	if f.score.orders == nil || f.score.weights != nil {
		return
	}
	lists := 0
	for z := range f.lists {
		lists += cap(f.lists[z])
	}
	if lists > 64 {
		return
	}
	all := true
	for z, zone := range f.layout.zones {
		if len(zone.nodes) < fewNodes {
			all = false
			continue
		}
		var ranks uint64
		f.walked[z], ranks = f.walkZone(z, stopped)
		f.ranks = max(f.ranks, ranks)
	}
	if !all {
		f.ranks = 0
	}
}

// walkZone returns the lists of a zone, and the number of ranks that it has walked. It stops
// early, with lists that are not complete.
func (f *filler) walkZone(z int, stopped func() bool) (all []candidate, ranks uint64) {
	s, nodes, partitions := &f.score, f.layout.zones[z].nodes, int(f.score.domain.partitions)
	each := min(cap(f.lists[z]), len(nodes))
	all = make([]candidate, partitions*each)
	counts := make([]uint8, partitions)
	for open, rank := partitions, uint64(0); open > 0; rank++ {
		ranks = rank + 1
		if rank%stopEvery == 0 && stopped() {
			break
		}
		least := s.least(rank)
		for _, n := range nodes {
			at := s.orders[n].at(rank, &s.domain)
			list := all[int(at)*each:][:counts[at]:each]
			if len(list) == each && least+s.step <= ^list[each-1].cost {
				continue
			}
			list = insert(list, candidate{^(least + s.fraction(newPartition(int(at)), n)), n})
			if int(counts[at]) < each && len(list) == each {
				open--
			}
			counts[at] = uint8(len(list))
		}
	}
	return all, ranks
}
