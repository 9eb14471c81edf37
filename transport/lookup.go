package transport

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/answer"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

// serving returns a view whose ring has owners, or a refusal.
func (h *Handler) serving(w http.ResponseWriter) (route.View, error) {
	view := h.cluster.View()
	if view.Ring.Len() == 0 {
		return route.View{}, wire.NoRing(w)
	}
	return view, nil
}

func (h *Handler) lookup(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	key, given, err := single(values, "key")
	if err != nil {
		return err
	}
	if !given {
		return parameterProblem("key", "parameter %q is missing", "key")
	}
	if p := wire.CheckKey(key); p != nil {
		p.Parameter = "key"
		return p
	}
	near, err := nearOf(values)
	if err != nil {
		return err
	}
	view, err := h.serving(w)
	if err != nil {
		return err
	}
	h.counts.lookups.Add(1)
	placement := answers(view, near).Placement(view.Ring.Lookup(key))
	placement.Key = key
	return wire.WriteJSON(w, r, http.StatusOK, placement)
}

func (h *Handler) partition(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	near, err := nearOf(values)
	if err != nil {
		return err
	}
	text := r.PathValue("id")
	partition, err := strconv.Atoi(text)
	tooLarge := errors.Is(err, strconv.ErrRange)
	// A partition has only one valid notation.
	if err != nil && !tooLarge || err == nil && strconv.Itoa(partition) != text {
		return parameterProblem("id", "partition %s is not a whole number in decimal digits", wire.Brief(text))
	}
	view, err := h.serving(w)
	if err != nil {
		return err
	}
	if tooLarge || !hasPartition(view, partition) {
		return unknownPartition(view, text)
	}
	return wire.WriteJSON(w, r, http.StatusOK, answers(view, near).Placement(view.Ring.Placement(partition)))
}

func hasPartition(view route.View, partition int) bool {
	return partition >= 0 && partition < view.Ring.PartitionCount()
}

// unknownPartition refuses a partition that a view does not have, as the caller wrote it.
func unknownPartition(view route.View, text string) *api.Refusal {
	count := view.Ring.PartitionCount()
	p := wire.New(wire.UnknownPartition, http.StatusNotFound, "there is no partition %s: partitions go from 0 to %d", wire.Brief(text), count-1)
	p.Bound = int64(count)
	return p
}

// answers makes answers of a view.
func answers(view route.View, near *answer.Near) *answer.Maker {
	return &answer.Maker{Ring: view.Ring, Near: near, Find: func(id string) (string, bool) {
		m := memberOf(view, id)
		return m.HTTPAddr, m.State == membership.Away
	}}
}
