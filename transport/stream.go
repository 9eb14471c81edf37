package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// pieceBytes is how much of a long answer is encoded before it is written. A slow reader
// holds no more of the answer than about this.
const pieceBytes = 4 << 10

// stream writes one JSON document in pieces. It encodes no further while the reader is
// slow, and nothing after the request has ended. A document that fits into one piece is
// answered with its length.
type stream struct {
	w       http.ResponseWriter
	r       *http.Request
	piece   bytes.Buffer
	encoder *json.Encoder
	begun   bool
	err     error // the first one; nothing is encoded after it
}

func newStream(w http.ResponseWriter, r *http.Request) *stream {
	s := &stream{w: w, r: r}
	s.encoder = json.NewEncoder(&s.piece)
	s.encoder.SetEscapeHTML(false) // nosniff keeps browsers from reading the answer as HTML
	return s
}

// value encodes a value. It reports whether to go on.
func (s *stream) value(v any) bool {
	if s.err != nil {
		return false
	}
	if err := s.encoder.Encode(v); err != nil {
		s.err = fmt.Errorf("transport: encoding the answer: %w", err)
		return false
	}
	s.piece.Truncate(s.piece.Len() - 1) // the line break
	return s.flush()
}

// text adds text of the document. It reports whether to go on.
func (s *stream) text(t []byte) bool {
	if s.err != nil {
		return false
	}
	s.piece.Write(t)
	return s.flush()
}

// flush writes the piece if it is long enough.
func (s *stream) flush() bool {
	if s.piece.Len() < pieceBytes {
		return true
	}
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", wire.JSON)
		s.w.WriteHeader(http.StatusOK)
	}
	s.send()
	return s.err == nil
}

func (s *stream) send() {
	if s.r.Context().Err() != nil {
		s.err = http.ErrAbortHandler // nobody reads the rest
		return
	}
	if s.r.Method != http.MethodHead {
		if _, err := s.w.Write(s.piece.Bytes()); err != nil {
			s.err = http.ErrAbortHandler
		}
	}
	s.piece.Reset()
}

// end ends the document. Its error is nil, or [http.ErrAbortHandler] where the answer
// could not be completed, or why nothing was answered.
func (s *stream) end() error {
	switch {
	case s.err != nil && s.begun:
		return http.ErrAbortHandler // a cut-off answer must not look like a complete one
	case s.err != nil:
		return s.err
	}
	s.piece.WriteByte('\n')
	if s.begun {
		s.send()
		return s.err
	}
	wire.Write(s.w, s.r, http.StatusOK, wire.JSON, s.piece.Bytes())
	return nil
}

// around encodes a document whose lists of the given names are empty, and returns the
// parts before, between and after the elements of these lists.
func around(document any, names ...string) ([][]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("transport: encoding the answer: %w", err)
	}
	rest := bytes.TrimSuffix(body.Bytes(), []byte("\n"))
	parts := make([][]byte, 0, len(names)+1)
	for _, name := range names {
		// Within a string the quotes would be escaped.
		at := bytes.Index(rest, []byte(`"`+name+`":[]`))
		if at < 0 {
			return nil, fmt.Errorf("transport: encoding the answer: there is no empty list %q", name)
		}
		at += len(name) + len(`"":[`)
		parts, rest = append(parts, rest[:at]), rest[at:]
	}
	return append(parts, rest), nil
}

// elements writes the elements of a list, separated by commas.
func elements[T any](s *stream, all iter.Seq[T]) {
	first := true
	for e := range all {
		if !first && !s.text([]byte{','}) || !s.value(e) {
			return
		}
		first = false
	}
}

// writeList answers with a document whose list of a name is empty, and has these elements
// instead.
func writeList[T any](w http.ResponseWriter, r *http.Request, document any, name string, all iter.Seq[T]) error {
	parts, err := around(document, name)
	if err != nil {
		return err
	}
	s := newStream(w, r)
	s.text(parts[0])
	elements(s, all)
	s.text(parts[1])
	return s.end()
}
