package transport

import (
	"net/http"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/answer"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

func (h *Handler) lookupBatch(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	near, err := nearOf(values)
	if err != nil {
		return err
	}
	var keys []string
	if err := h.readObject(w, r, map[string]any{"keys": &keys}); err != nil {
		return err
	}
	if err := checkKeys(keys, h.options.MaxKeys); err != nil {
		return err
	}
	view, err := h.serving(w)
	if err != nil {
		return err
	}
	h.counts.batchLookups.Add(uint64(len(keys)))
	return wire.WriteJSON(w, r, http.StatusOK, answerBatch(view, near, keys))
}

func checkKeys(keys []string, bound int) error {
	if keys == nil {
		return fieldProblem("keys", "field %q is missing", "keys")
	}
	if len(keys) > bound {
		p := wire.New(wire.TooManyKeys, http.StatusRequestEntityTooLarge, "the batch has %d keys: at most %d", len(keys), bound)
		p.Bound = int64(bound)
		return p
	}
	for i, key := range keys {
		if p := wire.CheckKey(key); p != nil {
			p.Index = &i
			return p
		}
	}
	return nil
}

func answerBatch(view route.View, near *answer.Near, keys []string) api.Batch {
	a := answers(view, near)
	a.Reserve(len(keys))
	batch := api.Batch{Fingerprint: view.Fingerprint, Results: make([]api.Placement, len(keys)), Groups: []api.Group{}}
	groupOf := make(map[string]int)
	for i, key := range keys {
		result := a.Placement(view.Ring.Lookup(key))
		result.Key = key
		batch.Results[i] = result
		g, known := groupOf[result.Primary]
		if !known {
			g = len(batch.Groups)
			groupOf[result.Primary] = g
			batch.Groups = append(batch.Groups, api.Group{Primary: result.Primary, HTTPAddr: memberOf(view.Members, result.Primary).HTTPAddr})
		}
		batch.Groups[g].Indexes = append(batch.Groups[g].Indexes, i)
	}
	slices.SortFunc(batch.Groups, func(a, b api.Group) int { return strings.Compare(a.Primary, b.Primary) })
	return batch
}
