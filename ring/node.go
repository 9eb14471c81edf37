package ring

// Bounds of what a ring can hold. [Build] reports values outside them.
const (
	// MaxPartitionCount is the largest number of partitions of a ring.
	MaxPartitionCount = 1 << 20
	// MaxNodes is the largest number of nodes of a ring: indices take 16 bits.
	MaxNodes = 1<<16 - 1

	maxReplicationFactor = 16
	maxWeight            = 1 << 20
)

// Node is a member as placement sees it: an identity, where it stands, and how
// much it should carry. Addresses and liveness are none of the ring's business.
type Node struct {
	// ID is the member's stable identity, unique in the ring. Required.
	ID string `json:"id"`
	// Region and Zone say where the node stands. A zone lies within its
	// region: zone "a" of region "eu" and zone "a" of region "us" are two
	// zones. Empty is a name like any other, so that a cluster that names
	// no zones has exactly one.
	Region string `json:"region,omitempty"`
	Zone   string `json:"zone,omitempty"`
	// Weight is the share of partitions the node should carry, relative to
	// the others: a node of weight 2 carries what two of weight 1 carry.
	// Bounds: 1 to 2^20. Zero means 1.
	Weight int `json:"weight,omitempty"`
	// Start tells two owners of one ID apart that have not the same data: a start
	// of the member that begins without the data of the start before it has
	// another Start. [Placement.Token] names it. It plays no part in placement or
	// in [Ring.Fingerprint]: a [RebalanceStrategy] sees zero. Zero names nothing.
	Start uint64 `json:"-"`
}
