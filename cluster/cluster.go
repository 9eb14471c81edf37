package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/lifecycle"
	"github.com/clusterkit/clusterkit/membership/usercode"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
)

// Errors of a [Cluster] that does not run.
var (
	// ErrNotStarted says that the cluster is not running yet.
	ErrNotStarted = errors.New("cluster: not started")
	// ErrStopped says that Stop was called. The cluster cannot be started again: make
	// another one.
	ErrStopped = errors.New("cluster: stopped")
)

// Cluster is this process as a member of a cluster. Make one with [New], and run it with
// [Cluster.Start] and [Cluster.Stop]. All methods are safe for concurrent use and may be
// called in any order. The methods that can block take a context.
type Cluster struct {
	// view is what lookups answer from. It is a field of Cluster itself, and not of a nested
	// struct, so that the compiler still inlines Lookup.
	view     atomic.Pointer[published]
	settings settings
	members  *membership.Membership
	handler  *transport.Handler
	guard    *transport.Guard
	pool     *client.Pool // the connections of Client
	handoff  *driver      // nil without a Mover
	events   subscribers
	counts   counts
	life     lifecycle.Life
	service  *service
	phase
	answers
	loop
}

// answers are what Health and the waiting methods read. The loop replaces them.
type answers struct {
	health   atomic.Pointer[Health]    // the health that the last event reported
	deriving atomic.Pointer[time.Time] // when the view that is being derived was begun; nil while none is
	changed  lifecycle.Broadcast       // wakes whatever waits for view or health
}

// New checks the options and returns a cluster that is not running. It opens no socket. It reads
// the certificates and tokens that the HTTP options name, and the journal of a handoff. The
// error is that of [Options.Validate], or says which file or journal cannot be used. From the
// call on the cluster owns HTTP.Listener. New closes the listener when it returns an error.
// Otherwise [Cluster.Stop] closes it, also where the cluster was never started.
func New(o Options) (*Cluster, error) {
	c, err := newCluster(o)
	if err != nil && o.HTTP.Listener != nil {
		_ = usercode.Call(o.HTTP.Listener.Close)
	}
	return c, err
}

func newCluster(o Options) (*Cluster, error) {
	s, err := o.parse()
	if err != nil {
		return nil, fmt.Errorf("cluster: invalid options: %w", err)
	}
	if s.journal, err = loadJournal(&s); err != nil {
		return nil, err
	}
	if s.journal.restored() {
		s.membership.Origin = s.journal.head.Origin
	}
	members, err := membership.New(s.membership)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c := &Cluster{settings: s, members: members, loop: newLoop(&s), service: newService(), life: lifecycle.Life{Name: "cluster", Ended: ErrStopped}}
	c.builder.Stop = c.abandoned.Load
	c.view.Store(&published{View: *view.Empty()})
	if s.Handoff.Mover != nil {
		c.handoff = newDriver(c, s.Handoff)
	}
	c.settings.Gossip.Keys, c.settings.membership.Gossip.Keys = nil, nil // membership has them; a Cluster that is printed must not show them
	if err = c.newHandler(); err != nil {
		return nil, err
	}
	if s.Observer {
		err = membership.Drive(members).SetState(context.Background(), membership.Observer)
		c.announced = membership.Observer
	}
	// The options were checked with the longest address that may be announced.
	if err = errors.Join(err, c.announceHTTP(context.Background())); err != nil {
		return nil, err
	}
	health := c.Health()
	c.health.Store(&health)
	return c, nil
}
