package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"

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
	turns   *turns // nil: the caller needs none
	begun   bool
	err     error // the first one; nothing is encoded after it
}

func newStream(w http.ResponseWriter, r *http.Request) *stream {
	s := &stream{w: w, r: r}
	s.encoder = wire.NewEncoder(&s.piece)
	return s
}

// value encodes a value. It reports whether to go on.
func (s *stream) value(v any) bool { return s.open(v, "") }

// open encodes a value without its last bytes, closing. It reports whether to go on.
func (s *stream) open(v any, closing string) bool {
	if s.err != nil {
		return false
	}
	if err := s.encoder.Encode(v); err != nil {
		s.err = fmt.Errorf("transport: encoding the answer: %w", err)
		return false
	}
	s.piece.Truncate(s.piece.Len() - len(closing) - len("\n"))
	return s.flush()
}

// text adds text of the document. It reports whether to go on.
func (s *stream) text(t string) bool { return s.encoded([]byte(t)) }

// number adds a whole number. It reports whether to go on.
func (s *stream) number(n int64) bool {
	return s.encoded(strconv.AppendInt(s.piece.AvailableBuffer(), n, 10))
}

// encoded adds bytes of the document. It reports whether to go on.
func (s *stream) encoded(b []byte) bool {
	if s.err != nil {
		return false
	}
	s.piece.Write(b)
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
		s.withoutTurn(func() {
			if _, err := s.w.Write(s.piece.Bytes()); err != nil { //nolint:gosec // JSON that escapes HTML
				s.err = http.ErrAbortHandler
			}
		})
	}
	s.piece.Reset()
}

// withoutTurn writes to the network, which may wait for the reader. Meanwhile another request may
// compute.
func (s *stream) withoutTurn(write func()) {
	if s.turns == nil {
		write()
		return
	}
	s.turns.give()
	// The turn is taken in any case, so that the caller always gives one back. It comes soon: no
	// request waits for the network during its turn.
	defer s.turns.take(context.Background(), sourceOf(s.r))
	write()
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
	s.withoutTurn(func() { wire.Write(s.w, s.r, http.StatusOK, wire.JSON, s.piece.Bytes()) })
	return nil
}

// around encodes a document whose lists of the given names are empty, and returns the
// parts before, between and after the elements of these lists. It comes first, and
// writes nothing.
func (s *stream) around(document any, names ...string) ([]string, error) {
	if err := s.encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("transport: encoding the answer: %w", err)
	}
	rest := strings.TrimSuffix(s.piece.String(), "\n")
	s.piece.Reset()
	parts := make([]string, 0, len(names)+1)
	for _, name := range names {
		// Within a string the quotes would be escaped.
		before, after, found := strings.Cut(rest, `"`+name+`":[]`)
		if !found {
			return nil, fmt.Errorf("transport: encoding the answer: there is no empty list %q", name)
		}
		parts, rest = append(parts, before+`"`+name+`":[`), "]"+after
	}
	return append(parts, rest), nil
}

// elements writes the elements of a list, separated by commas.
func elements[T any](s *stream, all iter.Seq[T]) {
	first := true
	for e := range all {
		if !first && !s.text(",") || !s.value(e) {
			return
		}
		first = false
	}
}

// writeList answers with a document whose list of a name is empty, and has these elements
// instead.
func writeList[T any](w http.ResponseWriter, r *http.Request, document any, name string, all iter.Seq[T]) error {
	s := newStream(w, r)
	parts, err := s.around(document, name)
	if err != nil {
		return err
	}
	s.text(parts[0])
	elements(s, all)
	s.text(parts[1])
	return s.end()
}
