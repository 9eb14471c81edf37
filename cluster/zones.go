package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
)

// place is a zone of a region.
type place struct{ region, zone string }

func placeOf(m Member) place { return place{m.Region, m.Zone} }

func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(a.region, b.region), cmp.Compare(a.zone, b.zone))
}

// lostZone describes a zone of which no owner answers.
type lostZone struct {
	kept  int       // members that keep their places
	until time.Time // when the first of them is replaced
}

// lostZones returns the zones that keep their places by a ZoneGrace and of which no owner answers, and how
// many members they have.
func (p *published) lostZones() (lost map[place]lostZone, kept int) {
	for _, m := range p.Members {
		if !view.Gone(m) || m.ZoneGrace == 0 {
			continue
		}
		if lost == nil {
			lost = make(map[place]lostZone)
		}
		zone := lost[placeOf(m)]
		if zone.kept++; zone.until.IsZero() || m.Until.Before(zone.until) {
			zone.until = m.Until
		}
		lost[placeOf(m)] = zone
	}
	for _, m := range p.Members {
		if owns := m.State == membership.Active || m.State == membership.Draining; owns {
			delete(lost, placeOf(m))
		}
	}
	for _, zone := range lost {
		kept += zone.kept
	}
	return lost, kept
}

// describeLost names a few of the zones.
func describeLost(lost map[place]lostZone) string {
	parts := make([]string, 0, len(lost))
	for _, p := range slices.SortedFunc(maps.Keys(lost), comparePlaces) {
		zone := fmt.Sprintf("zone %q", p.zone)
		if p.region != "" {
			zone += fmt.Sprintf(" of region %q", p.region)
		}
		parts = append(parts, fmt.Sprintf("%s, %d members, until %s", zone, lost[p].kept, lost[p].until.UTC().Format(time.RFC3339)))
	}
	return few(parts)
}
