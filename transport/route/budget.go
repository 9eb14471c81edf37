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
	at     time.Time // the time up to which tokens were added
}

func newBudget(o Options) *budget {
	return &budget{
		perRequest: max(o.RetriesPerRequest, 0), perSecond: max(o.RetriesPerSecond, 0),
		burst: float64(o.RetryBurst), tokens: float64(o.RetryBurst), at: time.Now(),
	}
}

// deposit adds the tokens of one request.
func (b *budget) deposit() {
	b.mu.Lock()
	b.tokens = min(b.tokens+b.perRequest, b.burst)
	b.mu.Unlock()
}

// withdraw takes a token. It returns false when there is none.
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
