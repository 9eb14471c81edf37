package ring

// Bounds of a ring. [Build] returns an error for values outside them.
const (
	// MaxPartitionCount is the largest number of partitions of a ring.
	MaxPartitionCount = 1 << 20
	// MaxNodes is the largest number of nodes of a ring: indices take 16 bits.
	MaxNodes = 1<<16 - 1

	maxReplicationFactor = 16
	maxWeight            = 1 << 20
)

// Node is a member as placement sees it: its identity, its place, and its weight. The
// ring knows neither addresses nor liveness.
type Node struct {
	// ID is the member's stable identity, unique in the ring. Required.
	ID string `json:"id"`
	// Region and Zone say where the node runs. A zone lies within its region: zone "a"
	// of region "eu" and zone "a" of region "us" are two zones. The empty name is a
	// name like any other, so a cluster that names no zones has exactly one.
	Region string `json:"region,omitempty"`
	Zone   string `json:"zone,omitempty"`
	// Weight is the share of partitions that the node should own, relative to the
	// others: a node of weight 2 should own as many as two nodes of weight 1. Bounds: 1
	// to 2^20. Zero means 1.
	Weight int `json:"weight,omitempty"`
	// Start distinguishes two processes of one ID that do not have the same data: a
	// process that starts without the data of the process before it has another Start.
	// [Placement.Token] covers it. Placement and [Ring.Fingerprint] do not: a
	// [RebalanceStrategy] sees zero. Zero means that starts are not distinguished.
	Start uint64 `json:"-"`
}
