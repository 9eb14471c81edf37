package transport

import (
	"cmp"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
)

// memberStates are all there are, in the order of a member's life.
var memberStates = [...]membership.State{membership.Joining, membership.Active, membership.Draining, membership.Leaving, membership.Observer, membership.Away}

// maxPlaces is how many pairs of region and zone are told apart. Members name them
// as they please: host names in their place must not fill the memory of the monitoring.
const maxPlaces = 64

// otherPlace stands for the region and zone of members beyond maxPlaces.
const otherPlace = "other"

// place is a region and zone, with the members of each of memberStates.
type place struct {
	region, zone string
	counts       [len(memberStates)]int
}

// places counts members by place, ascending. Beyond maxPlaces, the places last in
// order are one, so that members with equal views show the same.
func places(members []membership.Member) []place {
	var all []place
	index := make(map[[2]string]int)
	for i := range members {
		m := &members[i]
		// What differs in bytes may look the same.
		key := [2]string(printable([]string{m.Region, m.Zone}))
		i, known := index[key]
		if !known {
			i = len(all)
			index[key] = i
			all = append(all, place{region: key[0], zone: key[1]})
		}
		if state := slices.Index(memberStates[:], m.State); state >= 0 {
			all[i].counts[state]++
		}
	}
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(strings.Compare(a.region, b.region), strings.Compare(a.zone, b.zone))
	})
	if len(all) <= maxPlaces {
		return all
	}
	rest := place{region: otherPlace, zone: otherPlace}
	kept := all[:0]
	for _, p := range all {
		if len(kept) < maxPlaces-1 && (p.region != otherPlace || p.zone != otherPlace) {
			kept = append(kept, p)
			continue
		}
		for i, count := range p.counts {
			rest.counts[i] += count
		}
	}
	return append(kept, rest)
}
