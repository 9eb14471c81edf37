package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

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

// Cluster is this process's part in a cluster. Make one with [New]. All methods
// are safe for concurrent use and in any order; those that can wait take a
// context.
type Cluster struct {
	settings settings
	members  *membership.Membership
	handler  *transport.Handler
	guard    *transport.Guard
	pool     *client.Pool // of Client
	handoff  *driver      // nil without a Mover
	events   subscribers
	counts   counts
	life     lifecycle.Life
	phase
	answers
	loop
}

// answers are what lookups, health and waits see. The loop replaces them.
type answers struct {
	view    atomic.Pointer[published]
	health  atomic.Pointer[Health] // as of the last event about it
	changed lifecycle.Broadcast    // wakes whatever waits for view or health
}

// phase is how far Start and Stop are.
type phase struct {
	settled  atomic.Bool  // Start knows the cluster; owning may begin
	joinedAt atomic.Int64 // when it did, unix nanoseconds
	leaving  atomic.Bool  // Stop has begun

	mu     sync.Mutex // guards what follows; never held while waiting
	err    error      // what Start came to
	up     bool       // Start succeeded and Stop has not begun
	server *transport.Server
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
	c := &Cluster{settings: s, members: members, loop: newLoop(&s), life: lifecycle.Life{Name: "cluster", Ended: ErrStopped}}
	c.view.Store(&published{View: *view.Empty()})
	if s.Handoff.Mover != nil {
		c.handoff = newDriver(c, s.Handoff)
	}
	c.settings.Gossip.Keys, c.settings.membership.Gossip.Keys = nil, nil // members has them; nobody prints them here
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

// Start binds the addresses and joins the cluster. It returns nil once this
// member has joined and can look keys up, or when it goes ahead alone: at once
// when Seeds and Discovery name nobody else, otherwise when nobody answered
// within Bootstrap.Timeout; it then goes on looking in the background.
//
// It returns a [membership.RefusedError] or [membership.ConfigurationError],
// which say what differs, when the cluster refuses this member; the context's
// error when that ends first; [ErrStopped] after Stop; or an error of the
// network. After an error nothing is left running: make another Cluster to try
// again. There is one start: further calls wait for it, as long as their
// context lasts, and return what it came to.
func (c *Cluster) Start(ctx context.Context) error {
	return c.life.Start(ctx, func(ctx context.Context) error {
		err := c.start(ctx)
		c.mu.Lock()
		c.err, c.up = err, err == nil
		c.mu.Unlock()
		c.changed.Signal()
		c.recheck <- struct{}{} // there is room: this is the only sender
		return err
	})
}

func (c *Cluster) start(ctx context.Context) error {
	var err error
	if c.handoff != nil {
		err = c.handoff.resume(ctx)
	}
	if err == nil {
		err = c.listen(ctx)
	}
	if err == nil {
		c.startLoop()
		err = c.join(ctx)
	}
	if err == nil {
		c.settings.Logger.Info("cluster member started", "cluster", c.settings.ClusterName, "node", c.settings.NodeID,
			"gossip", c.members.Local().Addr, "members", len(c.view.Load().Members))
		return nil
	}
	c.release(context.WithoutCancel(ctx), 0)
	c.closeHTTP()
	if errors.Is(context.Cause(ctx), ErrStopped) {
		return ErrStopped
	}
	return err
}

func (c *Cluster) startLoop() {
	ctx, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	c.cancel = cancel
	c.mu.Unlock()
	c.done.Go(func() { c.run(ctx) })
}

func (c *Cluster) join(ctx context.Context) error {
	if err := c.members.Start(ctx); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if err := c.announceHTTP(ctx); err != nil {
		return err
	}
	c.joinedAt.Store(time.Now().UnixNano())
	if c.handoff != nil {
		c.handoff.listen()
	}
	c.settled.Store(true)
	done := make(chan struct{})
	select {
	case c.refresh <- done:
	case <-ctx.Done():
		return fmt.Errorf("cluster: starting: %w", context.Cause(ctx))
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cluster: starting: %w", context.Cause(ctx))
	}
}
