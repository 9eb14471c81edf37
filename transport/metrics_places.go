package transport

import (
	"cmp"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
)

// memberStates are all states of a member, in the order of its life.
var memberStates = [...]membership.State{membership.Joining, membership.Active, membership.Draining, membership.Leaving, membership.Observer, membership.Away}

// maxPlaces is the largest number of pairs of region and zone with series of their own.
// Members can announce any names; if they announced host names, the series must not
// fill the memory of the monitoring.
const maxPlaces = 64

// otherPlace stands for the region and zone of members beyond maxPlaces.
const otherPlace = "other"

// place is a region and zone, with the members of each of memberStates.
type place struct {
	region, zone string
	counts       [len(memberStates)]int
}

// places counts members by place, in ascending order. Beyond maxPlaces the last places
// in this order are combined, so that members with equal views have equal series.
func places(members []membership.Member) []place {
	var all []place
	index := make(map[[2]string]int)
	for i := range members {
		m := &members[i]
		// Places with different bytes may have equal printable names.
		key := [2]string(labelValues([]string{m.Region, m.Zone}))
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
