package main

import (
	"cmp"
	"math"
	"slices"
)

// flow is an assignment of slots to members whose sum of ranks is to be as small as possible
// under a limit for each member: a flow of minimal cost.
type flow struct {
	w       *world
	members []int
	rows    [][]int
	loads   map[int]int
}

// cheapestFlow gives every partition to the members that rank it lowest. Then, as long as a
// member is above the limit of 7 % more than the mean, it moves slots along the cheapest chain from
// such a member to one below it. Each such chain keeps the assignment the cheapest one for its
// loads (successive shortest paths).
func cheapestFlow(w *world, members, _ []int) []int {
	f := &flow{w: w, members: members, loads: make(map[int]int)}
	for p := range w.partitions {
		list := slices.Clone(members)
		slices.SortFunc(list, func(a, b int) int { return cmp.Or(cmp.Compare(w.rank[a][p], w.rank[b][p]), a-b) })
		f.rows = append(f.rows, list[:replicas])
		for _, m := range list[:replicas] {
			f.loads[m]++
		}
	}
	limit := w.limit(len(members), 70)
	edges := f.edges()
	for _, from := range members {
		for f.loads[from] > limit {
			f.push(from, limit, edges)
		}
	}
	for p, row := range f.rows { // the primary is the owner of the lowest rank
		slices.SortFunc(row, func(a, b int) int { return cmp.Or(cmp.Compare(w.rank[a][p], w.rank[b][p]), a-b) })
	}
	return slices.Concat(f.rows...)
}

// edge is the cheapest move of a slot from one member to another.
type edge struct{ cost, partition int }

// edges returns the cheapest move between all pairs of members.
func (f *flow) edges() map[int][]edge {
	all := make(map[int][]edge)
	for _, m := range f.members {
		all[m] = f.edgesOf(m)
	}
	return all
}

// edgesOf returns the cheapest moves of the slots of one member.
func (f *flow) edgesOf(from int) []edge {
	list := make([]edge, len(f.w.ids))
	for i := range list {
		list[i].cost = math.MaxInt
	}
	for p, row := range f.rows {
		if !slices.Contains(row, from) {
			continue
		}
		for _, to := range f.members {
			if cost := f.w.rank[to][p] - f.w.rank[from][p]; cost < list[to].cost && !slices.Contains(row, to) {
				list[to] = edge{cost, p}
			}
		}
	}
	return list
}

// push moves one slot from a member to the cheapest member below the limit, along the cheapest
// chain. It finds the chain as Bellman and Ford do, because costs may be negative.
func (f *flow) push(from, limit int, edges map[int][]edge) {
	cost, via := make([]int, len(f.w.ids)), make([]int, len(f.w.ids))
	for m := range cost {
		cost[m], via[m] = math.MaxInt, -1
	}
	cost[from] = 0
	for changed := true; changed; {
		changed = false
		for _, a := range f.members {
			if cost[a] == math.MaxInt {
				continue
			}
			for _, b := range f.members {
				if e := edges[a][b]; e.cost != math.MaxInt && cost[a]+e.cost < cost[b] {
					cost[b], via[b], changed = cost[a]+e.cost, a, true
				}
			}
		}
	}
	to := -1
	for _, m := range f.members {
		if f.loads[m] < limit && (to < 0 || cost[m] < cost[to]) {
			to = m
		}
	}
	f.loads[from]--
	f.loads[to]++
	touched := make(map[int]bool)
	for b := to; b != from; b = via[b] {
		a := via[b]
		p := edges[a][b].partition
		f.rows[p][slices.Index(f.rows[p], a)] = b
		for _, m := range f.rows[p] {
			touched[m] = true
		}
		touched[a] = true
	}
	for m := range touched {
		edges[m] = f.edgesOf(m)
	}
}
