package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// Configuration is what members must have in common to place keys alike,
// beside the partition count: how many owners a partition has, and who picks
// them.
type Configuration struct {
	// ReplicationFactor is the number of owners, 1 to 16. Zero means 3.
	ReplicationFactor int
	// Strategy picks them. Nil means [rebalance.Balanced].
	Strategy ring.RebalanceStrategy
}

// name is how a configuration is gossiped. Two that share a name are the same.
func (c Configuration) name() string {
	return fmt.Sprintf("rf%d:%s", c.ReplicationFactor, c.Strategy.Name())
}

// chooseConfiguration returns the configuration that a cluster of these members
// runs. It depends on what the members announce and on nothing else, so that all
// of them choose alike.
//
// Those who own decide: the active members, without any the draining, then the
// joining, then the leaving. It is the last one they all have in common, in the
// order of the member with the lowest ID. When they have none in common, which
// admission prevents between any two but not among three, it is the one that
// most of them can run, of equals the first by name.
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
