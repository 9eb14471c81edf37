package transport

import (
	"sync"
	"time"
)

// budget is the bucket of a [RetryBudget].
type budget struct {
	perRequest, perSecond, burst float64

	mu     sync.Mutex
	tokens float64
	at     time.Time // when time last put tokens in
}

func newBudget(o RetryBudget) *budget {
	return &budget{
		perRequest: max(o.PerRequest, 0), perSecond: max(o.PerSecond, 0),
		burst: float64(o.Burst), tokens: float64(o.Burst), at: time.Now(),
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
