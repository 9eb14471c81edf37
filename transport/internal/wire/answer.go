// Package wire writes what package api describes: documents, and refusals with their
// types and titles. It decides nothing: which document or refusal is written, the handler,
// the guard and the router say.
package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/clusterkit/clusterkit/transport/api"
)

// The media types of documents and of refusals (RFC 9457).
const (
	JSON        = "application/json"
	ProblemJSON = "application/problem+json"
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

// WriteJSON encodes a document and then writes it, so that a document that cannot be
// encoded leaves the answer still to be made. That the caller is gone is no error.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, document any) error {
	return encode(w, r, status, JSON, document)
}

func encode(w http.ResponseWriter, r *http.Request, status int, contentType string, document any) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // nosniff keeps it from being read as HTML
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("transport: encoding the answer: %w", err)
	}
	Write(w, r, status, contentType, body.Bytes())
	return nil
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

// Refuse answers a request with a refusal. Empty fields get a meaning: no Status is
// 500, no Type is about:blank, and no Title is what the status is called.
func Refuse(w http.ResponseWriter, r *http.Request, p *api.Refusal) {
	full := *p
	full.Status = cmp.Or(full.Status, http.StatusInternalServerError)
	full.Type = cmp.Or(full.Type, Blank)
	full.Title = cmp.Or(full.Title, Title(full.Type, full.Status))
	// Strings and integers always encode.
	_ = encode(w, r, full.Status, ProblemJSON, &full)
}

// IsUpgrade reports whether a request asks for another protocol, such as WebSocket.
func IsUpgrade(r *http.Request) bool {
	for _, value := range r.Header["Connection"] {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return false
}
