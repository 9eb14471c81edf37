package handofftest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/clusterkit/clusterkit/cluster"
)

// disk is what survives a process.
type disk struct {
	last  *process
	store Store

	mu    sync.Mutex
	pages map[string][]byte
}

// Load returns what is saved.
func (d *disk) Load() (map[string][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.pages), nil
}

// Save keeps a value.
func (d *disk) Save(_ context.Context, key string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pages[key] = slices.Clone(value)
	return nil
}

// inherit gives a process the disk of its NodeID, and the store that is on it, nil
// when that is new.
func (r *run) inherit(n *process, o *cluster.HandoffOptions) Store {
	if !r.o.Durable {
		return nil
	}
	d := r.disks[n.id]
	if d == nil {
		d = &disk{pages: make(map[string][]byte)}
		r.disks[n.id] = d
	} else if err := d.last.Stop(context.Background()); err != nil { // a process that is gone does nothing more
		r.fail("stopping %s: %v", n.id, err)
	}
	d.last, o.Journal = n, d
	return d.store
}

// outage crashes some members that do not drain, or all. They come back when others
// have, or have not, noticed.
func (r *run) outage() {
	share := []int{1, 2, 4, 4}[r.rand.IntN(4)] // of four
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

// restore starts those that are away.
func (r *run) restore() {
	r.rand.Shuffle(len(r.away), func(i, j int) { r.away[i], r.away[j] = r.away[j], r.away[i] })
	for _, id := range r.away {
		r.start(id)
	}
	r.away = nil
}
