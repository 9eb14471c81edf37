package ring

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// A memo holds answers that a process needs repeatedly: the hashes that tokens are made of, the
// order of the owners for its zone, and which partitions it owns. The tables hold an entry for
// each partition. A ring that is never asked has none.
//
// Each question that no table answers also fills the next rows of the table that is
// missing, and the table is published when it is full. So no question takes long, none
// waits for another, and a ring that is asked rarely is not searched in full.
//
// Of zones and nodes, those that are asked for first get tables. The memo keeps the strings
// that they were asked for with.
type memo struct {
	hashes atomic.Pointer[[]uint64]     // eight bytes a partition
	zones  [4]atomic.Pointer[zoneTable] // two bytes an owner
	nodes  [2]atomic.Pointer[nodeTable] // one bit for each partition

	// The same tables from the first question on.
	hashPart  atomic.Pointer[part[[]uint64]]
	zoneParts [4]atomic.Pointer[part[zoneTable]]
	nodeParts [2]atomic.Pointer[part[nodeTable]]
}

// zoneTable holds the owners in the order that [Placement.Prefer] gives them, for one zone.
type zoneTable struct {
	region, zone string
	owners       []uint16
}

// views holds a ring as seen from the zones that have tables. Copies of a ring with and without a
// target share the tables, and each has views of its own.
type views struct {
	ring *Ring                   // the ring with its owners in the order of the preference lists
	from [4]atomic.Pointer[view] // from the zones of the memo
}

// view is a ring that shows its owners in the order of a zone. Apart from this it is the ring
// itself, so that a placement needs no other fields and no other steps.
type view struct {
	Ring
	region, zone string
}

// nodeTable says which partitions a node owns.
type nodeTable struct {
	id   string
	bits []uint64
}

// part is a table that is being filled.
type part[T any] struct {
	table  T
	over   atomic.Bool // full
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
// the table has just become full.
func (p *part[T]) advance(rows uint64, fill func(table *T, row uint32)) (full bool) {
	if p == nil || p.over.Load() || !p.mu.TryLock() {
		return false
	}
	defer p.mu.Unlock()
	if p.over.Load() {
		return false
	}
	for to := min(uint64(p.filled)+rowsAtOnce, rows); uint64(p.filled) < to; p.filled++ {
		fill(&p.table, p.filled)
	}
	full = uint64(p.filled) == rows
	p.over.Store(full)
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
		full := p.advance(r.count, func(table *[]uint64, row uint32) { (*table)[row] = r.digest(row) })
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

// preferred returns the placement of a partition as seen from a zone.
func (r *Ring) preferred(partition uint32, region, zone string) Placement {
	if r == nil || r.views == nil {
		return Placement{ring: r, partition: partition}
	}
	v := r.views.from[0].Load()
	if v == nil || !identical(v.zone, zone) || !identical(v.region, region) {
		return r.views.find(partition, region, zone)
	}
	return Placement{ring: &v.Ring, partition: partition}
}

// find is preferred for other zones than that of the first view, and for strings that are not
// identical to those of a view.
func (v *views) find(partition uint32, region, zone string) Placement {
	for i := 1; i < len(v.from); i++ {
		if w := v.from[i].Load(); w != nil && identical(w.zone, zone) && identical(w.region, region) {
			return Placement{ring: &w.Ring, partition: partition}
		}
	}
	for i := range v.from {
		if w := v.from[i].Load(); w != nil && same(w.zone, zone) && same(w.region, region) {
			return Placement{ring: &w.Ring, partition: partition}
		}
	}
	r := v.ring
	if len(r.nodes) == 0 {
		return Placement{ring: r, partition: partition}
	}
	for i := range r.memo.zones {
		if t := r.memo.zones[i].Load(); t != nil && same(t.zone, zone) && same(t.region, region) {
			w := &view{*r, t.region, t.zone}
			w.shown = t.owners
			v.from[i].CompareAndSwap(nil, w)
			return Placement{ring: &v.from[i].Load().Ring, partition: partition}
		}
	}
	p := claim(r.memo.zoneParts[:],
		func(t *zoneTable) bool { return t.zone == zone && t.region == region },
		func() zoneTable { return zoneTable{region, zone, make([]uint16, len(r.owners))} })
	if p.advance(r.count, func(t *zoneTable, row uint32) { r.fill(t, row) }) {
		publish(r.memo.zones[:], &p.table)
	}
	return Placement{ring: r, partition: partition, order: r.arrange(partition, region, zone)}
}

// fill writes the owners of a row into a table.
func (r *Ring) fill(t *zoneTable, partition uint32) {
	row, order := r.row(partition), r.arrange(partition, t.region, t.zone)
	for i := range row {
		t.owners[int(partition)*r.replicas+i] = row[order>>(4*i&63)&15]
	}
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
	full := p.advance(r.count, func(t *nodeTable, row uint32) {
		if r.search(row, id) {
			t.bits[row/64] |= 1 << (row % 64)
		}
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
