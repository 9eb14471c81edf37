package membership

import (
	"errors"
	"fmt"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
)

// The reasons for which a cluster and a member refuse each other. They come
// wrapped in a [RefusedError] or a [ConfigurationError]: test for them with
// errors.Is.
var (
	// ErrConfiguration says that two members of one cluster cannot work together:
	// their partition counts differ, they have no configuration in common, or their
	// clocks are years apart. The error around it is a *ConfigurationError.
	ErrConfiguration = errors.New("incompatible configuration")
	// ErrClusterName says that the process at an address is a member of a
	// cluster with another name.
	ErrClusterName = guard.ErrClusterName
	// ErrGossipKey says that gossip is encrypted on one side only, or with a
	// key that the other side does not have.
	ErrGossipKey = errors.New("wrong or missing gossip key")
)

// RefusedError says that a join through an address failed because the two sides do not
// belong to one cluster. Trying again is useless until the configuration of one of them
// has changed.
type RefusedError struct {
	// Seed is the address that was tried, host:port. It is empty when the address is
	// not known.
	Seed string
	// Reason is ErrClusterName or ErrGossipKey.
	Reason error
	// Detail is further text for people: which side lacks the key or the name. It may
	// be empty.
	Detail string
}

// Error names the address, the reason and the detail.
func (e *RefusedError) Error() string {
	where := "joining"
	if e.Seed != "" {
		where = fmt.Sprintf("joining through %q", e.Seed)
	}
	if e.Detail == "" {
		return fmt.Sprintf("membership: %s: refused: %v", where, e.Reason)
	}
	return fmt.Sprintf("membership: %s: refused: %v: %s", where, e.Reason, e.Detail)
}

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.Reason }
