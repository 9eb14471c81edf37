package transport

import (
	"context"
	"runtime"
)

// turns lets few long requests compute at a time. A request gives its turn back while it waits for
// the network. So a look-up of one key waits for few others, however many batches are under way.
type turns chan struct{}

// newTurns returns turns for half of the processors, and for one at least.
func newTurns() turns { return make(turns, max(1, runtime.GOMAXPROCS(0)/2)) }

// take waits for a turn. It reports false when the context ends first, and not when a turn is free.
func (t turns) take(ctx context.Context) bool {
	select {
	case t <- struct{}{}:
		return true
	default:
	}
	select {
	case t <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t turns) give() { <-t }
