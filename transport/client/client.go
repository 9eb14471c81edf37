package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
)

// ErrClosed says that a [Client] or a [Pool] was closed.
var ErrClosed = errors.New("client: closed")

// Client sends requests to the HTTP interface of members. Make one with [New], and
// close it. All methods are safe for concurrent use.
//
// A refusal becomes an error that wraps [*api.Refusal]. If a refusal is no problem
// document, such as the answer of a proxy, the client makes one of it. All other errors
// are those of the network and of the context. No error shows the token or a key.
//
// All requests of a client may be sent again without harm, so the client repeats them:
//
//   - It repeats a request when the connection fails or breaks off, and when the answer is
//     408, 429, 503, or 502 or 504 of a proxy. It waits longer each time.
//   - Each attempt goes to the next of [Options].URLs. A wait that a server names in
//     Retry-After holds for the URL of that server alone.
//   - A URL is not asked again in the same call when its certificate is wrong, when it
//     refuses the token with 401, or when the answer is not that of a member. The others are.
//   - It does not repeat a request when the wait would be longer than the context lasts.
//
// It follows no redirect.
type Client struct {
	options Options
	bases   []*url.URL
	pool    *Pool
	ownPool bool

	first    atomic.Uint32 // the base URL to begin with: the one that answered last, or the one after a failure
	maxKeys  atomic.Int64  // the bounds learned from refusals
	maxBytes atomic.Int64

	life   context.Context
	end    context.CancelCauseFunc
	mu     sync.Mutex // guards the start of requests against Close
	closed bool
	busy   sync.WaitGroup
}

// New returns a client. It opens no connection, but reads the files that the options
// name. The error joins an [option.Error] for every option that is out of bounds or
// contradicts another one, or names the file that cannot be used. It never shows the
// token.
func New(o Options) (*Client, error) {
	bases, err := o.parse()
	if err != nil {
		return nil, fmt.Errorf("client: options: %w", err)
	}
	o = o.withDefaults()
	c := &Client{options: o, bases: bases, pool: o.Pool}
	if c.pool == nil {
		o.PoolOptions.Logger = cmp.Or(o.PoolOptions.Logger, o.Logger)
		if c.pool, err = NewPool(o.PoolOptions); err != nil {
			return nil, err
		}
		c.ownPool = true
	}
	c.maxKeys.Store(int64(o.MaxKeys))
	c.maxBytes.Store(o.MaxBodyBytes)
	c.life, c.end = context.WithCancelCause(context.Background())
	return c, nil
}

// Close ends all requests under way with [ErrClosed], and waits for them. Later
// requests return ErrClosed too. Close closes the connections of the client's own pool.
// It may be called any number of times, and returns nil.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end(ErrClosed)
	c.busy.Wait()
	if c.ownPool {
		_ = c.pool.Close()
	}
	return nil
}

// begin registers a request. The caller must call done at its end.
func (c *Client) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, ErrClosed
	}
	c.busy.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil); c.busy.Done() }, nil
}
