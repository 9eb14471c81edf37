package ring

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// A memo holds answers that a process needs again and again: the hashes that tokens are
// made of, the order of the owners as seen from its zone, and which partitions it owns.
// The tables hold an entry for each partition. A ring that is never asked has none.
//
// Each question that no table answers also fills the next rows of the table that is
// missing, and the table is published when it is full. So no question takes long, none
// waits for another, and a ring that is asked rarely is not searched in full.
//
// Of zones and nodes, those that are asked for first get tables. The memo keeps the strings
// that they were asked for with.
type memo struct {
	hashes atomic.Pointer[[]uint64]      // eight bytes a partition
	orders [4]atomic.Pointer[orderTable] // one byte
	nodes  [2]atomic.Pointer[nodeTable]  // one bit

	// The same tables from the first question on.
	hashPart   atomic.Pointer[part[[]uint64]]
	orderParts [4]atomic.Pointer[part[orderTable]]
	nodeParts  [2]atomic.Pointer[part[nodeTable]]
}

// orderTable holds the order that [Placement.Prefer] gives the owners, for one zone.
type orderTable struct {
	region, zone string
	of           []uint8 // for each partition, the index of its order
	orders       [256]uint64
	known        int
}

// nodeTable says which partitions a node owns.
type nodeTable struct {
	id   string
	bits []uint64
}

// part is a table that is being filled.
type part[T any] struct {
	table  T
	over   atomic.Bool // full, or without room for the answers
	mu     sync.Mutex
	filled uint32 // rows
}

// claim returns the part that holds a table for the question. It makes one while there is
// a free slot, and otherwise returns nil.
func claim[T any](slots []atomic.Pointer[part[T]], answers func(*T) bool, begin func() T) *part[T] {
	for i := range slots {
		p := slots[i].Load()
		if p == nil {
			slots[i].CompareAndSwap(nil, &part[T]{table: begin()})
			p = slots[i].Load()
		}
		if answers(&p.table) {
			return p
		}
	}
	return nil
}

// rowsAtOnce is how many rows a question fills.
const rowsAtOnce = 16

// advance fills the next rows, unless another goroutine is doing so, and reports whether
// the table has just become full. The function fill returns false when there is no room.
func (p *part[T]) advance(rows uint64, fill func(table *T, row uint32) bool) (full bool) {
	if p == nil || p.over.Load() || !p.mu.TryLock() {
		return false
	}
	defer p.mu.Unlock()
	room := !p.over.Load()
	for to := min(uint64(p.filled)+rowsAtOnce, rows); room && uint64(p.filled) < to; p.filled++ {
		room = fill(&p.table, p.filled)
	}
	full = room && uint64(p.filled) == rows
	p.over.Store(full || !room)
	return full
}

// publish stores a table in the first free slot.
func publish[T any](slots []atomic.Pointer[T], table *T) {
	for i := range slots {
		if slots[i].CompareAndSwap(nil, table) {
			return
		}
	}
}

// hash identifies a partition and its preference list.
func (r *Ring) hash(partition uint32) uint64 {
	if r != nil && r.memo != nil {
		if t := r.memo.hashes.Load(); t != nil && int(partition) < len(*t) {
			return (*t)[partition]
		}
	}
	return r.computeHash(partition)
}

func (r *Ring) computeHash(partition uint32) uint64 {
	if r != nil && r.memo != nil {
		p := r.memo.hashPart.Load()
		if p == nil {
			r.memo.hashPart.CompareAndSwap(nil, &part[[]uint64]{table: make([]uint64, r.count)})
			p = r.memo.hashPart.Load()
		}
		full := p.advance(r.count, func(table *[]uint64, row uint32) bool {
			(*table)[row] = r.digest(row)
			return true
		})
		if full {
			r.memo.hashes.Store(&p.table)
		}
	}
	return r.digest(partition)
}

