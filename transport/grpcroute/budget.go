package grpcroute

import (
	"sync/atomic"
	"time"
)

// budget is the token bucket that bounds how often calls run again. Its values are in
// millionths of a token, so that a call adds its share with one atomic operation.
type budget struct {
	perCall, perSecond, burst int64
	tokens                    atomic.Int64
	at                        atomic.Int64 // the time up to which tokens were added, in Unix nanoseconds
}

const token = 1_000_000

func newBudget(o Options) *budget {
	b := &budget{
		perCall:   int64(max(o.RetriesPerRequest, 0) * token),
		perSecond: int64(max(o.RetriesPerSecond, 0) * token),
		burst:     int64(o.RetryBurst) * token,
	}
	b.tokens.Store(b.burst)
	b.at.Store(time.Now().UnixNano())
	return b
}

// deposit adds the tokens of one call.
func (b *budget) deposit() {
	if b.tokens.Load() < b.burst { // may exceed the size by the calls that add at the same time
		b.tokens.Add(b.perCall)
	}
}

// withdraw takes a token. It returns false when there is none.
func (b *budget) withdraw() bool {
	now := time.Now().UnixNano()
	if at := b.at.Load(); now > at && b.at.CompareAndSwap(at, now) {
		added := float64(b.perSecond) * time.Duration(now-at).Seconds()
		b.tokens.Add(min(int64(added), max(b.burst-b.tokens.Load(), 0)))
	}
	for {
		left := b.tokens.Load()
		if left < token {
			return false
		}
		if b.tokens.CompareAndSwap(left, left-token) {
			return true
		}
	}
}
