package transport

import (
	"cmp"
	"iter"
	"net/http"
	"net/url"
	"slices"

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
	ids, err := onlyIDs(values)
	if err != nil {
		return err
	}
	lease := h.lease(r)
	defer lease.end()
	var keys keyList
	if err := h.readObject(w, r, lease, 1, map[string]any{"keys": &keys}); err != nil {
		return err
	}
	if err := checkKeys(keys, h.options.MaxKeys); err != nil {
		return err
	}
	view, err := h.serving(w)
	if err != nil {
		return err
	}
	// Until the answer is read, the keys stay, and two numbers for each.
	kept := int64(4 * pieceBytes)
	for _, key := range keys {
		kept += int64(len(key)) + 32
	}
	if err := lease.resize(w, kept); err != nil {
		return err
	}
	h.counts.batchLookups.Add(uint64(len(keys)))
	if !h.turns.take(r.Context(), sourceOf(r)) {
		return http.ErrAbortHandler
	}
	defer h.turns.give()
	return h.answerBatch(w, r, view, near, keys, ids)
}

// onlyIDs reads the parameter owners: whether an answer names owners by their IDs alone.
func onlyIDs(values url.Values) (bool, error) {
	value, given, err := single(values, "owners")
	if err == nil && given && value != "ids" && value != "members" {
		err = parameterProblem("owners", "parameter %q is %s: must be ids or members", "owners", wire.Brief(value))
	}
	return value == "ids", err
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
			at := i // allocated for a refusal alone
			p.Index = &at
			return p
		}
	}
	return nil
}

// keysAtOnce is for how many keys of a batch the owners are allocated together.
const keysAtOnce = 32

// answerBatch writes an [api.Batch], or an [api.BatchIDs]. Only a part of it is in memory at a time. The
// caller has a turn.
func (h *Handler) answerBatch(w http.ResponseWriter, r *http.Request, view route.View, near *answer.Near, keys []string, ids bool) error {
	s := newStream(w, r)
	s.turns = h.turns
	parts, err := s.around(api.Batch{Fingerprint: view.Fingerprint, Results: []api.Placement{}, Groups: []api.Group{}}, "results", "groups")
	if err != nil {
		return err
	}
	s.text(parts[0])
	a := answers(view, near)
	grouped := newGrouping(len(keys))
	text := newBatchText(ids)
	var result api.Placement
	for i, key := range keys {
		if i%keysAtOnce == 0 {
			a.Reserve(min(keysAtOnce, len(keys)-i))
		}
		result = a.Placement(view.Ring.Lookup(key))
		result.Key = key
		if grouped.add(i, result.Primary) {
			grouped.last().HTTPAddr = memberOf(view, result.Primary).HTTPAddr
		}
		if i > 0 {
			s.text(",")
		}
		if !s.encoded(text.append(s.piece.AvailableBuffer(), &result)) {
			return s.end()
		}
	}
	s.text(parts[1])
	first := true
	for group, indexes := range grouped.all() {
		if !first {
			s.text(",")
		}
		first = false
		s.open(group, "]}") // the list of indexes is empty here, and is written below
		for n, i := range indexes {
			if n > 0 {
				s.text(",")
			}
			if !s.number(int64(i)) {
				return s.end()
			}
		}
		s.text("]}")
	}
	s.text(parts[2])
	return s.end()
}

// grouping groups the keys of a batch by their primary.
type grouping struct {
	groups []api.Group      // without indexes
	number map[string]int32 // by primary: the index in groups
	of     []int32          // by key: the index in groups
}

func newGrouping(keys int) *grouping {
	return &grouping{number: make(map[string]int32), of: make([]int32, keys)}
}

// add puts the i-th key into the group of a primary, and reports whether that group is new.
func (g *grouping) add(i int, primary string) (anew bool) {
	number, known := g.number[primary]
	if !known {
		number = int32(len(g.groups))
		g.number[primary] = number
		g.groups = append(g.groups, api.Group{Primary: primary, Indexes: []int{}})
	}
	g.of[i] = number
	return !known
}

// last returns the newest group.
func (g *grouping) last() *api.Group { return &g.groups[len(g.groups)-1] }

// all returns the groups in ascending order of their primaries, each with the indexes of its keys in
// ascending order.
func (g *grouping) all() iter.Seq2[*api.Group, []int32] {
	order := make([]int32, len(g.of))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int {
		return cmp.Or(cmp.Compare(g.groups[g.of[i]].Primary, g.groups[g.of[j]].Primary), cmp.Compare(i, j))
	})
	return func(yield func(*api.Group, []int32) bool) {
		for len(order) > 0 {
			number := g.of[order[0]]
			end := slices.IndexFunc(order, func(i int32) bool { return g.of[i] != number })
			if end < 0 {
				end = len(order)
			}
			if !yield(&g.groups[number], order[:end]) {
				return
			}
			order = order[end:]
		}
	}
}
