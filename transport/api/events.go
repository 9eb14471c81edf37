package api

import (
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// Events are the last events of one member, at most 256, the oldest first. It is the
// answer of GET /v1/events. To a request that accepts text/event-stream the same route sends
// each Event as the data of a server-sent event, with its ID and its Kind.
type Events struct {
	// ClusterName and NodeID say which member answered.
	ClusterName string `json:"clusterName"`
	NodeID      string `json:"nodeId"`
	// Events are the events; never null.
	Events []Event `json:"events"`
}

// Event is one change, as one member learned of it. Only the fields that belong to its
// Kind are set.
type Event struct {
	// ID identifies the event among those of this process. It is the ID to name in the
	// header Last-Event-ID, so that a stream goes on after the event.
	ID string `json:"id"`
	// Kind is the name of a cluster.EventKind, such as "member-failed". Later versions
	// may have further kinds.
	Kind string `json:"kind"`
	// At is when the process learned of the change, by its own clock, in UTC.
	At time.Time `json:"at"`
	// Text describes the event for people, in one line.
	Text string `json:"text"`
	// Member is the NodeID of the member that changed.
	Member string `json:"member,omitempty"`
	// Before and After are the names of its states. Before is empty if the member
	// appeared, and After if it is gone.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Fingerprint is that of the new view, for a change of the ring.
	Fingerprint *ring.Fingerprint `json:"fingerprint,omitempty"`
	// Health is the new health, for a change of it.
	Health *EventHealth `json:"health,omitempty"`
	// Handoff is how far the member is with moving partitions, for an event of handoff.
	Handoff *HandoffState `json:"handoff,omitempty"`
}

// EventHealth is the part of [Health] that events tell.
type EventHealth struct {
	// Ready and Healthy are those of [Health].
	Ready   bool `json:"ready"`
	Healthy bool `json:"healthy"`
	// Problems are the present problems; never null.
	Problems []Problem `json:"problems"`
}
