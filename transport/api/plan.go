package api

import (
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// Plan says which slots a change would move. It is the answer of POST /v1/plan. The
// request is a [rebalance.Change], whose lists together have at most as many entries as
// the server's MaxChanges allows.
type Plan struct {
	// Fingerprint identifies the view that the plan starts from.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// PartitionCount is the number of partitions.
	PartitionCount int `json:"partitionCount"`
	// Slots is the number of all replica slots. The share that moves is MoveCount /
	// Slots.
	Slots int `json:"slots"`
	// MoveCount is the number of slots that change owner, also where Moves does not
	// list them.
	MoveCount int `json:"moveCount"`
	// PrimaryChanges is the number of partitions whose primary changes.
	PrimaryChanges int `json:"primaryChanges"`
	// Members are the nodes that gain or lose slots, in ascending order of
	// ID.
	Members []rebalance.NodeChange `json:"members"`
	// Spread is that of the ring after the change.
	Spread ring.Spread `json:"spread"`
	// Moves are the moves, ascending by partition. It is nil if the request did not ask
	// for them.
	Moves []rebalance.Move `json:"moves,omitzero"`
	// Truncated says that Moves has only the first of MoveCount moves.
	Truncated bool `json:"truncated,omitempty"`
}
