package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

const (
	// balanceMembers and balanceKeys are the members and keys of the table of balance.
	balanceMembers, balanceKeys, balancePartitions = 12, 16_384, 4096
	// shortestID is the length of the shortest ID in that table.
	shortestID = 16
)

// balanceIDs returns IDs by whose lengths the answers of a subject can be read: no two
// sets of three IDs have the same sum of lengths.
func balanceIDs(n int) []string {
	var ids []string
	pairs, threes := make(map[int]bool), make(map[int]bool) // the sums of lengths so far
	for length := shortestID; len(ids) < n; length++ {
		// Two pairs of one sum would give one sum together with any third ID.
		unique := true
		for i := range ids {
			unique = unique && !pairs[len(ids[i])+length]
		}
		for pair := range pairs {
			unique = unique && !threes[pair+length]
		}
		if !unique {
			continue
		}
		for pair := range pairs {
			threes[pair+length] = true
		}
		for i := range ids {
			pairs[len(ids[i])+length] = true
		}
		ids = append(ids, "member-"+strings.Repeat("m", length-len("member-")))
	}
	return ids
}

// balance writes how evenly each library spreads keys over members: the keys of the
// fullest member over the mean, as primary and as one of three owners.
func balance(list []adapter, out io.Writer) error {
	ids, k := balanceIDs(balanceMembers), randomKeys(balanceKeys)
	one, three := make(map[int][]int), make(map[int][]int) // by the sum of lengths
	for a := range ids {
		one[len(ids[a])] = []int{a}
		for b := range a {
			for c := range b {
				three[len(ids[a])+len(ids[b])+len(ids[c])] = []int{a, b, c}
			}
		}
	}
	t := measure.Table{
		Title: fmt.Sprintf("The fullest of %d members over the mean, %d keys", balanceMembers, balanceKeys),
		Head:  []string{"", "primaries", "replicas"},
		Note:  fmt.Sprintf("Libraries with partitions have %d, or their own default.", balancePartitions),
	}
	for _, a := range list {
		if a.role == measure.Floor || a.most > 0 {
			continue // a floor names no owners, and a cluster has the owners of its ring
		}
		s, err := a.construct(ids, balancePartitions)
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		primaries, err := fullest(s.primary, k, one)
		replicas := "–"
		if err == nil && s.three != nil {
			replicas, err = fullest(s.three, k, three)
		}
		s.end()
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		t.Rows = append(t.Rows, []string{a.name, primaries, replicas})
	}
	return t.Write(out)
}

// fullest asks for the owners of every key, and returns the load of the fullest member
// over the mean.
func fullest(ask func(keys) int, k keys, owners map[int][]int) (string, error) {
	var loads [balanceMembers]int
	all, most := 0, 0
	for i := range k.len() {
		sum := ask(k.part(i, i+1))
		names, known := owners[sum]
		if !known {
			return "", fmt.Errorf("key %q: no owners have lengths that sum to %d", k.text[i], sum)
		}
		for _, n := range names {
			loads[n]++
			most = max(most, loads[n])
			all++
		}
	}
	return measure.Digits(float64(most) * balanceMembers / float64(all)), nil
}
