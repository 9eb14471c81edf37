package main

import (
	"slices"
	"sync"
)

// Entry is the stored value of a key. Its content must not be modified.
type Entry struct {
	Version Version `json:"version"`
	// Deleted marks a deleted value. The entry must be kept, because an owner that
	// missed the deletion would otherwise bring the value back.
	Deleted bool   `json:"deleted,omitempty"`
	Content []byte `json:"content,omitempty"`
}

// Item is an entry with its key.
type Item struct {
	Key string `json:"key"`
	Entry
}

// Store holds the data of one process in memory, by partition. It merges: of two
// entries of a key the one with the higher version stays, in any order. It is safe for
// concurrent use.
type Store struct{ partitions []partition }

type partition struct {
	mu      sync.RWMutex
	entries map[string]Entry
	keys    []string // ascending, so that pages are ranges of keys
}

// NewStore returns an empty store.
func NewStore(partitions int) *Store { return &Store{make([]partition, partitions)} }

// Partitions returns the number of partitions.
func (s *Store) Partitions() int { return len(s.partitions) }

// Put merges an entry, and returns the version that the store then has: that of the
// entry, or a higher one.
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

// Get returns the entry of a key, and the zero Entry if it was never written.
func (s *Store) Get(p int, key string) Entry {
	part := &s.partitions[p]
	part.mu.RLock()
	defer part.mu.RUnlock()
	return part.entries[key]
}

// itemBytes is the size of an item without its key and its content.
const itemBytes = 64

// Page returns the items of a partition after a key, in ascending order, and whether
// there are more. It returns at least one item, and not many more bytes than asked for.
// Every key comes after "".
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

// Drop deletes a partition.
func (s *Store) Drop(p int) {
	part := &s.partitions[p]
	part.mu.Lock()
	defer part.mu.Unlock()
	part.entries, part.keys = nil, nil
}

// Len counts the keys, with those of deleted values.
func (s *Store) Len() (n int) {
	for i := range s.partitions {
		part := &s.partitions[i]
		part.mu.RLock()
		n += len(part.keys)
		part.mu.RUnlock()
	}
	return n
}
