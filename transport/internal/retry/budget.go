// Package retry bounds how often requests are sent again.
package retry

import (
	"sync"
	"time"
)

// Budget is a token bucket that all requests of a router share. Each request adds a part of
// a token, and sending a request again takes one. It is safe for concurrent use.
type Budget struct {
	perRequest, perSecond, burst float64

	mu     sync.Mutex
	tokens float64
	at     time.Time // the time up to which tokens were added
}

// NewBudget returns a full bucket of burst tokens. A negative number of tokens for each
// request or second counts as zero.
func NewBudget(perRequest, perSecond float64, burst int) *Budget {
	return &Budget{
		perRequest: max(perRequest, 0), perSecond: max(perSecond, 0),
		burst: float64(burst), tokens: float64(burst), at: time.Now(),
	}
}

// Deposit adds the tokens of one request.
func (b *Budget) Deposit() {
	b.mu.Lock()
	b.tokens = min(b.tokens+b.perRequest, b.burst)
	b.mu.Unlock()
}

// Withdraw takes a token. It returns false when there is none.
func (b *Budget) Withdraw() bool {
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
