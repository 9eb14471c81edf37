// Package wire writes the documents and refusals of package api, with types and titles.
// The handler, the guard and the router decide which document or refusal to write.
package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/clusterkit/clusterkit/transport/api"
)

// The media types of documents, of refusals (RFC 9457), of the binary form of the whole
// table, and of server-sent events.
const (
	JSON        = "application/json"
	ProblemJSON = "application/problem+json"
	Table       = "application/vnd.clusterkit.table"
	EventStream = "text/event-stream"
)

// Headers between routers. None of them is for users.
const (
	// ForwardedHeader marks a request that a router has forwarded: from which member
	// to which process, for which partition, and with which number.
	ForwardedHeader = "Clusterkit-Forwarded"
	// AnsweredHeader is in the answer of the handler to a forwarded request, and
	// RefusedHeader in the router's own answer of 421. Both return the number of the
	// request. The sender removes AnsweredHeader.
	AnsweredHeader = "Clusterkit-Answered"
	RefusedHeader  = "Clusterkit-Refused"
)

// WriteJSON encodes a document and then writes it. So when the document cannot be
// encoded, another answer can still be written. If the caller is gone, WriteJSON
// returns no error.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, document any) error {
	return encode(w, r, status, JSON, document)
}

func encode(w http.ResponseWriter, r *http.Request, status int, contentType string, document any) error {
	var body bytes.Buffer
	if err := NewEncoder(&body).Encode(document); err != nil {
		return fmt.Errorf("transport: encoding the answer: %w", err)
	}
	Write(w, r, status, contentType, body.Bytes())
	return nil
}

// NewEncoder returns an encoder for the JSON of answers.
func NewEncoder(w io.Writer) *json.Encoder {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // nosniff keeps browsers from reading the answer as HTML
	return encoder
}

// Write answers a request. A HEAD gets the headers alone.
func Write(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// Refuse answers a request with a refusal. It fills in empty fields: Status becomes
// 500, Type about:blank, and Title the name of the status.
func Refuse(w http.ResponseWriter, r *http.Request, p *api.Refusal) {
	full := *p
	full.Status = cmp.Or(full.Status, http.StatusInternalServerError)
	full.Type = cmp.Or(full.Type, Blank)
	full.Title = cmp.Or(full.Title, Title(full.Type, full.Status))
	// Strings and integers can always be encoded.
	_ = encode(w, r, full.Status, ProblemJSON, &full)
}

// IsUpgrade reports whether a request asks for another protocol, such as WebSocket. A proxy may
// add "Connection: upgrade" to every request, and a caller may offer h2c with every request,
// which servers ignore. Such a request is like any other.
func IsUpgrade(r *http.Request) bool {
	protocols := r.Header["Upgrade"]
	if len(protocols) == 0 || len(protocols) == 1 && (protocols[0] == "" || strings.EqualFold(protocols[0], "h2c")) {
		return false
	}
	for _, value := range r.Header["Connection"] {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return false
}
