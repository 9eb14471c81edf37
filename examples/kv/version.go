package main

import (
	"cmp"
	"encoding"
	"fmt"
	"sync"
	"time"
)

// maxSkew is how far the clocks of two members may be apart. A version from a
// clock further ahead is refused: it would win over all others until then.
const maxSkew = time.Minute

// Version orders the values of a key: the higher one wins, wherever they meet.
// No two writes have the same. The zero Version is that of a key that was never
// written.
type Version struct {
	// Time is when the write began, in nanoseconds since 1970 by the clock of
	// the member that took it, or by a later one that it had seen.
	Time int64
	// Count tells apart what happened at one time.
	Count uint32
	// Process is the start of the process that took the write, random.
	Process uint64
}

var (
	_ encoding.TextMarshaler   = Version{}
	_ encoding.TextUnmarshaler = (*Version)(nil)
)

// Compare returns -1, 0 or 1.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Time, w.Time), cmp.Compare(v.Count, w.Count), cmp.Compare(v.Process, w.Process))
}

// IsZero reports whether the key was never written.
func (v Version) IsZero() bool { return v == Version{} }

// String returns the version as hexadecimal text. Those of two versions sort as
// the versions do.
func (v Version) String() string { return fmt.Sprintf("%016x-%08x-%016x", v.Time, v.Count, v.Process) }

// MarshalText returns the same as String.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText wrote. After an error nothing has changed.
func (v *Version) UnmarshalText(text []byte) error {
	var w Version
	n, err := fmt.Sscanf(string(text), "%016x-%08x-%016x", &w.Time, &w.Count, &w.Process)
	if err != nil || n != 3 || w.String() != string(text) {
		return fmt.Errorf("version %q: must be three hexadecimal numbers of 16, 8 and 16 digits", text)
	}
	*v = w
	return nil
}

// Clock makes versions, each higher than all that it has made or seen. It is a
// hybrid logical clock (Kulkarni et al., 2014). It is safe for concurrent use.
type Clock struct {
	process uint64

	mu   sync.Mutex
	last Version
}

// NewClock returns the clock of a process.
func NewClock(process uint64) *Clock { return &Clock{process: process} }

// Next makes a version.
func (c *Clock) Next() Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := Version{Time: time.Now().UnixNano(), Process: c.process}
	if v.Time <= c.last.Time {
		v.Time, v.Count = c.last.Time, c.last.Count+1
		if v.Count == 0 { // all counts of this nanosecond are used up
			v.Time++
		}
	}
	c.last = v
	return v
}

// See takes a version of another member into account. It returns an error, and
// does not, when that is more than maxSkew ahead.
func (c *Clock) See(v Version) error {
	if ahead := time.Duration(v.Time - time.Now().UnixNano()); v.Time < 0 || ahead > maxSkew {
		return fmt.Errorf("version %v is %v ahead of this member's clock: must be at most %v", v, ahead, maxSkew)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v.Compare(c.last) > 0 {
		c.last = v
	}
	return nil
}
