package membership

import (
	"cmp"
	"net/netip"
	"time"
)

// Member is one process of the cluster, as it announces itself in gossip. It is a value:
// later changes of the member do not show in it. Its maps and slices are shared and must
// not be modified.
type Member struct {
	// ID is the member's stable identity, the NodeID it was started with.
	ID string
	// Region and Zone say where it runs; a zone lies within its region.
	Region, Zone string
	// Weight is the share of partitions it asks for, 1 or more.
	Weight int
	// Addr is where the others reach its gossip.
	Addr netip.AddrPort
	// HTTPAddr is where others reach its HTTP interface, host:port; empty
	// when it announces none.
	HTTPAddr string
	// Services are the addresses it offers, by the name of the service.
	Services map[string]string
	// Metadata is what the user of this member wants the others to know.
	Metadata map[string]string
	// PartitionCount is the number of partitions it was started with.
	PartitionCount int
	// Configurations name what it can run, in order of preference, the most
	// wanted last.
	Configurations []string
	// State is its state of life.
	State State
	// Started is when the process started, by its own clock, to the second.
	Started time.Time
	// Start tells one start of a NodeID from another.
	Start Start
	// Grace is, for a member that is Away, how long it keeps its place after it has left, as it
	// announced. For others it is zero.
	Grace time.Duration
	// Until is, for a member that is Away and has left, when it counts as failed, by the clock of
	// this process. For others it is zero.
	Until time.Time
	// Origin is the nonce of the start whose data this start goes on with. Zero means
	// that it began without data.
	Origin uint64
	// Renewal is, for a member that joined again in the course of this start, what its data goes
	// back to in place of Start.Nonce. Its Origin is zero then. Zero means that it did not.
	Renewal uint64
}

// Start identifies one start of a process under a NodeID. Of two, the newer
// one speaks for the NodeID.
type Start struct {
	// Number is larger than the number of every earlier start that this start could
	// see, whatever the clocks say.
	Number uint64
	// Nonce is random and decides between equal numbers.
	Nonce uint64
}

// Compare returns -1, 0 or +1 as s is older than, equal to or newer than t.
func (s Start) Compare(t Start) int {
	return cmp.Or(cmp.Compare(s.Number, t.Number), cmp.Compare(s.Nonce, t.Nonce))
}
