package cluster

import (
	"fmt"
	"sync"

	"github.com/clusterkit/clusterkit/ring"
)

// gate lets writes to one partition in as long as they mean the same owners as this member, and
// knows when the last one let in under earlier owners is done.
type gate struct {
	mu       sync.Mutex
	token    ring.Token
	epoch    uint64 // counts the fences
	owner    bool
	open     bool // the owner accepts writes
	ready    bool // and has what it needs
	now      int  // writes under way
	earlier  int  // those of them that were let in before the last fence
	onsettle func(partition int)
}

// enter lets a write in.
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

// fence refuses the token in force from now on in favour of another. It reports whether no write
// let in before is under way; if one is, tell is called when the last is done.
func (g *gate) fence(token ring.Token, tell func(partition int)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.token, g.open, g.ready = token, false, false
	g.epoch++
	g.earlier, g.onsettle = g.now, tell
	return g.earlier == 0
}

// set says how this member stands with the partition.
func (g *gate) set(token ring.Token, owner, open, ready bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.token, g.owner, g.open, g.ready = token, owner, open, ready
}

// settled reports whether no write let in before the last fence is under way.
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
