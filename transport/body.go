package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// readObject reads a body that is one JSON object with the named fields, and stores
// each field through its pointer. It refuses other fields, fields given twice, and text
// that is not valid Unicode: if a field or a key were silently dropped or altered, the
// answer would be wrong.
//
// The lease covers the body while it arrives, and then what the fields take in memory.
// The fields may have up to maxObjects objects.
func (h *Handler) readObject(w http.ResponseWriter, r *http.Request, l *lease, maxObjects int, fields map[string]any) error {
	body, err := h.readBody(w, r, l)
	if err != nil {
		return err
	}
	if !h.turns.take(r.Context(), sourceOf(r)) {
		return http.ErrAbortHandler
	}
	defer h.turns.give()
	commas, objects := shape(body)
	if maxObjects > 1 && objects > maxObjects+1 { // the body is an object too
		return tooManyChanges(objects-1, maxObjects)
	}
	objects = min(objects, maxObjects+1)
	if err := l.resize(w, 2*int64(len(body))+elementBytes*int64(commas)+objectBytes*int64(objects)); err != nil {
		return err
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return bodyProblem(err)
	}
	if !utf8.Valid(body) || halfSurrogate(body) {
		return wire.New(wire.Body, http.StatusBadRequest, "the body holds text that is not Unicode")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return wire.New(wire.Body, http.StatusBadRequest, "the body must be a JSON object")
	}
	var seen []string
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return bodyProblem(err)
		}
		name, _ := token.(string)
		into, known := fields[name]
		if !known {
			return wire.New(wire.Body, http.StatusBadRequest, "the body has an unknown field %s", wire.Brief(name))
		}
		if slices.Contains(seen, name) {
			return fieldProblem(name, "field %q is given twice", name)
		}
		seen = append(seen, name)
		if err := dec.Decode(into); err != nil {
			return bodyProblem(err)
		}
	}
	if name, twice := givenTwice(body, objects); twice {
		return fieldProblem(wire.Cut(name), "field %s is given twice", wire.Brief(name))
	}
	return nil
}

// givenTwice returns the name of a field that an object within a body has twice. Package json would take the last
// one, and does not tell upper case from lower case. The body was decoded, so all names in it are known.
func givenTwice(body []byte, objects int) (name string, twice bool) {
	if objects < 2 { // the names of the outer one were checked
		return "", false
	}
	type level struct {
		object, value bool     // the value is an object; a value comes next
		names         []string // the names read so far of an object
	}
	var open []level
	dec := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := dec.Token()
		if err != nil { // the end
			return "", false
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 && open[len(open)-1].object {
			within := &open[len(open)-1]
			if within.value = !within.value; within.value {
				name, _ := token.(string)
				if slices.ContainsFunc(within.names, func(other string) bool { return strings.EqualFold(name, other) }) {
					return name, true
				}
				within.names = append(within.names, name)
				continue
			}
		}
		if delim, ok := token.(json.Delim); ok {
			open = append(open, level{object: delim == '{'})
		}
	}
}

// elementBytes and objectBytes are what an element of a list and an object may take in
// memory when they are decoded, with room for lists that grow.
const (
	elementBytes = 40
	objectBytes  = 240
)

// shape counts the commas and the objects of a JSON text. They bound how much memory
// decoding takes.
func shape(body []byte) (commas, objects int) {
	within := false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			within = !within
		case within && c == '\\':
			i++
		case !within && c == ',':
			commas++
		case !within && c == '{':
			objects++
		}
	}
	return commas, objects
}

