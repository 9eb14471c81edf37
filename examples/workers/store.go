package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/clusterkit/clusterkit/ring"
)

// database stands for your own store: a table with a row for each partition, and
// conditional writes, over HTTP. It is safe for concurrent use.
type database struct {
	http.ServeMux
	mu             sync.Mutex
	rows           map[int]row
	saved, refused int
}

type row struct {
	Fence    int64 `json:"fence"`
	Position int64 `json:"position"`
}

// newDatabase returns an empty database with the routes POST /claims/{partition} and
// PUT /positions/{partition}.
func newDatabase() *database {
	d := &database{rows: make(map[int]row)}
	d.HandleFunc("POST /claims/{partition}", d.serveClaim)
	d.HandleFunc("PUT /positions/{partition}", d.servePosition)
	return d
}

func (d *database) claim(partition int) row {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rows[partition]
	r.Fence++
	d.rows[partition] = r
	return r
}

func (d *database) save(partition int, next row) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.rows[partition]; r.Fence != next.Fence {
		d.refused++
		return false
	}
	d.rows[partition] = next
	d.saved++
	return true
}

// counts returns how many writes were accepted and refused.
func (d *database) counts() (saved, refused int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.saved, d.refused
}

// positions returns the sum of how far the work has come in all partitions.
func (d *database) positions() (sum int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.rows {
		sum += int(r.Position)
	}
	return sum
}

func (d *database) serveClaim(w http.ResponseWriter, r *http.Request) {
	partition, err := strconv.Atoi(r.PathValue("partition"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(d.claim(partition))
}

func (d *database) servePosition(w http.ResponseWriter, r *http.Request) {
	partition, noPartition := strconv.Atoi(r.PathValue("partition"))
	fence, noFence := strconv.ParseInt(r.URL.Query().Get("fence"), 10, 64)
	position, noPosition := strconv.ParseInt(r.URL.Query().Get("position"), 10, 64)
	switch {
	case noPartition != nil || noFence != nil || noPosition != nil:
		http.Error(w, "partition, fence and position must be numbers", http.StatusBadRequest)
	case !d.save(partition, row{fence, position}):
		http.Error(w, ErrFenced.Error(), http.StatusPreconditionFailed)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// remote is a [Fenced] store: a database over HTTP.
type remote struct {
	url    string
	client *http.Client
}

// Claim implements [Fenced].
func (s *remote) Claim(ctx context.Context, partition int, token ring.Token) (fence, position int64, err error) {
	var r row
	err = s.do(ctx, http.MethodPost, "/claims/"+strconv.Itoa(partition), url.Values{"token": {token.String()}}, &r)
	return r.Fence, r.Position, err
}

// Save implements [Fenced].
func (s *remote) Save(ctx context.Context, partition int, fence, position int64) error {
	return s.do(ctx, http.MethodPut, "/positions/"+strconv.Itoa(partition), url.Values{
		"fence": {strconv.FormatInt(fence, 10)}, "position": {strconv.FormatInt(position, 10)},
	}, nil)
}

func (s *remote) do(ctx context.Context, method, path string, query url.Values, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusPreconditionFailed:
		return ErrFenced
	case response.StatusCode >= 300:
		return fmt.Errorf("the store answers %s to %s", response.Status, path)
	case answer != nil:
		return json.Unmarshal(body, answer)
	}
	return nil
}
