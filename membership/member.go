package membership

import (
	"cmp"
	"net/netip"
	"time"
)

// Member is one process of the cluster, as it announces itself in gossip. It is a value:
// later changes of the member do not change it. Its maps and slices are shared and must
// not be modified.
type Member struct {
	// ID is the member's stable identity, the NodeID it was started with.
	ID string
	// Region and Zone say where the member runs. A zone lies within its region.
	Region, Zone string
	// Weight is the share of partitions that the member should own, 1 or more.
	Weight int
	// Addr is its gossip address.
	Addr netip.AddrPort
	// HTTPAddr is the address of its HTTP interface, host:port. It is empty when the
	// member announces none.
	HTTPAddr string
	// Services are the addresses of its services, by the name of the service.
	Services map[string]string
	// Metadata are further values that the user of this member announces.
	Metadata map[string]string
	// PartitionCount is the number of partitions with which the member was started.
	PartitionCount int
	// Configurations are the names of the configurations that it can run, with the
	// preferred one last.
	Configurations []string
	// Version is the version of its program, for people: no two members need have the same one.
	// It is empty for a member that announces none, such as one of an earlier release.
	Version string
	// State is the state that it announces.
	State State
	// Started is when the process started, by its own clock, to the second.
	Started time.Time
	// Start identifies this start of the NodeID.
	Start Start
	// Grace is how long a member that is Away stays in the list after it has left, as it
	// announced, or after it has failed with its zone. For other members it is zero.
	Grace time.Duration
	// Until is when a member that is Away and has left, or has failed with its zone, will count as
	// failed for good, by the clock of this process. For other members it is zero.
	Until time.Time
	// ZoneGrace is how long this member keeps its place when all owners in its zone fail together,
	// as it announced. Zero means that it keeps no place then.
	ZoneGrace time.Duration
	// Origin is the nonce of the earlier start whose data this start has. Zero means
	// that it began without data.
	Origin uint64
	// Renewal is set for a member that joined again without a restart. It identifies the
	// beginning of the member's data, in place of Start.Nonce and Origin, which is zero then.
	// Zero means that the member has not joined again.
	Renewal uint64
	// Bare is set for a member that is Leaving and held no data when it announced that. Such a
	// member is no reason to believe that data exists.
	Bare bool
}

// Start identifies one start of a process under a NodeID. The newest start is the
// member of the NodeID.
type Start struct {
	// Number is larger than the number of every earlier start that this start could
	// see, with any clocks.
	Number uint64
	// Nonce is random and decides between equal numbers.
	Nonce uint64
}

// Compare returns -1, 0 or +1 as s is older than, equal to or newer than t.
func (s Start) Compare(t Start) int {
	return cmp.Or(cmp.Compare(s.Number, t.Number), cmp.Compare(s.Nonce, t.Nonce))
}
