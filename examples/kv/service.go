package main

import (
	"net/http"
)

// Routes adds the routes for users to a mux: GET, PUT and DELETE /kv/{key}.
func (c *Coordinator) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /kv/{key}", c.serveGet)
	mux.HandleFunc("PUT /kv/{key}", c.servePut)
	mux.HandleFunc("DELETE /kv/{key}", c.serveDelete)
}

func (c *Coordinator) serveGet(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	if err := checkKey(key); err != nil {
		fail(w, err)
		return
	}
	e, err := c.Read(r.Context(), key)
	if err != nil {
		unavailable(w, err)
		return
	}
	if !e.Version.IsZero() {
		w.Header().Set(versionHeader, e.Version.String())
	}
	if e.Deleted || e.Version.IsZero() {
		http.Error(w, "there is no such key", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(e.Content) // the reader may be gone
}

func (c *Coordinator) servePut(w http.ResponseWriter, r *http.Request) {
	content, err := readValue(w, r)
	if err != nil {
		fail(w, err)
		return
	}
	c.serveWrite(w, r, content, false)
}

func (c *Coordinator) serveDelete(w http.ResponseWriter, r *http.Request) {
	c.serveWrite(w, r, nil, true)
}

func (c *Coordinator) serveWrite(w http.ResponseWriter, r *http.Request, content []byte, deleted bool) {
	key := r.PathValue("key")
	if err := checkKey(key); err != nil {
		fail(w, err)
		return
	}
	var after Version
	if text := r.Header.Get(versionHeader); text != "" {
		err := after.UnmarshalText([]byte(text))
		if err == nil {
			err = c.clock.Check(after)
		}
		if err != nil {
			fail(w, badRequest("%s: %v", versionHeader, err))
			return
		}
	}
	v, err := c.Write(r.Context(), key, content, deleted, after)
	if !v.IsZero() {
		w.Header().Set(versionHeader, v.String())
	}
	if err != nil {
		unavailable(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// unavailable answers that there was no quorum. If the answer has a version, the write
// may be stored in spite of that.
func unavailable(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}
