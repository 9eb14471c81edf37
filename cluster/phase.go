package cluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/transport"
)

// phase says how far Start and Stop have come.
type phase struct {
	settled  atomic.Bool               // Start has joined, or goes on alone; this member may begin to own
	founding atomic.Bool               // this member has founded the cluster, and the others have not all received yet
	joined   atomic.Pointer[time.Time] // when Start had joined or gone on alone; with the monotonic clock
	leaving  atomic.Bool               // Stop has begun

	mu     sync.Mutex // guards what follows; never held while waiting
	err    error      // the error of Start
	up     bool       // Start succeeded and Stop has not begun
	server *transport.Server
}

// checkCall returns why a call that needs a context and a running cluster cannot begin.
func (c *Cluster) checkCall(ctx context.Context, doing string) error {
	if err := checkContext(ctx, doing); err != nil {
		return err
	}
	return c.check()
}

func checkContext(ctx context.Context, doing string) error {
	if ctx == nil {
		return fmt.Errorf("cluster: %s: the context is nil: pass context.Background() to set no limit", doing)
	}
	return nil
}

// check returns why the cluster is not running, nil when it is.
func (c *Cluster) check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.up:
		return nil
	case c.leaving.Load():
		return ErrStopped
	case c.err != nil:
		return c.err
	default:
		return ErrNotStarted
	}
}
