package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

const jsonContentType = "application/json"

// writeJSON encodes a document and then writes it, so that a document that
// cannot be encoded leaves the answer still to be made. A caller who is gone is
// no error: nobody is left to tell.
func writeJSON(w http.ResponseWriter, r *http.Request, status int, contentType string, document any) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // nosniff keeps it from being read as HTML
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("transport: encoding the answer: %w", err)
	}
	write(w, r, status, contentType, body.Bytes())
	return nil
}

func writeText(w http.ResponseWriter, r *http.Request, status int, text string) {
	write(w, r, status, "text/plain; charset=utf-8", []byte(text))
}

func write(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
