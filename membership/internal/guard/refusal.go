package guard

import (
	"errors"
	"fmt"
)

// ErrClusterName says that an address belongs to a member of a cluster with another
// name.
var ErrClusterName = errors.New("belongs to another cluster")

var errUnknownReason = errors.New("for a reason that this release does not know")

// Refusal says that the guard of another member has refused a stream. Test for the
// reason with errors.Is.
type Refusal struct {
	// Addr is the address as it was dialed.
	Addr string
	// Reason is [ErrClusterName], or an error for a reason that only later releases
	// know.
	Reason error
	// Detail is further text for people. It may be empty.
	Detail string
}

// Error names the address, the reason and the detail.
func (e *Refusal) Error() string {
	text := fmt.Sprintf("membership: stream to %q: refused: %v", e.Addr, e.Reason)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap returns the reason.
func (e *Refusal) Unwrap() error { return e.Reason }
