package transport

import (
	"net/http"
	"slices"
	"strings"
)

func (h *Handler) lookupBatch(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	prefer, err := preferenceOf(values)
	if err != nil {
		return err
	}
	var request BatchRequest
	if err := h.readObject(w, r, map[string]any{"keys": &request.Keys}); err != nil {
		return err
	}
	if err := checkKeys(request.Keys, h.options.MaxKeys); err != nil {
		return err
	}
	view, err := h.serving(w)
	if err != nil {
		return err
	}
	h.counts.batchLookups.Add(uint64(len(request.Keys)))
	return writeJSON(w, r, http.StatusOK, jsonContentType, answerBatch(view, prefer, request.Keys))
}

func checkKeys(keys []string, bound int) error {
	if keys == nil {
		return fieldProblem("keys", "field %q is missing", "keys")
	}
	if len(keys) > bound {
		p := problem(ProblemTooManyKeys, http.StatusRequestEntityTooLarge, "the batch has %d keys: at most %d", len(keys), bound)
		p.Bound = int64(bound)
		return p
	}
	for i, key := range keys {
		if p := checkKey(key); p != nil {
			p.Index = &i
			return p
		}
	}
	return nil
}

func answerBatch(view View, prefer preference, keys []string) BatchAnswer {
	b := answerer{view: view, prefer: prefer}
	room := len(keys) * view.Ring.Replicas()
	if b.moving() {
		room += len(keys) * view.Ring.Target().Replicas()
	}
	b.free = make([]Owner, 0, room)

	answer := BatchAnswer{Fingerprint: view.Fingerprint, Results: make([]LookupAnswer, len(keys)), Groups: []Group{}}
	groupOf := make(map[string]int)
	for i, key := range keys {
		result := LookupAnswer{Key: key, PlacementAnswer: b.placement(view.Ring.Lookup(key))}
		answer.Results[i] = result
		g, known := groupOf[result.Primary]
		if !known {
			g = len(answer.Groups)
			groupOf[result.Primary] = g
			answer.Groups = append(answer.Groups, Group{Primary: result.Primary, HTTPAddr: httpAddr(view.Members, result.Primary)})
		}
		answer.Groups[g].Indexes = append(answer.Groups[g].Indexes, i)
	}
	slices.SortFunc(answer.Groups, func(a, b Group) int { return strings.Compare(a.Primary, b.Primary) })
	return answer
}
