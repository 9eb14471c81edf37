package route

import (
	"sync"
	"time"
)

// budget is the token bucket that bounds retries.
type budget struct {
	perRequest, perSecond, burst float64

	mu     sync.Mutex
	tokens float64
	at     time.Time // when time last put tokens in
}

func newBudget(o Options) *budget {
	return &budget{
		perRequest: max(o.RetriesPerRequest, 0), perSecond: max(o.RetriesPerSecond, 0),
		burst: float64(o.RetryBurst), tokens: float64(o.RetryBurst), at: time.Now(),
	}
}

// deposit puts in what a request brings.
func (b *budget) deposit() {
	b.mu.Lock()
	b.tokens = min(b.tokens+b.perRequest, b.burst)
	b.mu.Unlock()
}

// withdraw takes a token, if there is one.
func (b *budget) withdraw() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*b.perSecond, b.burst)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
