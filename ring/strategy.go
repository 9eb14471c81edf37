package ring

// RebalanceStrategy decides which nodes own which partition.
//
// A strategy is a pure function of its argument. Every member of a cluster calls it on its own,
// and all must compute the same result. So it must not read a clock, a random source, the order
// of a map, an environment or a previous result. It must not use arithmetic whose result
// differs between architectures, such as floating point. A [Deriver] may start from a previous
// table, and still comes to the same result. Package rebalance has the strategies that come
// with the library.
//
// Implementations must be safe for concurrent use. An implementation with parameters may also
// have a method Validate() error, which [Config.Validate] calls. One that places some nodes
// otherwise than it is meant to may have a method Fits(Topology) error, which says why. For some
// nodes a strategy may not spread partitions over as many zones and regions as possible. It may
// then have a method Yields(Topology) error, which returns the reason for these nodes and nil
// for all others. The health of a cluster reports the errors of both.
type RebalanceStrategy interface {
	// Name identifies the algorithm, its version, and every parameter that changes its
	// result, for example "balanced/1". Members gossip the name and take strategies of
	// one name for the same. So two strategies of one name must give equal results. At
	// most 48 bytes of printable ASCII without spaces or commas.
	Name() string
	// Assign writes the preference list of every partition into the table: distinct
	// indices into the topology's nodes, the primary first. It must fill all rows.
	// [Build] checks the table. After an error, an invalid row or a panic the caller
	// keeps its previous ring.
	Assign(Topology, Table) error
}

// maxStrategyName is the longest name of a strategy, in bytes.
const maxStrategyName = 48

// Topology holds the nodes on which a strategy places partitions. [Build] has checked
// it: there is at least one node, and nodes are sorted by ID, distinct, and of valid
// weight.
type Topology struct {
	// Nodes are the nodes that can own partitions, in ascending order of ID.
	// They belong to the ring and must not be modified.
	Nodes []Node
	// PartitionCount is the number of rows to fill, 1 to [MaxPartitionCount].
	PartitionCount int
	// Replicas is the number of owners of each row: the replication factor,
	// or the number of nodes when there are fewer.
	Replicas int
	// Stop reports whether the table is no longer needed. Assign may then return any error, and
	// Derive false. A strategy that takes long should ask now and then, for example after each
	// thousand rows. It has no influence on a table that is complete. Once it has reported true
	// it always does. Nil means that the table is needed.
	Stop func() bool
}

// Stopped calls Stop, and returns false when Stop is nil.
func (t Topology) Stopped() bool { return t.Stop != nil && t.Stop() }

// Table is the table that a strategy fills: one row for each partition, each a
// preference list of indices into [Topology.Nodes].
type Table struct {
	replicas int
	owners   []uint16
	note     *uint64
}

// NewTable returns a table for the topology, with every entry zero. It is for tests of
// a strategy: [Build] makes its own table.
func NewTable(t Topology) Table {
	return Table{replicas: t.Replicas, owners: make([]uint16, t.PartitionCount*t.Replicas), note: new(uint64)}
}

// Row returns the preference list of a partition, to be read or filled in place. Its
// length is [Topology.Replicas]. It panics when the partition is out of range, as an
// index into a slice does. [Build] turns such a panic into an error.
func (t Table) Row(partition int) []uint16 {
	from := partition * t.replicas
	return t.owners[from : from+t.replicas : from+t.replicas]
}

// Slots returns all rows one after the other, to be read or filled in place: row
// p begins at p times [Topology.Replicas].
func (t Table) Slots() []uint16 { return t.owners }

// Note returns the number that the strategy has kept with this table, or zero.
func (t Table) Note() uint64 {
	if t.note == nil {
		return 0 // the zero table
	}
	return *t.note
}

// SetNote keeps a number with the table, for [Deriver.Derive]. It may save work, and must not
// change a table. A ring keeps it, and neither [Ring.Fingerprint] nor any other answer covers it.
func (t Table) SetNote(note uint64) { *t.note = note }
