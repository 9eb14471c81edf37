package membership

import "fmt"

// State is the state of life that a member announces of itself. It is not liveness: a
// member that crashed was Active to the end.
type State uint8

// The states of a member's life. A member moves forward through them, except that an
// Observer stays one until it is Leaving. The zero State is never announced.
const (
	// Joining members are known to the cluster and own nothing yet.
	Joining State = iota + 1
	// Active members own partitions.
	Active
	// Draining members own what they have until others own it, and take nothing new.
	Draining
	// Leaving members own nothing and are about to leave.
	Leaving
	// Observer members route to owners and never own anything themselves.
	Observer
)

var stateNames = [...]string{Joining: "joining", Active: "active", Draining: "draining", Leaving: "leaving", Observer: "observer"}

// String returns the state in lower case, as HTTP and logs show it.
func (s State) String() string {
	if s < Joining || s > Observer {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return stateNames[s]
}

// MarshalText returns the same as String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote; anything else is an error.
func (s *State) UnmarshalText(text []byte) error {
	for state := Joining; state <= Observer; state++ {
		if stateNames[state] == string(text) {
			*s = state
			return nil
		}
	}
	return fmt.Errorf("membership: unknown state %q", text)
}
