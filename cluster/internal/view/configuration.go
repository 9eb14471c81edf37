package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// Name returns the name under which members gossip a configuration, for example
// "rf3:balanced/1". Configurations of one name are the same. The strategy must be set.
func Name(c ring.Config) string {
	return fmt.Sprintf("rf%d:%s", c.ReplicationFactor, c.Strategy.Name())
}

// chooseConfiguration returns the name of the configuration that a cluster of these members
// runs. It depends on what the members announce and on nothing else, so that all
// of them choose alike.
//
// The voters are the active members. Without any they are the draining members, then the
// joining, then the leaving ones. The result is the last configuration that all voters have
// in common, in the order of the voter with the lowest ID. Admission makes sure that any two
// members have one in common, but three may have none. Then the result is the configuration
// that most voters have; of equals, the first by name.
func chooseConfiguration(members []membership.Member) string {
	var voters []membership.Member
	for _, state := range []membership.State{membership.Active, membership.Draining, membership.Joining, membership.Leaving} {
		for _, m := range members {
			if m.State == state {
				voters = append(voters, m)
			}
		}
		if len(voters) > 0 {
			break
		}
	}
	votes := make(map[string]int)
	for _, m := range voters {
		for _, name := range m.Configurations {
			votes[name]++
		}
	}
	if len(voters) > 0 {
		lowest := slices.MinFunc(voters, func(a, b membership.Member) int { return strings.Compare(a.ID, b.ID) })
		for _, name := range slices.Backward(lowest.Configurations) {
			if votes[name] == len(voters) {
				return name
			}
		}
	}
	best := ""
	for name, n := range votes {
		if n > votes[best] || n == votes[best] && name < best {
			best = name
		}
	}
	return best
}
