package ring

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"unsafe"

	"github.com/clusterkit/clusterkit/ring/option"
)

// Ring is an immutable table from partition to preference list, with the nodes
// that it names. Make one with [Build]. All methods are safe for concurrent use
// and none blocks; the nil and the zero Ring are empty rings, whose placements
// have no owners.
//
// Its table takes two bytes for each owner of each partition, whatever the number of nodes.
// With three owners a partition these are 24 KiB for 4096 partitions and 384 KiB for 65,536. In
// addition a ring needs a few hundred bytes for each node. The names are shared with the nodes
// that it was built from. A ring keeps the answers when a process asks for tokens, for the
// nearest owners or for what a node owns. For each partition it keeps eight bytes for tokens,
// two bytes for each owner for each of up to four zones, and one bit for each of up to two
// nodes. While a ring is built, up to two more tables exist: the one that the strategy writes,
// and for [Rebuild] the table of the previous ring.
type Ring struct {
	config   Config
	strategy string   // the name of the strategy
	nodes    []Node   // ascending by ID
	hashes   []uint64 // for each node the hash that tokens combine
	zones    []zone
	places   []place  // the zone and region of each node
	owners   []uint16 // replicas indices a partition: the preference lists
	shown    []uint16 // the table in the order of At and All: equal to owners, except in a view
	note     uint64   // what the strategy keeps with the table
	count    uint64   // partitions
	replicas int
	print    Fingerprint
	memo     *memo  // answers kept for later; shared by copies of this ring
	views    *views // this ring as seen from zones; shared by its views
	target   *Ring  // the ring after the change that is under way; nil without a change
}

// Lookup returns the placement of a key.
func (r *Ring) Lookup(key string) Placement {
	return Placement{ring: r, partition: r.locate(key)}
}

// LookupBytes is [Ring.Lookup] for a key held as bytes. A string and a byte
// slice of the same content have the same placement.
func (r *Ring) LookupBytes(key []byte) Placement {
	// This is locateBytes written out. With a call of it, a function that loads a ring from a
	// pointer and calls LookupBytes would be too large for the compiler to inline.
	return Placement{ring: r, partition: r.locate(*(*string)(unsafe.Pointer(&key)))}
}

// Partition returns the partition of a key, 0 to PartitionCount-1. It depends only on
// the key and the number of partitions, so it may be kept for as long as the cluster
// lives.
func (r *Ring) Partition(key string) int { return int(r.locate(key)) }

// Placement returns the placement of a partition. The placement of a partition
// out of range is empty.
func (r *Ring) Placement(partition int) Placement {
	if r == nil || uint64(partition) >= r.count { // as an unsigned number, a negative partition is out of range
		return Placement{}
	}
	return Placement{ring: r, partition: uint32(partition)}
}

// PartitionCount returns the number of partitions; zero for an empty ring.
func (r *Ring) PartitionCount() int {
	if r == nil {
		return 0
	}
	return int(r.count)
}

// Replicas returns how many owners each partition has: the replication factor,
// or the number of nodes when there are fewer.
func (r *Ring) Replicas() int {
	if r == nil {
		return 0
	}
	return r.replicas
}

// Config returns the configuration that the ring was built with.
func (r *Ring) Config() Config {
	if r == nil {
		return Config{}
	}
	return r.config
}

// Len returns the number of nodes.
func (r *Ring) Len() int {
	if r == nil {
		return 0
	}
	return len(r.nodes)
}

// Nodes returns the nodes in ascending order of ID. The slice is the caller's.
func (r *Ring) Nodes() []Node {
	if r == nil {
		return nil
	}
	return slices.Clone(r.nodes)
}

// Node returns the node with an ID, and whether the ring has it.
func (r *Ring) Node(id string) (Node, bool) {
	i, ok := r.index(id)
	if !ok {
		return Node{}, false
	}
	return r.nodes[i], true
}

func (r *Ring) index(id string) (int, bool) {
	if r == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(r.nodes, id, func(n Node, id string) int { return strings.Compare(n.ID, id) })
}

// All iterates over the placements of all partitions in order.
func (r *Ring) All() iter.Seq2[int, Placement] {
	return func(yield func(int, Placement) bool) {
		for p := range r.PartitionCount() {
			if !yield(p, Placement{ring: r, partition: uint32(p)}) {
				return
			}
		}
	}
}

// Toward returns a ring with the answers of r and with a target, the ring that is to
// replace r. Its placements also know their owners in the target. It shares the table
// of r. Targets that r and the argument already have are ignored. When the target is
// empty or has the fingerprint of r, the result is r without a target. When r is empty,
// the result is r.
//
// It returns an [option.Error], wrapped, when the rings have different numbers of
// partitions.
func (r *Ring) Toward(target *Ring) (*Ring, error) {
	if r.Len() == 0 || target.Len() == 0 || r.print == target.print {
		return r.settled(), nil
	}
	if r.count != target.count {
		return nil, fmt.Errorf("ring: target: %w", &option.Error{
			Field: "PartitionCount", Value: target.PartitionCount(), Bound: fmt.Sprintf("that of the other ring, %d", r.count),
		})
	}
	return r.with(target.settled()), nil
}

// settled returns the ring without its target.
func (r *Ring) settled() *Ring {
	if r == nil || r.target == nil {
		return r
	}
	return r.with(nil)
}

// with returns a copy of the ring with another target.
func (r *Ring) with(target *Ring) *Ring {
	c := *r
	c.target, c.views = target, &views{ring: &c}
	return &c
}

// Target returns the ring that is to replace r, and r itself when there is none.
func (r *Ring) Target() *Ring {
	if r == nil || r.target == nil {
		return r
	}
	return r.target
}

// row returns the preference list of a partition.
func (r *Ring) row(partition uint32) []uint16 {
	if r == nil {
		return nil
	}
	from := int(partition) * r.replicas
	return r.owners[from : from+r.replicas]
}

// shownRow returns the owners of a partition in the order of At and All.
func (r *Ring) shownRow(partition uint32) []uint16 {
	if r == nil {
		return nil
	}
	from := int(partition) * r.replicas
	// With the capacity known to be replicas, the address of the row does not wait for the test
	// whether the row is empty.
	return r.shown[from : from+r.replicas : from+r.replicas]
}

// table returns the fingerprint of this ring without its target.
func (r *Ring) table() Fingerprint {
	if r == nil {
		return 0
	}
	return r.print
}
