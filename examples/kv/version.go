package main

import (
	"cmp"
	"encoding"
	"fmt"
	"sync"
	"time"
)

// Version orders the values of a key: the value with the higher version wins. No two
// writes have the same version. The zero Version is that of a key that was never
// written.
type Version struct {
	// Time is in nanoseconds since 1970. With any clocks, it is at least that of every
	// version that the write follows.
	Time int64
	// Count numbers the versions that a process issues.
	Count uint32
	// Process is the start of the process that accepted the write, a random number.
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

// String returns the version as hexadecimal text. The texts of versions sort like the
// versions.
func (v Version) String() string { return fmt.Sprintf("%016x-%08x-%016x", v.Time, v.Count, v.Process) }

// MarshalText returns the same as String.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// maxTime is in the year 2116. Higher times are left for later versions.
const maxTime = 1 << 62

// UnmarshalText reads what MarshalText wrote. After an error nothing has changed.
func (v *Version) UnmarshalText(text []byte) error {
	var w Version
	n, err := fmt.Sscanf(string(text), "%016x-%08x-%016x", &w.Time, &w.Count, &w.Process)
	if err != nil || n != 3 || w.String() != string(text) {
		return fmt.Errorf("version %q: must be three hexadecimal numbers of 16, 8 and 16 digits", text)
	}
	if w.Time < 0 || w.Time > maxTime {
		return fmt.Errorf("version %q: its time must be from 0 to %016x", text, int64(maxTime))
	}
	*v = w
	return nil
}

// Clock issues the versions of a process. A wrong clock cannot change the order of
// versions, because a writer first asks a read quorum for its highest version, and
// issues a higher one (Lynch and Shvartsman, 1997). The time in a version decides only
// between two writes of which neither saw the other, such as writes on two sides of a
// cut: there the later one should win. Clock is safe for concurrent use.
type Clock struct {
	process uint64
	now     func() time.Time
	start   time.Time

	mu    sync.Mutex
	ahead time.Duration // the difference from the time of the machine
	count uint32
}

// NewClock returns the clock of a process. It uses the date of now, which is time.Now,
// only once. From then on it follows the monotonic clock, which is never set.
func NewClock(process uint64, now func() time.Time) *Clock {
	return &Clock{process: process, now: now, start: now()}
}

// machine returns the time of the machine.
func (c *Clock) machine() int64 { return c.start.UnixNano() + int64(c.now().Sub(c.start)) }

// Now returns the time, in nanoseconds since 1970.
func (c *Clock) Now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machine() + int64(c.ahead)
}

// See sets the clock forward to the time of a version that another member issued, as
// hybrid logical clocks do (Kulkarni et al., 2014). So a clock that is behind catches
// up.
func (c *Clock) See(v Version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = max(c.ahead, time.Duration(v.Time-c.machine()))
}

// Next issues a version that is higher than the given versions, with the given time or
// a higher one.
func (c *Clock) Next(at int64, follows ...Version) Version {
	at = max(at, 0)
	for _, v := range follows {
		at = max(at, v.Time+1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++ // two versions with one time differ
	return Version{Time: at, Count: c.count, Process: c.process}
}

// maxAhead is how far a version that a user sends may be ahead of this machine's clock,
// so that users cannot use up the versions.
const maxAhead = 24 * time.Hour

// Check returns the error of an invalid version of a user.
func (c *Clock) Check(v Version) error {
	if ahead := time.Duration(v.Time - c.machine()); ahead > maxAhead {
		return fmt.Errorf("version %v is %v ahead of this member's clock: must be at most %v; without a version the write is taken", v, ahead, maxAhead)
	}
	return nil
}
