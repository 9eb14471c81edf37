// Package handofftest checks an implementation of [cluster.Mover] against what
// docs/handoff.md claims.
//
// [Run] forms a cluster in virtual time, over a network in memory, whose members
// hold their data in stores of yours. It writes through quorums while members
// join, drain, crash, start again empty, with another weight and in another zone,
// and while the network is cut and heals, within what the claim allows. It requires
// that every read quorum finds every acknowledged write whenever all handoffs are
// complete. With [Options.Durable] stores outlive their processes, and any number of
// these may lose their power at once.
//
//	func TestMyStore(t *testing.T) {
//		handofftest.Run(t, handofftest.Options{New: func(p handofftest.Peers) handofftest.Store {
//			return newMyStore(p)
//		}})
//	}
//
// It does not test how your code moves bytes between machines.
package handofftest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/ring"
)

// Store is the data of one process: what is to be tested. Its methods are called
// from several goroutines.
type Store interface {
	cluster.Mover
	// Put keeps a version of a key of a partition, unless it has a newer one.
	Put(partition int, key string, version uint64) error
	// Get returns the newest version of a key that is here, 0 when there is none.
	Get(partition int, key string) (version uint64, err error)
}

// Peers finds the stores of other processes, as a network would.
type Peers interface {
	// Store returns the store of a process, and an error when that one cannot
	// be reached or is not the one that was meant.
	Store(m cluster.Member) (Store, error)
}

// ErrGone says that a process is not there any more.
var ErrGone = errors.New("handofftest: the process is gone")

// peers are the processes that run, by the nonce of their start.
type peers struct {
	mu  sync.Mutex
	all map[uint64]*process
	cut map[string]bool // those that reach each other, and none of the others
}

// process is one start of one member.
type process struct {
	*cluster.Cluster
	id      string
	store   Store
	addr    netip.AddrPort
	drained chan error // what Drain came to, nil before it is called
}

// near is the network as one member sees it.
type near struct {
	*peers
	self string
}

func (p *peers) process(nonce uint64) *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[nonce]
}

func (p *peers) add(n *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[n.Local().Start.Nonce] = n
}

func (p *peers) remove(n *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, n.Local().Start.Nonce)
}

// split cuts members off from all others, and joins those that were cut off.
func (p *peers) split(cut map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
}

func (p *peers) apart(a, b string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut[a] != p.cut[b]
}

// Store finds a process.
func (p near) Store(m cluster.Member) (Store, error) {
	if n := p.process(m.Start.Nonce); n != nil && !p.apart(p.self, n.id) {
		return n.store, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrGone, m.ID)
}

// write sends a version to all that a write has to reach and reports whether it
// was acknowledged.
func (p *peers) write(ctx context.Context, by *process, key string, version uint64, quorum int) (ok bool) {
	place := by.Lookup(key)
	set, token := ring.Writers(place), place.Token()
	took := make(map[string]bool)
	for o := range set.All() {
		m, known := by.Member(o.ID())
		n := p.process(m.Start.Nonce)
		if !known || n == nil || ctx.Err() != nil || p.apart(by.id, n.id) {
			continue
		}
		done, err := n.Handoff().Admit(place.Partition(), token)
		if err != nil {
			continue
		}
		if err = n.store.Put(place.Partition(), key, version); err == nil {
			took[n.id] = true
		}
		done()
	}
	return set.Enough(quorum, func(id string) bool { return took[id] })
}
