package transport

import (
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// PlanRequest is the body of POST /v1/plan: a [rebalance.Change], as many
// entries in all as [HandlerOptions.MaxChanges] allows. A field left out changes
// nothing.
type PlanRequest struct {
	// Add are nodes that join.
	Add []PlanNode `json:"add,omitempty"`
	// Remove are the IDs of nodes that leave or are lost.
	Remove []string `json:"remove,omitempty"`
	// Drain are the IDs of nodes that are emptied before they leave.
	Drain []string `json:"drain,omitempty"`
	// Rezone are nodes that move to another zone.
	Rezone []rebalance.Rezone `json:"rezone,omitempty"`
	// Reweight are nodes whose weight changes.
	Reweight []rebalance.Reweight `json:"reweight,omitempty"`
}

// PlanNode is a [ring.Node] to add, within the same bounds.
type PlanNode struct {
	// ID is its NodeID. Required.
	ID string `json:"id"`
	// Region and Zone say where it would run.
	Region string `json:"region,omitempty"`
	Zone   string `json:"zone,omitempty"`
	// Weight is the share of partitions it would ask for. Zero means 1.
	Weight int `json:"weight,omitempty"`
}

// PlanAnswer says what a change would move. It answers POST /v1/plan.
type PlanAnswer struct {
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
	Members []rebalance.MemberChange `json:"members"`
	// Spread is that of the ring the change leads to.
	Spread SpreadInfo `json:"spread"`
	// Moves are the moves, ascending by partition; nil when they were not
	// asked for.
	Moves []rebalance.Move `json:"moves,omitzero"`
	// Truncated says that Moves are only the first of MoveCount.
	Truncated bool `json:"truncated,omitempty"`
}
