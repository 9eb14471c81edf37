package handofftest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/clusterkit/clusterkit/cluster"
)

// disk holds the data and the journal that survive a process.
type disk struct {
	last  *process
	store Store

	mu    sync.Mutex
	pages map[string][]byte
}

// Load returns all saved values.
func (d *disk) Load() (map[string][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.pages), nil
}

// Save replaces the value of a key.
func (d *disk) Save(_ context.Context, key string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pages[key] = slices.Clone(value)
	return nil
}

// inherit gives a process the disk of its NodeID, and returns the store on it, or nil
// when the disk is new.
func (r *run) inherit(n *process, o *cluster.HandoffOptions) Store {
	if !r.o.Durable {
		return nil
	}
	d := r.disks[n.id]
	if d == nil {
		d = &disk{pages: make(map[string][]byte)}
		r.disks[n.id] = d
	} else if err := d.last.Stop(context.Background()); err != nil { // the earlier process must not use the disk any more
		r.fail("stopping %s: %v", n.id, err)
	}
	d.last, o.Journal = n, d
	return d.store
}

// outage crashes some of the members that do not drain, or all of them. They come back
// before or after the other members have noticed.
func (r *run) outage() {
	share := []int{1, 2, 4, 4}[r.rand.IntN(4)] // the share of members that crash, in quarters
	for _, n := range r.sorted() {
		if n.drained == nil && r.rand.IntN(4) < share {
			r.crash(n)
			r.away = append(r.away, n.id)
		}
	}
	if len(r.live) == 0 || r.rand.IntN(2) == 0 {
		r.restore()
	}
}

// restore starts the members that crashed.
func (r *run) restore() {
	r.rand.Shuffle(len(r.away), func(i, j int) { r.away[i], r.away[j] = r.away[j], r.away[i] })
	for _, id := range r.away {
		r.start(id)
	}
	r.away = nil
}
