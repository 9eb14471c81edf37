package cluster

import (
	"fmt"
	"sync"

	"github.com/clusterkit/clusterkit/ring"
)

// gate admits writes to one partition while they carry the token of this member's placement,
// and knows when the last write admitted under an earlier token is done.
type gate struct {
	mu       sync.Mutex
	token    ring.Token
	epoch    uint64 // counts the fences
	owner    bool
	open     bool // the owner accepts writes
	ready    bool // and has the data that it must have
	now      int  // writes under way
	earlier  int  // how many of the writes under way were admitted before the last fence
	onsettle func(partition int)
}

// enter admits a write, or returns why not.
func (g *gate) enter(partition int, token ring.Token) (done func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.token != token:
		return nil, &TokenError{Partition: partition, Ours: g.token, Theirs: token}
	case !g.owner:
		return nil, fmt.Errorf("%w %d", ErrNotOwner, partition)
	case !g.open:
		return nil, fmt.Errorf("%w: %d", ErrFenced, partition)
	}
	g.now++
	epoch := g.epoch
	return sync.OnceFunc(func() { g.leave(partition, epoch) }), nil
}

func (g *gate) leave(partition int, epoch uint64) {
	g.mu.Lock()
	g.now--
	settled := false
	if epoch != g.epoch {
		g.earlier--
		settled = g.earlier == 0
	}
	tell := g.onsettle
	g.mu.Unlock()
	if settled && tell != nil {
		tell(partition)
	}
}

// fence replaces the token and admits no write until set opens the gate. It reports whether no
// write that was admitted before is under way. If one is, tell is called when the last of them
// is done.
func (g *gate) fence(token ring.Token, tell func(partition int)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.token, g.open, g.ready = token, false, false
	g.epoch++
	g.earlier, g.onsettle = g.now, tell
	return g.earlier == 0
}

// set records the token of the partition, whether this member owns it, accepts writes
// to it, and is ready.
func (g *gate) set(token ring.Token, owner, open, ready bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.token, g.owner, g.open, g.ready = token, owner, open, ready
}

// settled reports whether no write that was admitted before the last fence is under
// way.
func (g *gate) settled() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.earlier == 0
}

func (g *gate) isReady() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ready
}
