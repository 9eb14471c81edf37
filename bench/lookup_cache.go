package main

import (
	"container/list"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/ring"
)

// cacheCases put a cache of owners by key in front of the table, to test whether it
// could be faster. All caches except the last hold all keys, so that every lookup is a
// hit. A real cache would have to drop entries when the ring changes; these do not.
func (f *fixture) cacheCases() ([]measure.Case, error) {
	p, err := publishRing(usualMembers, usualPartitions, usualReplicas)
	if err != nil {
		return nil, err
	}
	var cases []measure.Case
	for _, set := range []struct {
		count, length int
		some          bool // the LRU holds only a part of them
	}{{32, 16, false}, {hotKeys, 16, false}, {hotKeys, 64, false}, {32, 256, false}, {hotKeys, 256, false}, {f.cold, 16, true}} {
		keys := keysOf(set.count, set.length)
		group := fmt.Sprintf("Caches: %d keys of %d bytes", set.count, set.length)
		capacity, lru := set.count, "LRU behind a mutex"
		if set.some {
			capacity = set.count / 16
			lru += ", room for one in 16"
		}
		cases = append(cases,
			floor(group, keys),
			measure.Case{Group: group, Name: "the table", Role: measure.Reference, Make: primary(p, keys)},
			measure.Case{Group: group, Name: "map, no lock", Make: throughMap(p, keys)},
			measure.Case{Group: group, Name: "map behind a read lock", Make: throughLockedMap(p, keys)},
			measure.Case{Group: group, Name: "sync.Map", Make: throughSyncMap(p, keys)},
			measure.Case{Group: group, Name: lru, Make: throughLRU(p, keys, capacity)},
		)
	}
	return cases, nil
}

// remembered maps every key to its owner. Its keys are copies: the key of a request is
// another string than the key in the cache, so the two must be compared in full.
func remembered(p *published, keys []string) map[string]ring.Owner {
	owners := make(map[string]ring.Owner, len(keys))
	for _, key := range keys {
		owners[strings.Clone(key)], _ = p.Lookup(key).Primary()
	}
	return owners
}

// throughMap is the fastest possible map: no goroutine writes to it, so it needs no
// lock.
func throughMap(p *published, keys *source[string]) maker {
	return func() (func(int), error) {
		owners := remembered(p, keys.all())
		return over(keys, func(keys []string, from, to int) {
			var last ring.Owner
			for i := from; i < to; i++ {
				last = owners[keys[i&(len(keys)-1)]]
			}
			runtime.KeepAlive(last)
		})()
	}
}

// throughLockedMap is a map with a lock, so that it could be written to. All goroutines
// share it.
func throughLockedMap(p *published, keys *source[string]) maker {
	var mu sync.RWMutex
	filled := sync.OnceValue(func() map[string]ring.Owner { return remembered(p, keys.all()) })
	return func() (func(int), error) {
		owners := filled()
		return over(keys, func(keys []string, from, to int) {
			var last ring.Owner
			for i := from; i < to; i++ {
				mu.RLock()
				last = owners[keys[i&(len(keys)-1)]]
				mu.RUnlock()
			}
			runtime.KeepAlive(last)
		})()
	}
}

func throughSyncMap(p *published, keys *source[string]) maker {
	return func() (func(int), error) {
		var owners sync.Map
		for key, owner := range remembered(p, keys.all()) {
			owners.Store(key, owner)
		}
		return over(keys, func(keys []string, from, to int) {
			var last ring.Owner
			for i := from; i < to; i++ {
				if v, ok := owners.Load(keys[i&(len(keys)-1)]); ok {
					last = v.(ring.Owner)
				}
			}
			runtime.KeepAlive(last)
		})()
	}
}

func throughLRU(p *published, keys *source[string], capacity int) maker {
	return func() (func(int), error) {
		cache := &lru{capacity: capacity, entries: make(map[string]*list.Element, capacity)}
		return over(keys, func(keys []string, from, to int) {
			var last ring.Owner
			for i := from; i < to; i++ {
				last = cache.owner(p, keys[i&(len(keys)-1)])
			}
			runtime.KeepAlive(last)
		})()
	}
}

// lru is a cache that drops the least recently used entry when it is full.
type lru struct {
	mu       sync.Mutex
	capacity int
	entries  map[string]*list.Element
	recent   list.List // of entry, the most recent one in front
}

type entry struct {
	key   string
	owner ring.Owner
}

// owner returns the owner of a key from the cache, or from the table.
func (c *lru) owner(p *published, key string) ring.Owner {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[key]; ok {
		c.recent.MoveToFront(element)
		return element.Value.(entry).owner
	}
	if c.recent.Len() == c.capacity {
		delete(c.entries, c.recent.Remove(c.recent.Back()).(entry).key)
	}
	owner, _ := p.Lookup(key).Primary()
	key = strings.Clone(key)
	c.entries[key] = c.recent.PushFront(entry{key, owner})
	return owner
}
