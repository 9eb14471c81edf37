package rebalance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/ring"
)

// Plan lists the changes between two rings, partition by partition, in a fixed order:
// equal pairs of rings give equal plans.
type Plan struct {
	// Partitions is the number of partitions of the rings.
	Partitions int `json:"partitions"`
	// Slots is the number of replica slots, partitions times owners, of the ring that
	// has more. The share of slots that move is len(Moves) / Slots.
	Slots int `json:"slots"`
	// PrimaryChanges is the number of partitions whose primary changes,
	// whether or not the set of their owners does.
	PrimaryChanges int `json:"primaryChanges"`
	// Moves are the slots that change owner, ascending by partition. They
	// are never nil.
	Moves []Move `json:"moves"`
	// Members are the nodes that gain or lose slots, ascending by ID. They
	// are never nil.
	Members []NodeChange `json:"members"`
}

// Move is one replica slot that changes owner. The data of the partition can be copied
// from From or from any other owner.
type Move struct {
	Partition int `json:"partition"`
	// From is the ID of the node that gives the slot up. It is empty when the partition
	// gains an owner and loses none.
	From string `json:"from,omitempty"`
	// To is the ID of the node that takes the slot. It is empty when the partition
	// loses an owner and gains none.
	To string `json:"to,omitempty"`
}

// NodeChange is the number of slots that the node with an ID gains and loses. Neither
// is negative.
type NodeChange struct {
	ID     string `json:"id"`
	Gained int    `json:"gained"`
	Lost   int    `json:"lost"`
}

// Empty reports whether nothing changes: no slot moves, and every primary stays.
func (p Plan) Empty() bool { return len(p.Moves) == 0 && p.PrimaryChanges == 0 }

// Diff returns the changes from one ring's table to another's. It ignores the targets of the
// rings. Within a partition, each lost owner is paired with a gained owner: one of the same
// zone if there is one, otherwise one of the same region, otherwise any.
//
// Diff returns an error when the rings have different numbers of partitions. A nil or
// zero ring is compared with any ring. A ring without nodes has no owners, so every
// slot of the other ring moves. Diff takes time in proportion to the slots, and is safe
// for concurrent use.
func Diff(from, to *ring.Ring) (Plan, error) {
	partitions := max(from.PartitionCount(), to.PartitionCount())
	if least := min(from.PartitionCount(), to.PartitionCount()); least > 0 && least != partitions {
		return Plan{}, fmt.Errorf("rebalance: comparing rings of %d and %d partitions: a cluster's partition count is fixed", from.PartitionCount(), to.PartitionCount())
	}
	plan := Plan{
		Partitions: partitions,
		Slots:      partitions * max(from.Replicas(), to.Replicas()),
		Moves:      []Move{},
		Members:    []NodeChange{},
	}
	var d differ
	for p := range partitions {
		before, after := from.Placement(p), to.Placement(p)
		if primary(before) != primary(after) {
			plan.PrimaryChanges++
		}
		plan.Moves = d.moves(plan.Moves, p, before, after)
	}
	plan.Members = tally(plan.Members, plan.Moves)
	return plan, nil
}

// primary returns the ID of the primary, and "" when there is none.
func primary(p ring.Placement) string {
	n, _ := p.Primary()
	return n.ID()
}

// differ holds buffers that are used again for each partition.
type differ struct {
	lost, gained []ring.Node
}

// moves appends the moves of one partition.
func (d *differ) moves(moves []Move, partition int, before, after ring.Placement) []Move {
	d.lost = missing(d.lost[:0], before, after)
	d.gained = missing(d.gained[:0], after, before)
	for _, near := range []func(a, b ring.Node) bool{sameZone, sameRegion, anywhere} {
		for i := 0; i < len(d.gained); {
			j := slices.IndexFunc(d.lost, func(n ring.Node) bool { return near(n, d.gained[i]) })
			if j < 0 {
				i++
				continue
			}
			moves = append(moves, Move{partition, d.lost[j].ID, d.gained[i].ID})
			d.lost = slices.Delete(d.lost, j, j+1)
			d.gained = slices.Delete(d.gained, i, i+1)
		}
	}
	for _, n := range d.lost {
		moves = append(moves, Move{Partition: partition, From: n.ID})
	}
	for _, n := range d.gained {
		moves = append(moves, Move{Partition: partition, To: n.ID})
	}
	return moves
}

// missing appends the owners of one placement that are no owners in another.
func missing(nodes []ring.Node, of, in ring.Placement) []ring.Node {
	for i := range of.Len() {
		n := of.At(i)
		if i < in.Len() && in.At(i).ID() == n.ID() || in.Owns(n.ID()) {
			continue
		}
		nodes = append(nodes, n.Node())
	}
	return nodes
}

func sameZone(a, b ring.Node) bool   { return a.Region == b.Region && a.Zone == b.Zone }
func sameRegion(a, b ring.Node) bool { return a.Region == b.Region }
func anywhere(_, _ ring.Node) bool   { return true }

// tally appends the change of each node, in order of ID.
func tally(members []NodeChange, moves []Move) []NodeChange {
	index := make(map[string]int)
	count := func(id string) *NodeChange {
		i, ok := index[id]
		if !ok {
			i = len(members)
			index[id] = i
			members = append(members, NodeChange{ID: id})
		}
		return &members[i]
	}
	for _, m := range moves {
		if m.From != "" {
			count(m.From).Lost++
		}
		if m.To != "" {
			count(m.To).Gained++
		}
	}
	slices.SortFunc(members, func(a, b NodeChange) int { return strings.Compare(a.ID, b.ID) })
	return members
}
