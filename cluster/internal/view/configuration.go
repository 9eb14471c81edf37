package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// Configuration is what members must have in common to compute the same owners and, with a
// handoff, to move data safely. Without a handoff WriteQuorum is zero.
type Configuration struct{ ring.Config }

// Name returns the name under which members gossip the configuration, for example
// "rf3:balanced/3", and "rf3w2:balanced/3" with a handoff. Configurations with equal names
// are equal. The strategy must be set.
func (c Configuration) Name() string {
	if c.WriteQuorum == 0 {
		return fmt.Sprintf("rf%d:%s", c.ReplicationFactor, c.Strategy.Name())
	}
	return fmt.Sprintf("rf%dw%d:%s", c.ReplicationFactor, c.WriteQuorum, c.Strategy.Name())
}

// chooseConfiguration returns the name of the configuration that a cluster of these members
// runs. It depends only on the announcements of the members, so that all of them choose the
// same.
//
// The voters are the active, the away, the draining and the leaving members: a member that leaves
// hands over under the configuration that it has. While none is active, away or draining, the voters
// are the joining and the leaving members, or the joining ones alone where these two have no
// configuration in common. The result is the last configuration that all voters have in common, in the
// order of the voter with the lowest ID. Admission makes sure that any two members have one in common,
// but three may have none. Then the result is the configuration that most voters have; of equals, the
// first by name.
func chooseConfiguration(members []membership.Member) string {
	voters := membersIn(members, membership.Active, membership.Away, membership.Draining, membership.Leaving)
	if !Formed(members, "") {
		joining := membersIn(members, membership.Joining)
		if voters = append(voters, joining...); common(voters) == "" && len(joining) > 0 {
			voters = joining
		}
	}
	if name := common(voters); name != "" {
		return name
	}
	votes, best := make(map[string]int), ""
	for _, m := range voters {
		for _, name := range m.Configurations {
			votes[name]++
		}
	}
	for name, n := range votes {
		if n > votes[best] || n == votes[best] && name < best {
			best = name
		}
	}
	return best
}

// common returns the last configuration that all voters have in common, in the order of the voter with
// the lowest ID, and "" where there is none.
func common(voters []membership.Member) string {
	if len(voters) == 0 {
		return ""
	}
	lowest := slices.MinFunc(voters, func(a, b membership.Member) int { return strings.Compare(a.ID, b.ID) })
	for _, name := range slices.Backward(lowest.Configurations) {
		if !slices.ContainsFunc(voters, func(m membership.Member) bool { return !slices.Contains(m.Configurations, name) }) {
			return name
		}
	}
	return ""
}

// membersIn returns the members in one of some states.
func membersIn(members []membership.Member, states ...membership.State) (some []membership.Member) {
	for _, m := range members {
		if slices.Contains(states, m.State) {
			some = append(some, m)
		}
	}
	return some
}
