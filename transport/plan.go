package transport

import (
	"errors"
	"net/http"
	"strings"

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
	change, err := h.readChange(w, r)
	if err != nil {
		return err
	}
	view, err := h.serving(w)
	if err != nil {
		return err
	}
	_, answer, err := h.planned(r, view, change)
	if refusal, ok := errors.AsType[*api.Refusal](err); ok && refusal.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if err != nil {
		return err
	}
	if !list {
		answer.Moves = nil
	} else if most := h.options.MaxMoves; len(answer.Moves) > most {
		answer.Moves, answer.Truncated = answer.Moves[:most], true
	}
	return wire.WriteJSON(w, r, http.StatusOK, answer)
}

// planned returns the ring after a change, and the plan with all its moves. Its error is a
// refusal.
func (h *Handler) planned(r *http.Request, view route.View, change rebalance.Change) (*ring.Ring, api.Plan, error) {
	// A plan takes about as much time as a new ring. Only one is computed at a time, so
	// that the other processors are left for lookups.
	select {
	case h.planning <- struct{}{}:
		defer func() { <-h.planning }()
	case <-r.Context().Done():
		return nil, api.Plan{}, wire.New(wire.Blank, http.StatusServiceUnavailable, "the request ended while it waited for another plan")
	}
	to, plan, err := rebalance.WhatIf(view.Ring.Target(), change)
	if err != nil {
		return nil, api.Plan{}, h.changeProblem(r, err)
	}
	return to, api.Plan{
		Fingerprint:    view.Fingerprint,
		PartitionCount: plan.Partitions,
		Slots:          plan.Slots,
		MoveCount:      len(plan.Moves),
		PrimaryChanges: plan.PrimaryChanges,
		Members:        plan.Members,
		Spread:         to.Spread(),
		Moves:          plan.Moves,
	}, nil
}

func (h *Handler) readChange(w http.ResponseWriter, r *http.Request) (rebalance.Change, error) {
	var change rebalance.Change
	err := h.readObject(w, r, map[string]any{
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
		p := wire.New(wire.TooManyChanges, http.StatusRequestEntityTooLarge, "the change has %d entries: at most %d", entries, bound)
		p.Bound = int64(bound)
		return rebalance.Change{}, p
	}
	return change, nil
}

// changeProblem returns why a change cannot be made. Errors and panics of the user's
// strategy go to the log, and not to callers.
func (h *Handler) changeProblem(r *http.Request, err error) *api.Refusal {
	if failed, ok := errors.AsType[*ring.StrategyError](err); ok {
		h.logger.WarnContext(r.Context(), "strategy failed on a change that was asked about", "err", err)
		return wire.New(wire.Change, http.StatusUnprocessableEntity, "strategy %q cannot place the nodes that the change leads to; the member's log says why", failed.Strategy)
	}
	return wire.New(wire.Change, http.StatusUnprocessableEntity, "%s", wire.Cut(strings.ReplaceAll(err.Error(), "\n", "; ")))
}
