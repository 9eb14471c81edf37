package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/ring"
)

// keyCases look up keys of every kind: strings and byte slices, short and long, in the
// processor's caches and not in them.
func (f *fixture) keyCases() ([]measure.Case, error) {
	var cases []measure.Case
	p, err := publishRing(usualMembers, usualPartitions, usualReplicas)
	if err != nil {
		return nil, err
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
	return cases, nil
}

// growthCases change the number of members, partitions or replicas, one at a time.
func (f *fixture) growthCases() ([]measure.Case, error) {
	var cases []measure.Case
	for _, set := range []struct {
		name string
		keys *source[string]
	}{{", hot keys of 16 bytes", keysOf(hotKeys, 16)}, {", a million keys of 16 bytes", keysOf(f.cold, 16)}} {
		for _, of := range []struct {
			name   string
			counts []int
			shape  func(n int) (members, partitions, replicas int)
		}{
			{"Members", []int{5, 50, 1000}, func(n int) (int, int, int) { return n, usualPartitions, usualReplicas }},
			{"Partitions", f.partitions, func(n int) (int, int, int) { return usualMembers, n, usualReplicas }},
			{"Replicas", []int{1, 3, 5}, func(n int) (int, int, int) { return usualMembers, usualPartitions, n }},
		} {
			group := of.name + set.name
			cases = append(cases, floor(group, set.keys))
			for _, n := range of.counts {
				p, err := publishRing(of.shape(n))
				if err != nil {
					return nil, err
				}
				name := fmt.Sprintf("%d %s", n, strings.ToLower(of.name))
				cases = append(cases,
					measure.Case{Group: group, Name: name + ", primary", Make: primary(p, set.keys)},
					measure.Case{Group: group, Name: name + ", all replicas", Make: owners(p, set.keys)})
			}
		}
	}
	return cases, nil
}

// batchCases group keys by owner, in one call and with one call for each key.
func (f *fixture) batchCases() ([]measure.Case, error) {
	p, err := publishRing(usualMembers, usualPartitions, usualReplicas)
	if err != nil {
		return nil, err
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
	return cases, nil
}

// grouped groups batches of a size by owner, and visits every group.
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

// groupedByMap does the same without a Batch, with a map of slices.
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

// scaleCases do the same work on one and on several goroutines, with and without rings
// being published.
func scaleCases() ([]measure.Case, error) {
	const group = "Goroutines: hot keys of 16 bytes, 50 members"
	keys := keysOf(hotKeys, 16)
	before, err := buildRing(usualMembers, usualPartitions, usualReplicas)
	if err != nil {
		return nil, err
	}
	after, err := buildRing(usualMembers+1, usualPartitions, usualReplicas)
	if err != nil {
		return nil, err
	}
	quiet, busy := publish(before), publish(before)
	meanwhile := busy.alternate(before, after)
	var cases []measure.Case
	counts := slices.Compact([]int{1, min(2, runtime.GOMAXPROCS(0)), runtime.GOMAXPROCS(0)})
	for _, row := range []measure.Case{
		{Name: "hash alone", Make: hashAlone(keys)},
		{Name: "hash alone, rings published", Make: hashAlone(keys), Meanwhile: meanwhile},
		{Name: "primary", Make: primary(quiet, keys)},
		{Name: "primary, rings published", Make: primary(busy, keys), Meanwhile: meanwhile},
		{Name: "three replicas", Make: owners(quiet, keys)},
		{Name: "three replicas, rings published", Make: owners(busy, keys), Meanwhile: meanwhile},
		{Name: "a cache, map behind a read lock", Make: throughLockedMap(quiet, keys)},
	} {
		for _, count := range counts {
			c := row
			c.Group, c.Goroutines = group, count
			c.Name = fmt.Sprintf("%s, on %d", row.Name, count)
			if len(cases) == 0 {
				c.Role = measure.Floor
			}
			cases = append(cases, c)
		}
	}
	return cases, nil
}
