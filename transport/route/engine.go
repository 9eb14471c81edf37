package route

import (
	"errors"
	"net/http"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/retry"
)

// engine sends requests to the owners of their keys. It knows nothing of the caller: a
// [Router] answers the caller of its handler with what the engine returns. The requests
// of one engine share its connections, its retry budget, its counts, and what it knows
// of addresses that could not be reached.
type engine struct {
	cluster Cluster
	doubt   func(id string) // says that a member refuses connections; never nil
	options Options
	node    string // this member
	// clusterName is that of the first view; it never changes.
	clusterName string
	// serves is true when this member answers the requests that it owns itself. Their
	// journeys end with errServeHere. Otherwise they are sent to this member's address.
	serves  bool
	budget  *retry.Budget
	avoided avoided
	watches watches
	counts  counts
	own     *client.Pool // nil when the user set Options.Transport
	sender  http.RoundTripper
	pool    *client.Pool // sender, if that is a pool
	foreign bool         // the transport is the user's own, and no pool
}

// doubter is a [Cluster] that can look at once whether the process of a member runs. Doubt must not block.
type doubter interface{ Doubt(id string) }

// newEngine returns an engine for options that are valid and have their defaults.
func newEngine(c Cluster, o Options) (*engine, error) {
	view := c.View()
	e := &engine{
		cluster: c, options: o, node: view.NodeID, clusterName: view.ClusterName,
		budget: retry.NewBudget(o.RetriesPerRequest, o.RetriesPerSecond, o.RetryBurst),
		sender: o.Transport,
	}
	e.avoided.period = o.AvoidFor
	e.doubt = func(string) {}
	if d, can := c.(doubter); can {
		e.doubt = d.Doubt
	}
	if e.sender == nil {
		pool, err := client.NewPool(client.PoolOptions{Logger: o.Logger})
		if err != nil {
			return nil, err
		}
		e.own, e.sender = pool, pool
	}
	e.pool, _ = e.sender.(*client.Pool)
	e.foreign = e.pool == nil
	if o.Wrap != nil {
		e.pool = nil
		if e.sender = o.Wrap(e.sender); e.sender == nil {
			return nil, errors.New("Options.Wrap returned nil: must return a RoundTripper")
		}
	}
	return e, nil
}

// close closes the engine's own connections that carry no request.
func (e *engine) close() error {
	e.watches.stop()
	if e.own == nil {
		return nil
	}
	return e.own.Close()
}

// textOf returns a placement's token as text, for a header.
func textOf(p ring.Placement) string { return hexadecimal(uint64(p.Token())) }
