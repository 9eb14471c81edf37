package ring

import (
	"iter"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Batch groups keys by their primary. Its buffers grow to the largest batch
// they have held and are used again by the next [Ring.Group]; the zero Batch is
// ready to use. A Batch must not be used by two goroutines at once.
type Batch struct {
	ring   *Ring
	owner  []uint16 // index of each key's primary
	bounds []int    // where each node's keys begin in order; one more than nodes
	order  []int    // positions of keys, those of one node together
}

// Group fills the batch with the keys' primaries, forgetting what it held. On an
// empty ring it holds no groups.
func (r *Ring) Group(keys []string, b *Batch) {
	b.ring = r
	n := r.Len()
	b.owner = slices.Grow(b.owner[:0], len(keys))[:len(keys)]
	b.bounds = slices.Grow(b.bounds[:0], n+1)[:n+1]
	b.order = slices.Grow(b.order[:0], len(keys))[:len(keys)]
	clear(b.bounds)
	if n == 0 {
		b.order = b.order[:0]
		return
	}
	for i, key := range keys {
		primary := r.owners[int(r.slot(xxhash.Sum64String(key)))*r.replicas]
		b.owner[i] = primary
		b.bounds[primary]++
	}
	// A counting sort: turn counts into ends, and walk backwards so that the
	// keys of a node keep their order and ends become beginnings.
	end := 0
	for i, count := range b.bounds {
		end += count
		b.bounds[i] = end
	}
	for i, primary := range slices.Backward(b.owner) {
		at := &b.bounds[primary]
		*at--
		b.order[*at] = i
	}
}

// All iterates over the primaries in ascending order of ID, each with the
// positions of its keys in the slice given to [Ring.Group], ascending. The
// positions belong to the batch and are good until it is filled again.
func (b *Batch) All() iter.Seq2[Owner, []int] {
	return func(yield func(Owner, []int) bool) {
		for i := range b.ring.Len() {
			if keys := b.order[b.bounds[i]:b.bounds[i+1]]; len(keys) > 0 && !yield(Owner{&b.ring.nodes[i]}, keys) {
				return
			}
		}
	}
}