// digest computes the hash of a partition and its preference list.
func (r *Ring) digest(partition uint32) uint64 {
	h := mix(uint64(partition) + 1)
	for _, i := range r.row(partition) {
		h = mix(h ^ r.hashes[i])
	}
	return h
}

// order returns the order of the owners of a partition as seen from a zone.
func (r *Ring) order(partition uint32, region, zone string) uint64 {
	if r == nil || r.memo == nil {
		return 0
	}
	t := r.memo.orders[0].Load()
	if t == nil || !identical(t.zone, zone) || !identical(t.region, region) || int(partition) >= len(t.of) {
		return r.findOrder(partition, region, zone)
	}
	return t.orders[t.of[partition]]
}

// findOrder is order for other zones than that of the first table, and for strings that
// are not identical to those of a table.
func (r *Ring) findOrder(partition uint32, region, zone string) uint64 {
	for i := 1; i < len(r.memo.orders); i++ {
		if t := r.memo.orders[i].Load(); t != nil && identical(t.zone, zone) && identical(t.region, region) {
			return t.orders[t.of[partition]]
		}
	}
	for i := range r.memo.orders {
		if t := r.memo.orders[i].Load(); t != nil && same(t.zone, zone) && same(t.region, region) {
			return t.orders[t.of[partition]]
		}
	}
	p := claim(r.memo.orderParts[:],
		func(t *orderTable) bool { return t.zone == zone && t.region == region },
		func() orderTable { return orderTable{region: region, zone: zone, of: make([]uint8, r.count)} })
	if p.advance(r.count, func(t *orderTable, row uint32) bool { return t.add(row, r.arrange(row, region, zone)) }) {
		publish(r.memo.orders[:], &p.table)
	}
	return r.arrange(partition, region, zone)
}

// add stores the order of a row, and reports whether there was room for it. With up to
// five owners there always is: there are at most 243 different orders.
func (t *orderTable) add(row uint32, order uint64) bool {
	for i, have := range t.orders[:t.known] {
		if have == order {
			t.of[row] = uint8(i)
			return true
		}
	}
	if t.known == len(t.orders) {
		return false
	}
	t.of[row] = uint8(t.known)
	t.orders[t.known] = order
	t.known++
	return true
}

// owns reports whether the node with an ID is an owner of a partition.
func (r *Ring) owns(partition uint32, id string) bool {
	if r == nil || r.memo == nil {
		return false
	}
	if t := r.memo.nodes[0].Load(); t != nil && len(t.id) == len(id) && (identical(t.id, id) || t.id == id) {
		if word := int(partition / 64); word < len(t.bits) {
			return t.bits[word]>>(partition%64)&1 != 0
		}
	}
	return r.findOwner(partition, id)
}

// findOwner is owns for nodes without the first table.
func (r *Ring) findOwner(partition uint32, id string) bool {
	if t := r.memo.nodes[1].Load(); t != nil && same(t.id, id) {
		return t.bits[partition/64]>>(partition%64)&1 != 0
	}
	p := claim(r.memo.nodeParts[:],
		func(t *nodeTable) bool { return t.id == id },
		func() nodeTable { return nodeTable{id: id, bits: make([]uint64, (r.count+63)/64)} })
	full := p.advance(r.count, func(t *nodeTable, row uint32) bool {
		if r.search(row, id) {
			t.bits[row/64] |= 1 << (row % 64)
		}
		return true
	})
	if full {
		publish(r.memo.nodes[:], &p.table)
	}
	return r.search(partition, id)
}

// search looks for an ID among the owners of a partition.
func (r *Ring) search(partition uint32, id string) bool {
	for _, i := range r.row(partition) {
		if same(r.nodes[i].ID, id) {
			return true
		}
	}
	return false
}

// identical reports whether two strings are the same bytes of memory. It is the fastest
// comparison of strings, and a process asks with the same strings again and again.
func identical(a, b string) bool {
	return len(a) == len(b) && unsafe.StringData(a) == unsafe.StringData(b)
}
