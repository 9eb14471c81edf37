package rebalance

import (
	"errors"
	"fmt"
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// Change is a planned change of membership. The zero value changes nothing. A list may
// name a node once. A node in Add, Remove or Drain may be in no other list.
type Change struct {
	// Add are nodes that join.
	Add []ring.Node `json:"add,omitempty"`
	// Remove are the IDs of nodes that leave or are lost.
	Remove []string `json:"remove,omitempty"`
	// Drain are the IDs of nodes that hand their data over before they leave. The
	// resulting ring and the moves are the same as if they were removed, but the nodes
	// in From are alive and can hand their data over.
	Drain []string `json:"drain,omitempty"`
	// Rezone are nodes that move to another zone.
	Rezone []Rezone `json:"rezone,omitempty"`
	// Reweight are nodes whose weight changes.
	Reweight []Reweight `json:"reweight,omitempty"`
}

// Rezone moves the node with an ID to a zone of a region.
type Rezone struct {
	ID     string `json:"id"`
	Region string `json:"region"`
	Zone   string `json:"zone"`
}

// Reweight gives the node with an ID another weight, 1 to 2^20; zero means 1.
type Reweight struct {
	ID     string `json:"id"`
	Weight int    `json:"weight"`
}

// WhatIf returns the ring after a change, and the plan of the moves. It uses the
// [ring.Config] of the ring r, and does not modify r.
//
// It returns an error that names every ID that the ring lacks or already has, and every
// ID that the change names twice; and the errors of [ring.Build]. It takes as long as
// the strategy does.
func WhatIf(r *ring.Ring, c Change) (to *ring.Ring, plan Plan, err error) {
	nodes, err := c.apply(r.Nodes())
	if err != nil {
		return nil, Plan{}, fmt.Errorf("rebalance: what if: %w", err)
	}
	to, err = ring.Rebuild(r, r.Config(), nodes)
	if err != nil {
		return nil, Plan{}, fmt.Errorf("rebalance: what if: %w", err)
	}
	plan, err = Diff(r, to)
	return to, plan, err
}

// apply returns the nodes after the change. It modifies its argument.
func (c Change) apply(nodes []ring.Node) ([]ring.Node, error) {
	if err := c.check(nodes); err != nil {
		return nil, err
	}
	index := make(map[string]int, len(nodes))
	for i, n := range nodes {
		index[n.ID] = i
	}
	for _, z := range c.Rezone {
		n := &nodes[index[z.ID]]
		n.Region, n.Zone = z.Region, z.Zone
	}
	for _, w := range c.Reweight {
		nodes[index[w.ID]].Weight = w.Weight
	}
	gone := make(map[string]bool, len(c.Remove)+len(c.Drain))
	for _, id := range slices.Concat(c.Remove, c.Drain) {
		gone[id] = true
	}
	nodes = slices.DeleteFunc(nodes, func(n ring.Node) bool { return gone[n.ID] })
	return append(nodes, c.Add...), nil
}

// check returns an error for every ID that the ring lacks or already has, or that is
// named twice.
func (c Change) check(nodes []ring.Node) error {
	var errs []error
	known := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		known[n.ID] = true
	}
	moved := make(map[string]string) // for each ID, the list that adds, removes or drains it
	place := func(list, id string) {
		if other, ok := moved[id]; ok {
			errs = append(errs, fmt.Errorf("%s: node %q is listed in %s already", list, id, other))
			return
		}
		moved[id] = list
		if list == "Add" && known[id] {
			errs = append(errs, fmt.Errorf("%s: node %q is in the ring already", list, id))
		} else if list != "Add" && !known[id] {
			errs = append(errs, fmt.Errorf("%s: node %q is not in the ring", list, id))
		}
	}
	for _, n := range c.Add {
		place("Add", n.ID)
	}
	for _, id := range c.Remove {
		place("Remove", id)
	}
	for _, id := range c.Drain {
		place("Drain", id)
	}
	edit := func(list, id string, seen map[string]bool) {
		switch {
		case moved[id] != "":
			errs = append(errs, fmt.Errorf("%s: node %q is listed in %s already", list, id, moved[id]))
		case seen[id]:
			errs = append(errs, fmt.Errorf("%s: node %q is listed in %s already", list, id, list))
		case !known[id]:
			errs = append(errs, fmt.Errorf("%s: node %q is not in the ring", list, id))
		}
		seen[id] = true
	}
	rezoned, reweighted := make(map[string]bool), make(map[string]bool)
	for _, z := range c.Rezone {
		edit("Rezone", z.ID, rezoned)
	}
	for _, w := range c.Reweight {
		edit("Reweight", w.ID, reweighted)
	}
	return errors.Join(errs...)
}
