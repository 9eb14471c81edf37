package main

import "slices"

// sticky keeps every slot that it may keep. First the slots of members that are gone go to the
// members of the fewest slots. Then slots go from the fullest to the emptiest member until their
// numbers differ by one at most.
func sticky(w *world, members, before []int) []int {
	if before == nil {
		before = boundedWeight(w, members, nil)
	}
	table, loads := slices.Clone(before), make(map[int]int)
	for _, m := range members {
		loads[m] = 0
	}
	for _, m := range table {
		if _, here := loads[m]; here {
			loads[m]++
		}
	}
	for slot, m := range table {
		if _, here := loads[m]; !here {
			p := slot / replicas * replicas
			to := least(members, loads, table[p:p+replicas])
			table[slot] = to
			loads[to]++
		}
	}
	return level(members, loads, table)
}

// least returns the member of the fewest slots that is not in a row.
func least(members []int, loads map[int]int, row []int) int {
	best := -1
	for _, m := range members {
		if !slices.Contains(row, m) && (best < 0 || loads[m] < loads[best]) {
			best = m
		}
	}
	return best
}

// level moves slots from the fullest members to the emptiest ones until their numbers differ by one
// at most.
func level(members []int, loads map[int]int, table []int) []int {
	for again := true; again; {
		again = false
		for slot, from := range table {
			p := slot / replicas * replicas
			to := least(members, loads, table[p:p+replicas])
			if fullest, emptiest := bounds(members, loads); fullest <= emptiest+1 {
				return table
			} else if loads[from] < fullest || loads[to] > emptiest {
				continue
			}
			table[slot] = to
			loads[from]--
			loads[to]++
			again = true
		}
	}
	return table
}

// bounds returns the largest and the smallest number of slots of a member.
func bounds(members []int, loads map[int]int) (fullest, emptiest int) {
	emptiest = loads[members[0]]
	for _, m := range members {
		fullest, emptiest = max(fullest, loads[m]), min(emptiest, loads[m])
	}
	return fullest, emptiest
}

// upmap is straw2 with exceptions, as the balancer of Ceph makes them: it keeps the exceptions
// of the table before whose members are here and whose slot straw2 gives to the same member, and
// adds others until numbers differ by one at most.
func upmap(w *world, members, before []int) []int {
	table := highestWeight(w, members, nil)
	if before != nil {
		old := highestWeight(w, membersOf(before), nil)
		for slot, m := range before {
			p := slot / replicas * replicas
			row := table[p : p+replicas]
			if i := slices.Index(row, old[slot]); m != old[slot] && i >= 0 && slices.Contains(members, m) && !slices.Contains(row, m) {
				row[i] = m
			}
		}
	}
	loads := make(map[int]int)
	for _, m := range table {
		loads[m]++
	}
	return level(members, loads, table)
}

// membersOf returns the members of a table, ascending.
func membersOf(table []int) []int {
	list := slices.Clone(table)
	slices.Sort(list)
	return slices.Compact(list)
}
