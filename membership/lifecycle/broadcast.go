package lifecycle

import "sync"

// Broadcast wakes every goroutine that waits for a change. To miss no change, call
// [Broadcast.Wait] first, then check the condition, and receive from the channel last.
// The zero Broadcast is ready to use. All methods are safe for concurrent use and none
// blocks. A Broadcast must not be copied after its first use.
type Broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

// Wait returns a channel that the next [Broadcast.Signal] closes.
func (b *Broadcast) Wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

// Signal wakes every goroutine that waits.
func (b *Broadcast) Signal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
