package main

import (
	"fmt"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/ring"
)

// batchKeys is how many keys are grouped by their primary at once.
const batchKeys = 1000

// grouper sorts keys by their primaries.
type grouper struct {
	name string
	// make returns a loop that groups keys, with buffers of its own, and
	// returns the sum over the groups of the length of the primary's ID
	// times the number of keys.
	make func() func(keys) (int, error)
	// primary is the answer for the first key, for the gate.
	primary func(keys) string
}

// groupers are those of a scenario. The other libraries have no call for a batch,
// so what stands for them is what their users write: a map from owner to keys.
func (sc *scenario) groupers() ([]grouper, error) {
	r, err := ring.Build(ringConfig(sc.partitions), ringNodes(sc.members))
	if err != nil {
		return nil, err
	}
	ours := func(k keys) string {
		owner, _ := r.Lookup(k.text[0]).Primary()
		return owner.ID()
	}
	c := newConsistent(sc.members, sc.partitions)
	theirs := func(k keys) string { return c.LocateKey(k.raw[0]).String() }
	return []grouper{
		{name: hashAlone.name, make: func() func(keys) (int, error) {
			return func(k keys) (sum int, _ error) {
				for _, key := range k.text {
					sum += int(xxhash.Sum64String(key))
				}
				return sum, nil
			}
		}},
		{name: singleName, primary: ours, make: func() func(keys) (int, error) {
			return func(k keys) (int, error) {
				groups := make(map[string][]int)
				for i, key := range k.text {
					owner, _ := r.Lookup(key).Primary()
					groups[owner.ID()] = append(groups[owner.ID()], i)
				}
				return weigh(groups), nil
			}
		}},
		{name: groupName, primary: ours, make: func() func(keys) (int, error) {
			var batch ring.Batch
			return func(k keys) (sum int, _ error) {
				r.Group(k.text, &batch)
				for owner, positions := range batch.All() {
					sum += len(owner.ID()) * len(positions)
				}
				return sum, nil
			}
		}},
		{name: "consistent, bytes, map of slices", primary: theirs, make: func() func(keys) (int, error) {
			return func(k keys) (int, error) {
				groups := make(map[string][]int)
				for i, key := range k.raw {
					id := c.LocateKey(key).String()
					groups[id] = append(groups[id], i)
				}
				return weigh(groups), nil
			}
		}},
		{name: "consistent, bytes, map kept", primary: theirs, make: func() func(keys) (int, error) {
			groups := make(map[string][]int)
			return func(k keys) (int, error) {
				for id, positions := range groups {
					groups[id] = positions[:0]
				}
				return groupKept(c, k, groups), nil
			}
		}},
		{name: "consistent, string, map of slices", primary: theirs, make: func() func(keys) (int, error) {
			return func(k keys) (int, error) {
				groups := make(map[string][]int)
				for i, key := range k.text {
					id := c.LocateKey([]byte(key)).String()
					groups[id] = append(groups[id], i)
				}
				return weigh(groups), nil
			}
		}},
	}, nil
}

// groupName is the grouper that the others are weighed against.
const groupName = "clusterkit Group"

// singleName is what clusterkit's users could write without it.
const singleName = "clusterkit look-ups, map of slices"

// groupKept is the work of a careful user, who keeps the map and its slices for
// the next batch.
func groupKept(c *consistent.Consistent, k keys, groups map[string][]int) int {
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

// check groups a batch twice, as buffers are used again, and compares it with
// single look-ups.
func (g grouper) check(k keys) error {
	if g.primary == nil {
		return nil
	}
	want := 0
	for i := range k.len() {
		want += len(g.primary(k.part(i, i+1)))
	}
	loop := g.make()
	for range 2 {
		sum, err := loop(k)
		if err != nil {
			return err
		}
		if sum != want {
			return fmt.Errorf("the groups come to %d, single look-ups to %d", sum, want)
		}
	}
	return nil
}

// batches are the cases that group keys. An operation is one key.
func (sc *scenario) batches(f *failures) ([]measure.Case, error) {
	groupers, err := sc.groupers()
	if err != nil {
		return nil, err
	}
	var all []measure.Case
	for _, k := range []struct {
		name string
		keys keys
	}{{"hot keys", sc.hot.part(0, batchKeys)}, {"of a million keys", sc.cold}} {
		group := fmt.Sprintf("batch of %d %s by primary, %d members", batchKeys, k.name, sc.size.members)
		for _, g := range groupers {
			if err := g.check(k.keys.part(0, batchKeys)); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", group, g.name, err)
			}
			c := measure.Case{Group: group, Name: g.name, Step: batchKeys, Make: func() (func(int), error) {
				w := &walk{keys: k.keys, loop: g.make(), failed: f.of(group, g.name)}
				return func(n int) {
					for ; n > 0; n -= batchKeys {
						w.run(batchKeys)
					}
				}, nil
			}}
			switch g.name {
			case hashAlone.name:
				c.Role = measure.Floor
			case groupName:
				c.Role = measure.Reference
			}
			all = append(all, c)
		}
	}
	return all, nil
}
