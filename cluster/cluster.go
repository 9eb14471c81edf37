package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/lifecycle"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
)

// Errors of the life of a [Cluster].
var (
	// ErrNotStarted says that the cluster is not running yet.
	ErrNotStarted = errors.New("cluster: not started")
	// ErrStopped says that the cluster was stopped, and cannot be started
	// again.
	ErrStopped = errors.New("cluster: stopped")
)

// Cluster is this process's part in a cluster. Make one with [New]. All methods are safe for
// concurrent use and in any order. The methods that can block take a context.
type Cluster struct {
	// view is what lookups answer from. It stands here, and in no record within, so that the
	// compiler still inlines Lookup.
	view     atomic.Pointer[published]
	settings settings
	members  *membership.Membership
	handler  *transport.Handler
	guard    *transport.Guard
	pool     *client.Pool // of Client
	handoff  *driver      // nil without a Mover
	events   subscribers
	counts   counts
	life     lifecycle.Life
	service  *service
	phase
	answers
	loop
}

// answers are what health and waits see. The loop replaces them.
type answers struct {
	health  atomic.Pointer[Health] // as of the last event about it
	changed lifecycle.Broadcast    // wakes whatever waits for view or health
}

// New checks the options and returns a cluster that is not running. It opens no socket. It
// reads the certificates and tokens that HTTP names, and the journal of a handoff. The error is
// that of [Options.Validate], or says what cannot be used. From the call on the cluster owns
// HTTP.Listener: New closes it when it returns an error, and otherwise [Cluster.Stop] does, also
// of a cluster that was never started.
func New(o Options) (*Cluster, error) {
	c, err := newCluster(o)
	if err != nil && o.HTTP.Listener != nil {
		_ = o.HTTP.Listener.Close()
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
	c.view.Store(&published{View: *view.Empty()})
	if s.Handoff.Mover != nil {
		c.handoff = newDriver(c, s.Handoff)
	}
	c.settings.Gossip.Keys, c.settings.membership.Gossip.Keys = nil, nil // membership has them, and what prints a Cluster must not
	if err = c.newHandler(); err != nil {
		return nil, err
	}
	if s.Observer {
		err = membership.Drive(members).SetState(context.Background(), membership.Observer)
		c.announced = membership.Observer
	}
	// The options were checked with the longest address it can become.
	if err = errors.Join(err, c.announceHTTP(context.Background())); err != nil {
		return nil, err
	}
	health := c.Health()
	c.health.Store(&health)
	return c, nil
}
