// Package handofftest checks that a service with a [cluster.Mover] of its own loses no
// acknowledged write, as docs/handoff.md promises.
//
// [Run] forms a cluster in virtual time, over a network in memory. Its members hold their
// data in stores of yours. Run writes through quorums while these events happen:
//
//   - Members join, drain and crash, also while they drain. Some that drain are taken back, however
//     far they are.
//   - Members start again empty, with another weight, or in another zone. Some change their weight
//     while they run.
//   - Members stop with a [cluster.Options.RestartGrace], and come back within it, later or
//     never.
//   - With even seeds, zones of which all members crash or are cut off keep their places for a
//     [cluster.Options.ZoneGrace]. There are four zones, so one may have a single member.
//   - Members stand still for up to 20 seconds, and go on.
//   - The network is cut, also in one direction between two members, and heals.
//   - The replication factor, the write quorum and the strategy change, in two rounds of restarts. Some
//     changes are taken back in the first round.
//
// The events stay within the limits that docs/handoff.md names. A quarter of the write
// requests arrive late, by up to a minute. Run requires that every read quorum finds
// every acknowledged write whenever all handoffs are complete. With [Options.Durable]
// stores outlive their processes, and any number of processes may crash at once.
//
//	func TestMyStore(t *testing.T) {
//		handofftest.Run(t, handofftest.Options{New: func(p handofftest.Peers) handofftest.Store {
//			return newMyStore(p)
//		}})
//	}
//
// Run does not test how your code moves bytes between machines.
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

// Store holds the data of one process. It is the code under test. Its methods are
// called from several goroutines.
type Store interface {
	cluster.Mover
	// Put keeps a version of a key of a partition, unless it has a newer one.
	Put(partition int, key string, version uint64) error
	// Get returns the newest version of a key in this store, and 0 when there is none.
	Get(partition int, key string) (version uint64, err error)
}

// Peers finds the stores of other processes, as a network would.
type Peers interface {
	// Store returns the store of a member. It returns an error when the member cannot
	// be reached, or when its process is another one than m names.
	Store(m cluster.Member) (Store, error)
}

// ErrGone says that the process of a member has ended.
var ErrGone = errors.New("handofftest: the process is gone")

// peers holds the running processes, by the nonce of their start.
type peers struct {
	mu      sync.Mutex
	all     map[uint64]*process
	cut     map[string]bool // the members that are cut off: they reach each other, and no other member
	oneWay  direction       // no message passes in it
	stalled string          // the member that stands still

	versions map[string]uint64 // the newest acknowledged version, by key
}

// process is one start of one member.
type process struct {
	*cluster.Cluster
	id       string
	store    Store
	addr     netip.AddrPort
	drained  chan error // the error of Drain; the channel is nil while the member does not drain
	endDrain context.CancelFunc
	back     bool // the member is to start again when it has drained
}

// direction is from one member to another.
type direction struct{ from, to string }

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

// split cuts the given members off from all others, in place of the members that were
// cut off before.
func (p *peers) split(cut map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
}

// block lets no message pass in one direction, in place of the direction before.
func (p *peers) block(d direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.oneWay = d
}

// stall stops a member, in place of the member that was stopped before.
func (p *peers) stall(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = id
}

// passes reports whether messages pass from one member to another. The lock is held.
func (p *peers) passes(from, to string) bool {
	return p.cut[from] == p.cut[to] && p.oneWay != direction{from, to} && p.stalled != from && p.stalled != to
}

func (p *peers) apart(a, b string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.passes(a, b) || !p.passes(b, a)
}

// Store returns the store of a member that this one can reach.
func (p near) Store(m cluster.Member) (Store, error) {
	if n := p.process(m.Start.Nonce); n != nil && !p.apart(p.self, n.id) {
		return n.store, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrGone, m.ID)
}

// write is a version of a key on its way to the owners.
type write struct {
	by      *process
	key     string
	version uint64
	place   ring.Placement // the placement by which the write was sent
	took    map[string]bool
}

// deliver hands the request of a write to the process that now runs under an ID, and counts its
// answer.
func (p *peers) deliver(w *write, id string) {
	p.mu.Lock()
	var to *process
	for _, n := range p.all {
		if n.id == id && p.passes(w.by.id, id) {
			to = n
		}
	}
	p.mu.Unlock()
	if to == nil {
		return
	}
	done, err := to.Handoff().Admit(w.place.Partition(), w.place.Token())
	if err != nil {
		return
	}
	err = to.store.Put(w.place.Partition(), w.key, w.version)
	done()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.all[w.by.Local().Start.Nonce] != nil && p.passes(id, w.by.id) {
		w.took[id] = true
		if ring.Writers(w.place).Enough(0, func(id string) bool { return w.took[id] }) {
			p.versions[w.key] = max(p.versions[w.key], w.version)
		}
	}
}

// acknowledged returns the newest version of a key that a writer has acknowledged.
func (p *peers) acknowledged(key string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.versions[key]
}
