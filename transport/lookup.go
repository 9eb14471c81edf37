package transport

import (
	"errors"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/clusterkit/clusterkit/ring"
)

// serving returns a view whose ring has owners, or refuses.
func (h *Handler) serving(w http.ResponseWriter) (View, error) {
	view := h.cluster.View()
	if view.Ring.Len() == 0 {
		w.Header().Set("Retry-After", "1")
		return View{}, problem(ProblemNoRing, http.StatusServiceUnavailable, "no member is known to own anything yet: try again, or ask another member")
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
	if p := checkKey(key); p != nil {
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
	return writeJSON(w, r, http.StatusOK, jsonContentType, LookupAnswer{Key: key, PlacementAnswer: b.placement(view.Ring.Lookup(key))})
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
	// Of the ways to write a number only one is a partition's name.
	if err != nil && !tooLarge || err == nil && strconv.Itoa(partition) != text {
		return parameterProblem("id", "partition %s is not a whole number in decimal digits", brief(text))
	}
	view, err := h.serving(w)
	if err != nil {
		return err
	}
	if count := view.Ring.PartitionCount(); tooLarge || partition < 0 || partition >= count {
		p := problem(ProblemUnknownPartition, http.StatusNotFound, "there is no partition %s: partitions go from 0 to %d", brief(text), count-1)
		p.Bound = int64(count)
		return p
	}
	b := answerer{view: view, prefer: prefer}
	return writeJSON(w, r, http.StatusOK, jsonContentType, b.placement(view.Ring.Placement(partition)))
}

// checkKey returns what is wrong with a key, or nil.
func checkKey(key string) *ProblemDetails {
	switch {
	case key == "":
		return problem(ProblemKey, http.StatusBadRequest, "the key is empty")
	case len(key) > MaxKeyBytes:
		p := problem(ProblemKey, http.StatusBadRequest, "the key has %d bytes: at most %d", len(key), MaxKeyBytes)
		p.Bound = MaxKeyBytes
		return p
	case !utf8.ValidString(key):
		// JSON could not repeat it, and a batch could not ask for it.
		return problem(ProblemKey, http.StatusBadRequest, "the key is not UTF-8: encode it, for example as base64")
	default:
		return nil
	}
}

// answerer turns placements of one view into answers.
type answerer struct {
	view   View
	prefer preference
	// free is room for owners that was allocated in one piece for many.
	free []Owner
}

func (b *answerer) placement(p ring.Placement) PlacementAnswer {
	primary, _ := p.Primary()
	answer := PlacementAnswer{Partition: p.Partition(), Token: p.Token(), Primary: primary.ID()}
	if b.moving() {
		answer.Target = b.owners(p.Target())
	}
	if b.prefer.given {
		p = p.Prefer(b.prefer.region, b.prefer.zone)
	}
	answer.Owners = b.owners(p)
	return answer
}

func (b *answerer) moving() bool { return b.view.Ring.Target() != b.view.Ring }

func (b *answerer) owners(p ring.Placement) []Owner {
	if cap(b.free)-len(b.free) < p.Len() {
		b.free = make([]Owner, 0, p.Len())
	}
	from := len(b.free)
	for _, n := range p.All() {
		b.free = append(b.free, Owner{ID: n.ID(), Region: n.Region(), Zone: n.Zone(), HTTPAddr: httpAddr(b.view.Members, n.ID())})
	}
	return b.free[from:len(b.free):len(b.free)]
}
