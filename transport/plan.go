package transport

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/membership/usercode"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

// plan answers which slots a change would move. If the ring has a target, the plan
// starts from the target, so that a change can name joining members, and their own
// moves are not counted again.
func (h *Handler) plan(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	list, err := flag(values, "moves", true)
	if err != nil {
		return err
	}
	lease := h.lease(r)
	defer lease.end()
	change, err := h.readChange(w, r, lease)
	if err != nil {
		return err
	}
	view, err := h.serving(w)
	if err != nil {
		return err
	}
	most := 0
	if list {
		most = h.options.MaxMoves
	}
	_, answer, err := h.planned(w, r, lease, view, change, most)
	if err != nil {
		return err
	}
	if !list {
		return wire.WriteJSON(w, r, http.StatusOK, answer)
	}
	members, moves := answer.Members, answer.Moves
	answer.Members, answer.Moves = []rebalance.NodeChange{}, []rebalance.Move{}
	s := newStream(w, r)
	parts, err := s.around(answer, "members", "moves")
	if err != nil {
		return err
	}
	s.text(parts[0])
	elements(s, slices.Values(members))
	s.text(parts[1])
	elements(s, slices.Values(moves))
	s.text(parts[2])
	return s.end()
}

const (
	// moveBytes and nodeBytes are what a move of a plan, and a member of it, take in memory.
	moveBytes, nodeBytes = 40, 128
)

// planned returns the nodes after a change with what they own, and the plan with at most so
// many moves; with none, moves is nil. The lease covers the result. The error is a refusal.
func (h *Handler) planned(w http.ResponseWriter, r *http.Request, l *lease, view route.View, change rebalance.Change, most int) ([]api.Node, api.Plan, error) {
	from := view.Ring.Target()
	if err := tooCostly(from, change, h.options.MaxPlanCost); err != nil {
		return nil, api.Plan{}, err
	}
	moves := min(most, from.PartitionCount()*max(1, from.Config().ReplicationFactor))
	kept := int64(moves)*moveBytes + int64(from.Len()+len(change.Add))*nodeBytes
	if err := l.resize(w, l.held+kept); err != nil {
		return nil, api.Plan{}, err
	}
	leave, err := h.plans.enter(r.Context(), l.client)
	if err != nil {
		h.counts.overloaded.Add(1)
		w.Header().Set("Retry-After", "1")
		return nil, api.Plan{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxPlanTime)
	defer cancel()
	nodes, answer, err := awaitPlan(ctx, leave, func() ([]api.Node, api.Plan, error) { return whatIf(ctx, view, change, most) })
	switch {
	case r.Context().Err() != nil:
		w.Header().Set("Retry-After", "1")
		return nil, api.Plan{}, errPlanEnded()
	case ctx.Err() != nil:
		return nil, api.Plan{}, errPlanTooLong()
	case err != nil:
		return nil, api.Plan{}, h.changeProblem(r, err)
	}
	return nodes, answer, l.resize(w, kept)
}

// awaitPlan computes a plan on another goroutine, which the strategy may end. It returns when the context
// ends, also where the strategy does not. It calls leave when the strategy has returned.
func awaitPlan(ctx context.Context, leave func(), compute func() ([]api.Node, api.Plan, error)) (nodes []api.Node, plan api.Plan, err error) {
	type result struct {
		nodes []api.Node
		plan  api.Plan
		err   error
	}
	done := make(chan result, 1)
	var computed result
	go usercode.Run(func() error {
		computed.nodes, computed.plan, computed.err = compute()
		return computed.err
	}, func(err error) {
		computed.err = err
		done <- computed
		leave()
	})
	select {
	case computed := <-done:
		return computed.nodes, computed.plan, computed.err
	case <-ctx.Done():
		return nil, api.Plan{}, ctx.Err()
	}
}

// whatIf computes a plan. It ends early when the context ends.
func whatIf(ctx context.Context, view route.View, change rebalance.Change, most int) ([]api.Node, api.Plan, error) {
	from, err := stoppable(ctx, view.Ring.Target())
	if err != nil {
		return nil, api.Plan{}, err
	}
	to, plan, err := rebalance.WhatIf(from, change)
	if err != nil || ctx.Err() != nil {
		return nil, api.Plan{}, err
	}
	answer := api.Plan{
		Fingerprint:    view.Fingerprint,
		PartitionCount: plan.Partitions,
		Slots:          plan.Slots,
		MoveCount:      len(plan.Moves),
		PrimaryChanges: plan.PrimaryChanges,
		Members:        plan.Members,
		Spread:         to.Spread(),
	}
	if most > 0 { // a copy, so that moves that are not listed are not kept
		answer.Moves = slices.Clone(plan.Moves[:min(most, len(plan.Moves))])
		answer.Truncated = len(plan.Moves) > most
	}
	return summarize(to).Nodes, answer, nil
}

func (h *Handler) readChange(w http.ResponseWriter, r *http.Request, l *lease) (rebalance.Change, error) {
	var change rebalance.Change
	err := h.readObject(w, r, l, h.options.MaxChanges, map[string]any{
		"add":      &change.Add,
		"remove":   &change.Remove,
		"drain":    &change.Drain,
		"rezone":   &change.Rezone,
		"reweight": &change.Reweight,
	})
	if err != nil {
		return rebalance.Change{}, err
	}
	entries := len(change.Add) + len(change.Remove) + len(change.Drain) + len(change.Rezone) + len(change.Reweight)
	if bound := h.options.MaxChanges; entries > bound {
		return rebalance.Change{}, tooManyChanges(entries, bound)
	}
	return change, nil
}

func tooManyChanges(entries, bound int) *api.Refusal {
	p := wire.New(wire.TooManyChanges, http.StatusRequestEntityTooLarge, "the change has %d entries: at most %d", entries, bound)
	p.Bound = int64(bound)
	return p
}

// changeProblem returns why a change cannot be made. Errors and panics of the user's
// strategy go to the log, and not to callers.
func (h *Handler) changeProblem(r *http.Request, err error) *api.Refusal {
	if failed, ok := errors.AsType[*ring.StrategyError](err); ok {
		h.logger.WarnContext(r.Context(), "the strategy failed on the change of a plan", "error", err)
		return wire.New(wire.Change, http.StatusUnprocessableEntity, "strategy %q cannot place the nodes that the change leads to; the member's log says why", failed.Strategy)
	}
	if failed, ok := errors.AsType[*usercode.Error](err); ok {
		h.logger.WarnContext(r.Context(), "the strategy failed on the change of a plan", "error", err, "stack", failed.Stack)
		return wire.New(wire.Change, http.StatusUnprocessableEntity, "the strategy cannot place the nodes that the change leads to; the member's log says why")
	}
	return wire.New(wire.Change, http.StatusUnprocessableEntity, "%s", wire.Cut(strings.ReplaceAll(err.Error(), "\n", "; ")))
}
