package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf8"
)

const (
	maxKey   = 512     // bytes
	maxValue = 1 << 20 // bytes
)

// requestError is the error of an invalid request.
type requestError struct {
	status int
	text   string
}

func (e *requestError) Error() string { return e.text }

func badRequest(format string, args ...any) error {
	return &requestError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// checkKey returns the error of an invalid key. A key must be valid UTF-8, because
// pages are JSON.
func checkKey(key string) error {
	if key == "" || len(key) > maxKey || !utf8.ValidString(key) {
		return badRequest("key %.20q of %d bytes: must be UTF-8, 1 to %d bytes", key, len(key), maxKey)
	}
	return nil
}

// readValue returns the body of a request.
func readValue(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxValue))
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &requestError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the value: must be at most %d bytes", large.Limit)}
	}
	if err != nil {
		return nil, badRequest("reading the value: %v", err)
	}
	return content, nil
}
