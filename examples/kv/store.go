package main

import (
	"slices"
	"sync"
)

// Entry is what is stored under a key. Its content must not be modified.
type Entry struct {
	Version Version `json:"version"`
	// Deleted says that there is no value any more. It has to be remembered:
	// an owner that missed the deletion would bring the value back.
	Deleted bool   `json:"deleted,omitempty"`
	Content []byte `json:"content,omitempty"`
}

// Item is an entry with its key.
type Item struct {
	Key string `json:"key"`
	Entry
}

// Store is what one process holds, partition by partition, in memory. It only
// ever merges: of two entries of a key the one with the higher version stays,
// in whatever order they come. It is safe for concurrent use.
type Store struct{ partitions []partition }

type partition struct {
	mu      sync.RWMutex
	entries map[string]Entry
	keys    []string // ascending, so that it can be read page by page
}

// NewStore returns an empty store.
func NewStore(partitions int) *Store { return &Store{make([]partition, partitions)} }

// Partitions returns how many there are.
func (s *Store) Partitions() int { return len(s.partitions) }

// Put merges an entry and returns the version that is there then: the entry's, or
// a higher one.
func (s *Store) Put(p int, key string, e Entry) (newest Version) {
	part := &s.partitions[p]
	part.mu.Lock()
	defer part.mu.Unlock()
	old, ok := part.entries[key]
	if ok && old.Version.Compare(e.Version) >= 0 {
		return old.Version
	}
	if !ok {
		if part.entries == nil {
			part.entries = make(map[string]Entry)
		}
		at, _ := slices.BinarySearch(part.keys, key)
		part.keys = slices.Insert(part.keys, at, key)
	}
	part.entries[key] = e
	return e.Version
}

// Get returns what is stored under a key: the zero Entry when nothing ever was.
func (s *Store) Get(p int, key string) Entry {
	part := &s.partitions[p]
	part.mu.RLock()
	defer part.mu.RUnlock()
	return part.entries[key]
}

// itemBytes is what an item costs beside its key and its content.
const itemBytes = 64

// Page returns the items of a partition that come after a key, ascending, at
// least one and not many more bytes than asked for, and whether there are more of
// them. No key comes before "".
func (s *Store) Page(p int, after string, bytes int) (items []Item, more bool) {
	part := &s.partitions[p]
	part.mu.RLock()
	defer part.mu.RUnlock()
	at, found := slices.BinarySearch(part.keys, after)
	if found {
		at++
	}
	for _, key := range part.keys[at:] {
		if bytes <= 0 {
			return items, true
		}
		e := part.entries[key]
		items = append(items, Item{key, e})
		bytes -= itemBytes + len(key) + len(e.Content)
	}
	return items, false
}

// Drop throws a partition away.
func (s *Store) Drop(p int) {
	part := &s.partitions[p]
	part.mu.Lock()
	defer part.mu.Unlock()
	part.entries, part.keys = nil, nil
}

// Len counts the keys, those of deleted values included.
func (s *Store) Len() (n int) {
	for i := range s.partitions {
		part := &s.partitions[i]
		part.mu.RLock()
		n += len(part.keys)
		part.mu.RUnlock()
	}
	return n
}
