package main

import (
	"fmt"
	"runtime"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/ring"
)

// keyCases look up keys of every form: how long they are, whether they are a
// string, and whether the processor has seen them lately.
func keyCases(f *fixture) []measure.Case {
	var cases []measure.Case
	p, err := publishRing(usualMembers, usualPartitions, usualReplicas)
	if err != nil {
		return []measure.Case{{Group: "Keys", Name: "ring", Make: failing(err)}}
	}
	for _, set := range []struct {
		count int
		name  string
	}{{hotKeys, "1024 hot keys"}, {f.cold, "a million keys in random order"}} {
		for _, length := range []int{16, 64} {
			keys := keysOf(set.count, length)
			group := fmt.Sprintf("Keys: %s of %d bytes, strings", set.name, length)
			cases = append(cases,
				floor(group, keys),
				measure.Case{Group: group, Name: "hash and one array load", Make: hashAndLoad(keys, usualPartitions)},
				measure.Case{Group: group, Name: "primary", Make: primary(p, keys)},
				measure.Case{Group: group, Name: "three replicas", Make: owners(p, keys)},
			)
			raw := bytesOf(set.count, length)
			group = fmt.Sprintf("Keys: %s of %d bytes, byte slices", set.name, length)
			cases = append(cases,
				measure.Case{Group: group, Name: "hash alone", Role: measure.Floor, Make: hashBytes(raw)},
				measure.Case{Group: group, Name: "hash and one array load", Make: hashAndLoadBytes(raw, usualPartitions)},
				measure.Case{Group: group, Name: "primary", Make: primaryBytes(p, raw)},
				measure.Case{Group: group, Name: "three replicas", Make: ownersBytes(p, raw)},
			)
		}
	}
	return cases
}

// publishRing publishes a ring that it builds.
func publishRing(members, partitions, replicas int) (*published, error) {
	r, err := buildRing(members, partitions, replicas)
	if err != nil {
		return nil, err
	}
	return publish(r), nil
}

// growthCases vary one of members, partitions and replicas at a time.
func growthCases(f *fixture) []measure.Case {
	const hot, cold = ", hot keys of 16 bytes", ", a million keys of 16 bytes"
	var cases []measure.Case
	add := func(group string, keys *source[string], name string, members, partitions, replicas int) {
		if len(cases) == 0 || cases[len(cases)-1].Group != group {
			cases = append(cases, floor(group, keys))
		}
		p, err := publishRing(members, partitions, replicas)
		first, all := failing(err), failing(err)
		if err == nil {
			first, all = primary(p, keys), owners(p, keys)
		}
		cases = append(cases,
			measure.Case{Group: group, Name: name + ", primary", Make: first},
			measure.Case{Group: group, Name: name + ", all replicas", Make: all})
	}
	for _, set := range []struct {
		name string
		keys *source[string]
	}{{hot, keysOf(hotKeys, 16)}, {cold, keysOf(f.cold, 16)}} {
		for _, n := range []int{5, 50, 1000} {
			add("Members"+set.name, set.keys, fmt.Sprintf("%d members", n), n, usualPartitions, usualReplicas)
		}
		for _, n := range f.partitions {
			add("Partitions"+set.name, set.keys, fmt.Sprintf("%d partitions", n), usualMembers, n, usualReplicas)
		}
		for _, n := range []int{1, 3, 5} {
			add("Replicas"+set.name, set.keys, fmt.Sprintf("%d replicas", n), usualMembers, usualPartitions, n)
		}
	}
	return cases
}

// batchCases sort keys by owner, in one call and one by one.
func batchCases(f *fixture) []measure.Case {
	p, err := publishRing(usualMembers, usualPartitions, usualReplicas)
	if err != nil {
		return []measure.Case{{Group: "Batches", Name: "ring", Make: failing(err)}}
	}
	var cases []measure.Case
	for _, set := range []struct {
		count int
		name  string
	}{{hotKeys, "hot keys"}, {f.cold, "a million keys in random order"}} {
		keys := keysOf(set.count, 16)
		group := fmt.Sprintf("Batches: %s of 16 bytes, a key", set.name)
		cases = append(cases, floor(group, keys),
			measure.Case{Group: group, Name: "one call a key, not grouped", Role: measure.Reference, Make: primary(p, keys)})
		for _, size := range []int{16, 128, 1024, largestBatch} {
			if size <= set.count {
				cases = append(cases, measure.Case{Group: group, Name: fmt.Sprintf("Group, %d keys", size), Step: size, Make: grouped(p, keys, size)})
			}
		}
		cases = append(cases, measure.Case{Group: group, Name: "a map of slices, 1024 keys", Step: 1024, Make: groupedByMap(p, keys, 1024)})
	}
	return cases
}

// grouped sorts batches of a size by owner and visits every group.
//
//go:noinline
func grouped(p *published, keys *source[string], size int) maker {
	return func() (func(int), error) {
		var batch ring.Batch
		return over(keys, func(keys []string, from, to int) {
			last := 0
			for ; from < to; from += size {
				at := from & (len(keys) - 1)
				p.view.Load().ring.Group(keys[at:at+size], &batch)
				for _, positions := range batch.All() {
					last = positions[0]
				}
			}
			runtime.KeepAlive(last)
		})()
	}
}

// groupedByMap does the same as one would without a Batch.
func groupedByMap(p *published, keys *source[string], size int) maker {
	return over(keys, func(keys []string, from, to int) {
		last := 0
		for ; from < to; from += size {
			at := from & (len(keys) - 1)
			byOwner := make(map[string][]int)
			for i, key := range keys[at : at+size] {
				owner, _ := p.Lookup(key).Primary()
				byOwner[owner.ID()] = append(byOwner[owner.ID()], i)
			}
			for _, positions := range byOwner {
				last = positions[0]
			}
		}
		runtime.KeepAlive(last)
	})
}
