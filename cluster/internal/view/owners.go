package view

import (
	"cmp"
	"slices"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// Formed reports whether any of the members owns: whether one is active, draining or away, or is
// leaving with data and can run a configuration with a handoff. Handing is the name of the configuration in use,
// or empty where it has no handoff. If no member owns, the cluster is at its beginning, or its members
// are all on their way out.
func Formed(members []membership.Member, handing string) bool {
	return slices.ContainsFunc(members, func(m membership.Member) bool {
		return m.State == membership.Active || m.State == membership.Draining || m.State == membership.Away ||
			m.State == membership.Leaving && !m.Bare && slices.Contains(m.Configurations, handing)
	})
}

// Origin returns the number of the start with which a member's data began. That is its own
// start, or an earlier start whose data it has kept. For a member that joined again without a
// restart it is the new data start.
func Origin(m membership.Member) uint64 { return cmp.Or(m.Renewal, m.Origin, m.Start.Nonce) }

// owners returns the serving and the target owners, of the members that have the
// configuration:
//
//   - serving are the active, the away and the draining members,
//   - target are the active, the away and the joining members.
//
// A joining member that is back with its data counts as active as soon as any member owns.
// Otherwise members that come back together would become owners one by one, and the ring
// would change each time. When target is empty, the draining members stay owners, and
// without them the leaving ones. So the last members answer requests until they are gone.
//
// With a handoff the nodes have the starts that the data of the members goes back to, so that
// tokens name them. A leaving member may still have data that no other member has. So where no
// other member serves, the leaving ones serve until a joining member has received what they have.
// Leaving members that are bare never serve.
func owners(members []membership.Member, configuration string, handoff bool) (serving, target []ring.Node) {
	handing := ""
	if handoff {
		handing = configuration
	}
	formed := Formed(members, handing)
	var draining, leaving []ring.Node
	for _, m := range members {
		if !slices.Contains(m.Configurations, configuration) {
			continue
		}
		node := ring.Node{ID: m.ID, Region: m.Region, Zone: m.Zone, Weight: m.Weight}
		if handoff {
			node.Start = Origin(m)
		}
		switch state := m.State; {
		case state == membership.Joining && (m.Origin == 0 || !formed):
			target = append(target, node)
		case state == membership.Joining, state == membership.Active, state == membership.Away:
			serving, target = append(serving, node), append(target, node)
		case state == membership.Draining:
			serving, draining = append(serving, node), append(draining, node)
		case state == membership.Leaving && !m.Bare:
			leaving = append(leaving, node)
		}
	}
	if len(target) == 0 {
		target = draining
	}
	if len(target) == 0 {
		return leaving, leaving
	}
	if len(serving) == 0 && handoff {
		serving = leaving
	}
	return serving, target
}
