package membership

import "fmt"

// State is the lifecycle state that a member announces. It is not liveness: the last
// announced state of a crashed member may be Active.
type State uint8

// The lifecycle states. A member is Joining, then Active, then Draining, then Leaving. An
// Observer is an Observer until it is Leaving. A member that no other reaches, or that others
// declared dead, is an Observer for some time, and then Joining again. A member that stops for
// a restart is Away instead of Leaving. The zero State is never announced.
const (
	// Joining members are known to the cluster and own nothing yet.
	Joining State = iota + 1
	// Active members own partitions.
	Active
	// Draining members own their partitions until others take them over, and get no new
	// ones.
	Draining
	// Leaving members own nothing and are about to leave.
	Leaving
	// Observer members route to owners and never own partitions.
	Observer
	// Away members were Active, and have announced that they stop and come back within their
	// [Member.Grace]. An Away member stays an owner until one of these events:
	//
	//   - A newer start of its NodeID is Active. A newer start that is Joining does not replace
	//     it yet.
	//   - The grace is over. The member then counts as failed.
	//
	// It answers no requests after it has left.
	Away
)

var stateNames = [...]string{Joining: "joining", Active: "active", Draining: "draining", Leaving: "leaving", Observer: "observer", Away: "away"}

// String returns the state in lower case, as HTTP and logs show it.
func (s State) String() string {
	if s < Joining || s > Away {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return stateNames[s]
}

// MarshalText returns the same as String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote; anything else is an error.
func (s *State) UnmarshalText(text []byte) error {
	for state := Joining; state <= Away; state++ {
		if stateNames[state] == string(text) {
			*s = state
			return nil
		}
	}
	return fmt.Errorf("membership: unknown state %q", text)
}
