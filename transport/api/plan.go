package api

import (
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// Plan says what a change would move. It answers POST /v1/plan. The request is a
// [rebalance.Change], with at most as many entries in all as the server's MaxChanges
// allows.
type Plan struct {
	// Fingerprint identifies the view that the plan starts from.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	// PartitionCount is the number of partitions.
	PartitionCount int `json:"partitionCount"`
	// Slots is the number of replica slots that MoveCount is out of.
	Slots int `json:"slots"`
	// MoveCount is the number of slots that change owner, listed or not.
	MoveCount int `json:"moveCount"`
	// PrimaryChanges is the number of partitions whose primary changes.
	PrimaryChanges int `json:"primaryChanges"`
	// Members are the nodes that gain or lose slots, in ascending order of
	// ID.
	Members []rebalance.NodeChange `json:"members"`
	// Spread is that of the ring the change leads to.
	Spread ring.Spread `json:"spread"`
	// Moves are the moves, ascending by partition; nil when they were not
	// asked for.
	Moves []rebalance.Move `json:"moves,omitzero"`
	// Truncated says that Moves are only the first of MoveCount.
	Truncated bool `json:"truncated,omitempty"`
}
