package ring

import (
	"iter"
	"slices"
)

// Batch groups keys by their primary. Its buffers grow to the largest batch
// they have held and are used again by the next [Ring.Group]; the zero Batch is
// ready to use. A Batch must not be used by two goroutines at once.
//
// A Batch holds ten bytes a key. It is faster than one call for each key when the keys
// are many and not in the processor's caches: it fetches several of them from memory at
// a time.
type Batch struct {
	ring   *Ring
	owner  []uint16 // index of each key's primary
	bounds []int    // where each node's keys begin in order; one more than nodes
	order  []int    // positions of keys, those of one node together
}

// ahead is how many keys are fetched from memory before the first of them is hashed.
// The processor does several loads at a time if they are near each other in the
// program. Hashing one key takes many instructions, so without this only few keys would
// be loaded at a time.
const ahead = 32

// Group replaces the content of the batch by the primaries of the keys. On an empty
// ring the batch holds no groups.
func (r *Ring) Group(keys []string, b *Batch) { group(r, keys, b) }

// GroupBytes is [Ring.Group] for keys held as bytes.
func (r *Ring) GroupBytes(keys [][]byte, b *Batch) { group(r, keys, b) }

// group is Group for keys of either type. It asks for the type once for each block of
// keys that are fetched at a time.
func group[K string | []byte](r *Ring, keys []K, b *Batch) {
	if !b.begin(r, len(keys)) {
		return
	}
	var partitions [ahead]uint32
	for at := 0; at < len(keys); at += ahead {
		some := keys[at:min(at+ahead, len(keys))]
		fetch(some)
		switch some := any(some).(type) {
		case []string:
			for i, key := range some {
				partitions[i] = r.locate(key)
			}
		case [][]byte:
			for i, key := range some {
				partitions[i] = r.locateBytes(key)
			}
		}
		b.count(b.owner[at:], partitions[:len(some)])
	}
	b.sort()
}

// fetch reads a byte of every key, so that the keys are near when they are
// hashed. It must not be inlined: its result is not used, and the compiler would
// drop the reads.
//
//go:noinline
func fetch[K string | []byte](keys []K) (sum byte) {
	for _, key := range keys {
		if len(key) > 0 {
			sum += key[0]
		}
	}
	return sum
}

// begin makes room for the keys, and reports whether the ring has owners.
func (b *Batch) begin(r *Ring, keys int) bool {
	b.ring = r
	n := r.Len()
	if n == 0 {
		keys = 0
	}
	b.owner = slices.Grow(b.owner[:0], keys)[:keys]
	b.order = slices.Grow(b.order[:0], keys)[:keys]
	b.bounds = slices.Grow(b.bounds[:0], n+1)[:n+1]
	clear(b.bounds)
	return n > 0
}

// count writes the primaries of partitions, and counts them.
func (b *Batch) count(primaries []uint16, partitions []uint32) {
	owners, replicas, bounds := b.ring.owners, uint(b.ring.replicas), b.bounds
	primaries = primaries[:len(partitions)]
	for i, partition := range partitions {
		primary := owners[uint(partition)*replicas]
		primaries[i] = primary
		bounds[primary]++
	}
}

// sort is a counting sort that puts the keys of each node together. It turns the counts
// into the end of each group, and walks backwards over the keys, so that the keys of a
// node keep their order and each end becomes the beginning of its group.
func (b *Batch) sort() {
	end := 0
	for i, count := range b.bounds {
		end += count
		b.bounds[i] = end
	}
	owner, bounds, order := b.owner, b.bounds, b.order
	for i, primary := range slices.Backward(owner) {
		at := &bounds[primary]
		*at--
		order[*at] = i
	}
}

// All iterates over the primaries in ascending order of ID, each with the positions of
// its keys in the slice given to [Ring.Group], ascending. The positions belong to the
// batch and are valid until it is filled again.
func (b *Batch) All() iter.Seq2[Owner, []int] {
	return func(yield func(Owner, []int) bool) {
		for i := range b.ring.Len() {
			if keys := b.order[b.bounds[i]:b.bounds[i+1]]; len(keys) > 0 && !yield(Owner{&b.ring.nodes[i]}, keys) {
				return
			}
		}
	}
}
