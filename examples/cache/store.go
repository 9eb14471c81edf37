package main

import (
	"container/list"
	"sync"
	"time"
)

// Value is the value of a key in the cache. Its content must not be modified.
type Value struct {
	Content []byte
	// Version orders the values of a key: the highest wins. It is the time of the
	// writer, in nanoseconds since 1970, or more than the version that an owner had
	// before. So a wrong clock does not prevent later writes.
	Version int64
	// Taken is when the first member accepted the value, by the monotonic clock of this
	// process. Members send each other ages, so the clocks of other machines have no
	// influence.
	Taken time.Time
}

// Store holds the part of the cache of one member: the values used last, up to a number
// of bytes and an age. It is safe for concurrent use.
type Store struct {
	maxBytes int
	maxAge   time.Duration

	mu      sync.Mutex
	entries map[string]*list.Element
	recent  list.List // the elements are *entry, the most recently used one in front
	bytes   int
}

type entry struct {
	key string
	Value
}

func (e *entry) size() int { return len(e.key) + len(e.Content) }

// NewStore returns an empty store. It holds keys and values of up to maxBytes in total,
// each until maxAge after Taken.
func NewStore(maxBytes int, maxAge time.Duration) *Store {
	return &Store{maxBytes: maxBytes, maxAge: maxAge, entries: make(map[string]*list.Element)}
}

// Get returns the value of a key, and whether there is one.
func (s *Store) Get(key string) (Value, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	element, ok := s.entries[key]
	if !ok {
		return Value{}, false
	}
	e := element.Value.(*entry)
	if time.Since(e.Taken) > s.maxAge {
		s.remove(element)
		return Value{}, false
	}
	s.recent.MoveToFront(element)
	return e.Value, true
}

// Put stores a value unless the store has one of a higher version. It removes the
// values used longest ago if it needs room. It returns the higher of the two versions.
func (s *Store) Put(key string, v Value) (highest int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if element, ok := s.entries[key]; ok {
		if there := element.Value.(*entry).Version; there > v.Version {
			return there
		}
		s.remove(element)
	}
	e := &entry{key, v}
	s.entries[key] = s.recent.PushFront(e)
	s.bytes += e.size()
	for s.bytes > s.maxBytes {
		s.remove(s.recent.Back())
	}
	return v.Version
}

// Keep drops all keys for which keep returns false. The store is locked meanwhile, so
// keep must not call it.
func (s *Store) Keep(keep func(key string) bool) (dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, element := range s.entries {
		if !keep(key) {
			s.remove(element)
			dropped++
		}
	}
	return dropped
}

// Len returns the number of keys.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

func (s *Store) remove(element *list.Element) {
	e := s.recent.Remove(element).(*entry)
	delete(s.entries, e.key)
	s.bytes -= e.size()
}
