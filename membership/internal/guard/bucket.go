package guard

import (
	"sync"
	"time"
)

// Bucket limits how often something happens: Rate times a second, and Burst times at once. It is
// full at first. It is safe for concurrent use.
type Bucket struct {
	Rate, Burst float64

	mu    sync.Mutex
	used  float64 // the part of Burst that is used up
	since time.Time
}

// Take reports whether n more are allowed at this time, and counts them if they are.
func (b *Bucket) Take(n float64, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.since); passed > 0 {
		b.used, b.since = max(b.used-passed.Seconds()*b.Rate, 0), now
	}
	if b.used+n > b.Burst {
		return false
	}
	b.used += n
	return true
}
