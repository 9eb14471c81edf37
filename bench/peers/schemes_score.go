package main

import (
	"cmp"
	"slices"

	"github.com/buraksezer/consistent"
)

// ordered returns members by their score for a partition, the best first.
func (w *world) ordered(members []int, p int) []int {
	list := slices.Clone(members)
	slices.SortFunc(list, func(a, b int) int { return cmp.Compare(w.score[b][p], w.score[a][p]) })
	return list
}

// highestWeight gives each partition to the members of the highest scores (Thaler and
// Ravishankar, 1998). With equal weights the straw2 buckets of CRUSH do the same.
func highestWeight(w *world, members, _ []int) (table []int) {
	for p := range w.partitions {
		table = append(table, w.ordered(members, p)[:replicas]...)
	}
	return table
}

// boundedWeight does the same, one partition after the other, and leaves out members that have
// the mean, rounded up (Mirrokni, Thorup and Zadimoghaddam, 2018).
func boundedWeight(w *world, members, _ []int) (table []int) {
	loads, limit := make([]int, len(w.ids)), w.limit(len(members), 0)
	for p := range w.partitions {
		row := make([]int, 0, replicas)
		list := w.ordered(members, p)
		for _, within := range []bool{true, false} { // at the end fewer members than owners may have room
			for _, m := range list {
				if len(row) < replicas && (!within || loads[m] < limit) && !slices.Contains(row, m) {
					row = append(row, m)
					loads[m]++
				}
			}
		}
		table = append(table, row...)
	}
	return table
}

// stableMatching takes all pairs of member and partition in the order of their scores, as long
// as the partition has fewer owners than it needs and the member is at most 5 % above the mean.
func stableMatching(w *world, members, _ []int) []int {
	type pair struct {
		score             uint64
		member, partition int
	}
	var pairs []pair
	for _, m := range members {
		for p, score := range w.score[m] {
			pairs = append(pairs, pair{score, m, p})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(b.score, a.score) })
	loads, rows, limit := make([]int, len(w.ids)), make([][]int, w.partitions), w.limit(len(members), 50)
	for _, pass := range []int{limit, len(pairs)} { // the second fills what the first leaves
		for _, c := range pairs {
			if row := rows[c.partition]; len(row) < replicas && loads[c.member] < pass && !slices.Contains(row, c.member) {
				rows[c.partition] = append(row, c.member)
				loads[c.member]++
			}
		}
	}
	return slices.Concat(rows...)
}

// maglev fills a table for each owner of a row, as Maglev does for the only one (Eisenbud et
// al., 2016). Members take turns, and each takes the next partition of its order that is free.
func maglev(w *world, members, _ []int) []int {
	table := make([]int, w.partitions*replicas)
	order := make(map[int][]int)
	for _, m := range members {
		order[m] = make([]int, w.partitions)
		for p, rank := range w.rank[m] {
			order[m][rank] = p
		}
	}
	for place := range replicas {
		next, taken := make(map[int]int), make([]bool, w.partitions)
		for filled := 0; filled < w.partitions; {
			before := filled
			for _, m := range members {
				for filled < w.partitions && next[m] < w.partitions {
					p := order[m][next[m]]
					next[m]++
					if row := table[p*replicas:][:place]; !taken[p] && !slices.Contains(row, m) {
						table[p*replicas+place], taken[p] = m, true
						filled++
						break
					}
				}
			}
			if filled == before {
				panic("maglev: no member can take the partitions that are left")
			}
		}
	}
	return table
}

// closestOwners is the library consistent with its own replicas.
func closestOwners(w *world, members, _ []int) (table []int) {
	number := make(map[string]int)
	list := make([]consistent.Member, 0, len(members))
	for _, m := range members {
		number[w.ids[m]] = m
		list = append(list, consistentMember(w.ids[m]))
	}
	c := consistent.New(list, consistent.Config{Hasher: consistentHasher{}, PartitionCount: w.partitions, ReplicationFactor: 20, Load: 1.25})
	for p := range w.partitions {
		owners, err := c.GetClosestNForPartition(p, replicas)
		if err != nil {
			panic(err) // there are enough members
		}
		for _, owner := range owners {
			table = append(table, number[owner.String()])
		}
	}
	return table
}
