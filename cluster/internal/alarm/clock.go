package alarm

import (
	"math"
	"time"
)

// Clock is a queue of alarms with a timer. It must not be used concurrently.
type Clock[Name comparable] struct {
	Queue[Name]
	timer *time.Timer
	at    time.Time // when the timer fires
}

// NewClock returns a clock that calls a function, on a goroutine of its own, when alarms may be due.
func NewClock[Name comparable](wake func()) Clock[Name] {
	return Clock[Name]{timer: time.AfterFunc(math.MaxInt64, wake)}
}

// Wind sets the timer to the next alarm. Call it after alarms were set.
func (c *Clock[Name]) Wind(now time.Time) {
	if next := c.Next(); !next.IsZero() && !next.Equal(c.at) {
		c.at = next
		c.timer.Reset(max(next.Sub(now), time.Millisecond))
	}
}

// Due returns the names of the alarms that are due, as [Queue.Due] does. Call it after the clock has
// called its function.
func (c *Clock[Name]) Due(now time.Time) []Name {
	c.at = time.Time{}
	return c.Queue.Due(now)
}

// Stop stops the timer, so that the clock does not call its function any more.
func (c *Clock[Name]) Stop() { c.timer.Stop() }
