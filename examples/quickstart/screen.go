package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// addresses prints the members and their addresses.
func (s *scenario) addresses(members []*member) {
	s.Printf("   %-6s  %-4s  %-15s  %s\n", "member", "zone", "gossip", "HTTP")
	for _, m := range members {
		s.Printf("   %-6s  %-4s  %-15s  %s\n", m.id, m.zone, m.Local().Addr, m.HTTPAddr())
	}
	s.Printf("\n")
}

// owners prints the owners of some keys.
func (s *scenario) owners(keys []string, r *ring.Ring) {
	s.Printf("\n   %-10s  %9s  %s\n", "key", "partition", "owners (zone), the primary first")
	for _, key := range keys {
		p := r.Lookup(key)
		s.Printf("   %-10s  %9d  %s\n", key, p.Partition(), owners(p))
	}
}

// changes prints the owners of keys before and after a change.
func (s *scenario) changes(keys []string, before, after *ring.Ring) {
	s.Printf("\n   %-10s  %-17s  %s\n", "key", "before", "now")
	for _, key := range keys {
		was, is := before.Lookup(key), after.Lookup(key)
		s.Printf("   %-10s  %-17s  %-17s  %s\n", key, owners(was), owners(is), difference(was, is))
	}
}

// moved prints a summary of a plan, with the number of slots that had to move.
func (s *scenario) moved(plan rebalance.Plan, needed int, victims []string) {
	s.Printf("\n")
	s.Fact("moved", "%d of %d replica slots, from the first ring to the last", len(plan.Moves), plan.Slots)
	s.Fact("minimum", "%d, the slots that %s held", needed, strings.Join(victims, " and "))
	var takers []string
	gained := func(a, b rebalance.NodeChange) int { return cmp.Compare(b.Gained, a.Gained) }
	for _, m := range slices.SortedStableFunc(slices.Values(plan.Members), gained) {
		if m.Gained > 0 {
			takers = append(takers, fmt.Sprintf("%s %d", m.ID, m.Gained))
		}
	}
	s.Fact("taken over", "%s", strings.Join(takers, ", "))
}

// answers prints the fingerprints of members and their answers for keys, side by side.
func (s *scenario) answers(keys []string, members []*member) {
	s.Printf("   %-6s  %-16s", "member", "fingerprint")
	for _, key := range keys {
		s.Printf("  %-8s", key)
	}
	for _, m := range members {
		s.Printf("\n   %-6s  %v", m.id, m.Fingerprint())
		width := 0 // the width that the owners of one key leave free
		for _, key := range keys {
			answer := strings.Join(ids(m.Lookup(key)), " ")
			s.Printf("%*s  %s", width, "", answer)
			width = max(len(key), 8) - len(answer)
		}
	}
	s.Printf("\n")
}

// owners formats a preference list with its zones.
func owners(p ring.Placement) string {
	var parts []string
	for _, node := range p.All() {
		parts = append(parts, fmt.Sprintf("%s(%s)", node.ID(), node.Zone()))
	}
	return strings.Join(parts, " ")
}

func ids(p ring.Placement) []string {
	var parts []string
	for _, node := range p.All() {
		parts = append(parts, node.ID())
	}
	return parts
}

// difference describes the change of a preference list.
func difference(was, is ring.Placement) string {
	if slices.Equal(ids(was), ids(is)) {
		return "stays"
	}
	var gone, come []string
	for _, id := range ids(was) {
		if !is.Owns(id) {
			gone = append(gone, id)
		}
	}
	for _, id := range ids(is) {
		if !was.Owns(id) {
			come = append(come, id)
		}
	}
	var words []string
	if len(come) > 0 {
		words = append(words, fmt.Sprintf("%s for %s", strings.Join(come, " "), strings.Join(gone, " ")))
	}
	before, _ := was.Primary()
	now, _ := is.Primary()
	if before.ID() != now.ID() && was.Owns(now.ID()) {
		words = append(words, now.ID()+" now primary")
	}
	return strings.Join(words, ", ")
}
