package client

import (
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/clusterkit/clusterkit/transport/internal/slot"
)

// ErrBusy says that a request over HTTP/1.1 has not been sent, because no connection to its
// host was free for [PoolOptions.MaxConnWait]. So [PoolOptions.MaxConnsPerHost] requests were
// under way, and [PoolOptions.MaxUpgradesPerHost] more that take long.
var ErrBusy = slot.ErrBusy

// slotted sends a request that has a slot until the end of its answer.
func (p *Pool) slotted(t *http.Transport, r *http.Request) (*http.Response, error) {
	b := new(slottedBody)
	if !p.slots.Try(r.URL.Host, &b.slot) {
		if err := p.slots.Wait(r.Context(), nil, r.URL.Host, &b.slot); err != nil {
			if r.Body != nil {
				_ = r.Body.Close() // a RoundTripper must close the body
			}
			return nil, fmt.Errorf("client: %w", err)
		}
	}
	response, err := t.RoundTrip(r)
	if err != nil || response.Body == http.NoBody || response.StatusCode == http.StatusSwitchingProtocols {
		b.slot.Free()
		return response, err
	}
	if response.ContentLength < 0 {
		b.slot.Streams()
	}
	b.ReadCloser, response.Body = response.Body, b
	return response, nil
}

// slottedBody is the body of an answer. At its end it gives the slot of its request back.
type slottedBody struct {
	io.ReadCloser
	slot slot.Slot
	once sync.Once
}

func (b *slottedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.once.Do(b.slot.Free)
	}
	return n, err
}

func (b *slottedBody) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.slot.Free)
	return err
}