// readBody returns the body. It refuses a body that is not declared as JSON, or is too
// long. The lease grows with what has arrived.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, l *lease) ([]byte, error) {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := parameters["charset"]; err != nil || kind != wire.JSON || charset != "" && !strings.EqualFold(charset, "utf-8") {
		w.Header().Set("Accept", wire.JSON)
		return nil, wire.New(wire.Blank, http.StatusUnsupportedMediaType, "the content type is %s: must be %s in UTF-8", wire.Brief(r.Header.Get("Content-Type")), wire.JSON)
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		w.Header().Set("Accept-Encoding", "identity")
		return nil, wire.New(wire.Blank, http.StatusUnsupportedMediaType, "the content encoding is %s: must be none", wire.Brief(encoding))
	}
	return h.readBytes(w, r, l, h.options.MaxBodyBytes)
}

// readBytes returns the body. It refuses a body that is longer than the bound.
func (h *Handler) readBytes(w http.ResponseWriter, r *http.Request, l *lease, bound int64) ([]byte, error) {
	if r.ContentLength > bound {
		return nil, tooLarge(w, bound)
	}
	body, err := readAll(w, http.MaxBytesReader(w, r.Body, bound), l)
	refusal, refused := errors.AsType[*api.Refusal](err)
	switch {
	case err == nil:
		return body, nil
	case refused:
		w.Header().Set("Connection", "close") // so that the rest is not read
		return nil, refusal
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, tooLarge(w, bound)
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		return nil, wire.New(wire.Blank, http.StatusRequestTimeout, "the body did not arrive in time")
	default:
		return nil, wire.New(wire.Body, http.StatusBadRequest, "the body could not be read to its end")
	}
}

// readAll is [io.ReadAll] with a lease on the buffer.
func readAll(w http.ResponseWriter, from io.Reader, l *lease) ([]byte, error) {
	var body []byte
	for {
		if len(body) == cap(body) {
			larger := max(2*cap(body), 512)
			if err := l.resize(w, int64(larger)); err != nil {
				return nil, err
			}
			body = slices.Grow(body, larger-len(body))
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		} else if err != nil {
			return nil, err
		}
	}
}

func tooLarge(w http.ResponseWriter, bound int64) *api.Refusal {
	w.Header().Set("Connection", "close") // so that the rest is not read
	p := wire.New(wire.BodyTooLarge, http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", bound)
	p.Bound = bound
	return p
}

// halfSurrogate reports whether valid JSON escapes one half of a UTF-16
// surrogate pair without the other. Package json would read it as U+FFFD.
func halfSurrogate(body []byte) bool {
	for {
		i := bytes.IndexByte(body, '\\')
		if i < 0 {
			return false
		}
		switch unit := escaped(body[i:]); {
		case unit < 0:
			body = body[i+2:]
		case unit >= 0xDC00 && unit < 0xE000:
			return true
		case unit >= 0xD800 && unit < 0xDC00:
			if low := escaped(body[i+6:]); low < 0xDC00 || low >= 0xE000 {
				return true
			}
			body = body[i+12:]
		default:
			body = body[i+6:]
		}
	}
}

// escaped returns the UTF-16 code unit that text begins with as \uXXXX, or -1.
func escaped(text []byte) int {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int(unit)
}

func bodyProblem(err error) *api.Refusal {
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return wire.New(wire.Body, http.StatusBadRequest, "the body has a value of the wrong kind: want %s, got %s", jsonKind(mistyped), wire.Cut(mistyped.Value))
	}
	return wire.New(wire.Body, http.StatusBadRequest, "the body is not the JSON expected: %s", wire.Cut(strings.TrimPrefix(err.Error(), "json: ")))
}

// jsonKind returns the JSON name of an expected Go type.
func jsonKind(e *json.UnmarshalTypeError) string {
	switch kind := e.Type.Kind().String(); kind {
	case "slice", "array":
		return "a list"
	case "struct", "map":
		return "an object"
	case "int", "int64", "uint64":
		return "a whole number"
	default:
		return "a " + kind
	}
}

func fieldProblem(name, format string, args ...any) *api.Refusal {
	p := wire.New(wire.Body, http.StatusBadRequest, format, args...)
	p.Parameter = name
	return p
}
