package main

import (
	"fmt"

	"github.com/buraksezer/consistent"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/ring"
)

// batchKeys is the number of keys that are grouped by primary at once.
const batchKeys = 1000

// grouper groups keys by their primaries. It returns a sum over the groups: the length
// of the primary's ID times the number of keys.
type grouper struct {
	name  string
	role  measure.Role
	group func(keys) int
}

// groupers are the ways to group a batch. The other libraries have no call for a batch,
// so their users make a map from owner to keys.
func groupers(members []string, partitions int) ([]grouper, error) {
	r, err := ring.Build(ringConfig(partitions), ringNodes(members))
	if err != nil {
		return nil, err
	}
	hash, err := hashAlone.build(members, partitions)
	if err != nil {
		return nil, err
	}
	var batch ring.Batch
	c, kept := newConsistent(members, partitions), make(map[string][]int)
	return []grouper{
		{hashAlone.name, measure.Floor, hash.primary},
		{"clusterkit Group", measure.Reference, func(k keys) (sum int) {
			r.Group(k.text, &batch)
			for owner, positions := range batch.All() {
				sum += len(owner.ID()) * len(positions)
			}
			return sum
		}},
		{"clusterkit lookups, map of slices", measure.Reference, func(k keys) int {
			groups := make(map[string][]int)
			for i, key := range k.text {
				owner, _ := r.Lookup(key).Primary()
				groups[owner.ID()] = append(groups[owner.ID()], i)
			}
			return weigh(groups)
		}},
		{"consistent, bytes, map of slices", measure.Plain, func(k keys) int { return group(c, k, make(map[string][]int)) }},
		{"consistent, bytes, map kept", measure.Plain, func(k keys) int {
			for id, positions := range kept {
				kept[id] = positions[:0]
			}
			return group(c, k, kept)
		}},
		{"consistent, string, map of slices", measure.Plain, func(k keys) int {
			groups := make(map[string][]int)
			for i, key := range k.text {
				id := c.LocateKey([]byte(key)).String()
				groups[id] = append(groups[id], i)
			}
			return weigh(groups)
		}},
	}, nil
}

func group(c *consistent.Consistent, k keys, groups map[string][]int) int {
	for i, key := range k.raw {
		id := c.LocateKey(key).String()
		groups[id] = append(groups[id], i)
	}
	return weigh(groups)
}

func weigh(groups map[string][]int) (sum int) {
	for id, positions := range groups {
		sum += len(id) * len(positions)
	}
	return sum
}

// batches are the cases that group keys. An operation is one key.
func (sc *scenario) batches() ([]measure.Case, error) {
	groupers, err := groupers(sc.members, sc.partitions)
	if err != nil {
		return nil, err
	}
	var all []measure.Case
	for _, k := range []struct {
		name string
		keys keys
	}{{"hot keys", sc.hot.part(0, batchKeys)}, {"of a million keys", sc.cold}} {
		for _, g := range groupers {
			all = append(all, measure.Case{
				Group: fmt.Sprintf("batch of %d %s by primary, %d members", batchKeys, k.name, sc.size.members),
				Name:  g.name, Role: g.role, Step: batchKeys,
				Make: func() (func(int), error) {
					w := &walk{keys: k.keys, ask: g.group}
					return func(n int) {
						for ; n > 0; n -= batchKeys {
							w.run(batchKeys)
						}
					}, nil
				},
			})
		}
	}
	return all, nil
}
