package transport

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
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
	prefer, err := preferenceOf(values)
	if err != nil {
		return err
	}
	view, err := h.serving(w)
	if err != nil {
		return err
	}
	h.counts.lookups.Add(1)
	b := answerer{view: view, prefer: prefer}
	answer := b.placement(view.Ring.Lookup(key))
	answer.Key = key
	return wire.WriteJSON(w, r, http.StatusOK, answer)
}

func (h *Handler) partition(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	prefer, err := preferenceOf(values)
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
	if count := view.Ring.PartitionCount(); tooLarge || partition < 0 || partition >= count {
		p := wire.New(wire.UnknownPartition, http.StatusNotFound, "there is no partition %s: partitions go from 0 to %d", wire.Brief(text), count-1)
		p.Bound = int64(count)
		return p
	}
	b := answerer{view: view, prefer: prefer}
	return wire.WriteJSON(w, r, http.StatusOK, b.placement(view.Ring.Placement(partition)))
}

// answerer makes answers from placements of one view.
type answerer struct {
	view   route.View
	prefer preference
	// free is a part of one allocation for the owners of many keys.
	free []api.Owner
}

func (b *answerer) placement(p ring.Placement) api.Placement {
	answer := api.Placement{Partition: p.Partition(), Token: p.Token(), Primary: b.primary(p)}
	if b.moving() {
		answer.Target = b.owners(p.Target())
	}
	if b.prefer.given {
		p = p.Prefer(b.prefer.region, b.prefer.zone)
	}
	answer.Owners = b.owners(p)
	return answer
}

// primary returns the first owner that is not away, or the first one where all are.
func (b *answerer) primary(p ring.Placement) string {
	for _, o := range p.All() {
		if memberOf(b.view.Members, o.ID()).State != membership.Away {
			return o.ID()
		}
	}
	first, _ := p.Primary()
	return first.ID()
}

func (b *answerer) moving() bool { return b.view.Ring.Target() != b.view.Ring }

// owners lists the owners in their order, with owners that are away last.
func (b *answerer) owners(p ring.Placement) []api.Owner {
	if cap(b.free)-len(b.free) < p.Len() {
		b.free = make([]api.Owner, 0, p.Len())
	}
	from := len(b.free)
	var away []api.Owner
	for _, n := range p.All() {
		m := memberOf(b.view.Members, n.ID())
		owner := api.Owner{ID: n.ID(), Region: n.Region(), Zone: n.Zone(), HTTPAddr: m.HTTPAddr}
		if m.State == membership.Away {
			away = append(away, owner)
			continue
		}
		b.free = append(b.free, owner)
	}
	b.free = append(b.free, away...)
	return b.free[from:len(b.free):len(b.free)]
}
