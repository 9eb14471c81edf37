package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
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
	handler  http.Handler
	events   subscribers
	builder  builder

	view    atomic.Pointer[view]
	health  atomic.Pointer[Health] // as of the last event about it
	changed broadcast              // wakes who waits for view or health
	refresh chan chan struct{}     // asks the loop to publish at once
	recheck chan struct{}          // asks it to look at health
	settled atomic.Bool            // Start knows the cluster; owning may begin
	leaving atomic.Bool            // Stop has begun

	stopping chan struct{}
	stopped  chan struct{}
	stopOnce sync.Once

	mu      sync.Mutex    // guards what follows; never held while waiting
	running chan struct{} // closed when Start is done; nil before it
	err     error         // what Start came to
	up      bool          // Start succeeded and Stop has not begun
	server  *transport.Server
	cancel  context.CancelFunc
	loop    sync.WaitGroup
}

// New checks the options and returns a cluster that is not running. It opens
// nothing. The error is that of [Options.Validate].
func New(o Options) (*Cluster, error) {
	s, err := o.parse()
	if err != nil {
		return nil, fmt.Errorf("cluster: invalid options: %w", err)
	}
	members, err := membership.New(s.membership)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c := &Cluster{
		settings: s,
		members:  members,
		builder:  builder{configurations: s.configs},
		refresh:  make(chan chan struct{}),
		recheck:  make(chan struct{}, 1),
		stopping: make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	c.view.Store(&view{ring: &ring.Ring{}})
	c.handler = transport.NewHandler(httpView{c}, transport.HandlerOptions{Logger: s.Logger})
	if s.Observer {
		err = members.SetState(context.Background(), membership.Observer)
	}
	// The options were checked with the longest address it can become.
	err = errors.Join(err, c.announceHTTP(context.Background()))
	health := c.Health()
	c.health.Store(&health)
	return c, err
}

// Start binds the addresses and joins the cluster. It returns nil once this
// member has joined and can look keys up, or when it goes ahead alone: at once
// when Seeds and Discovery name nobody else, otherwise when nobody answered
// within BootstrapTimeout; it then goes on looking in the background.
//
// It returns a [membership.RefusedError] or [membership.ConfigurationError],
// which say what differs, when the cluster refuses this member; the context's
// error when that ends first; [ErrStopped] after Stop; or an error of the
// network. After an error nothing is left running: make another Cluster to try
// again. There is one start: further calls wait for it, as long as their
// context lasts, and return what it came to.
func (c *Cluster) Start(ctx context.Context) error {
	c.mu.Lock()
	first := c.running == nil
	if first {
		c.running = make(chan struct{})
	}
	running := c.running
	c.mu.Unlock()
	if first {
		err := c.start(ctx)
		c.mu.Lock()
		c.err, c.up = err, err == nil
		c.mu.Unlock()
		close(running)
		c.changed.signal()
		c.recheck <- struct{}{} // there is room: nobody else sends
		return err
	}
	if err := await(ctx, running); err != nil {
		return fmt.Errorf("cluster: starting: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *Cluster) start(ctx context.Context) error {
	select {
	case <-c.stopping:
		return ErrStopped
	default:
	}
	ctx, cancelStart := context.WithCancelCause(ctx)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-c.stopping:
			cancelStart(ErrStopped)
		case <-ctx.Done():
		}
	}()
	defer func() { <-watching }()
	defer cancelStart(nil)

	if err := c.listen(ctx); err != nil {
		c.release(context.WithoutCancel(ctx), 0)
		if errors.Is(context.Cause(ctx), ErrStopped) {
			return ErrStopped
		}
		return err
	}
	background, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	c.cancel = cancel
	c.mu.Unlock()
	c.loop.Go(func() { c.run(background) })

	err := c.join(ctx)
	if err == nil {
		c.settings.Logger.Info("cluster member started", "cluster", c.settings.ClusterName, "node", c.settings.NodeID,
			"gossip", c.members.Local().Addr, "members", len(c.view.Load().members))
		return nil
	}
	if errors.Is(context.Cause(ctx), ErrStopped) {
		err = ErrStopped
	}
	c.release(context.WithoutCancel(ctx), 0)
	return err
}

// listen binds the HTTP address, if there is one, before anybody is told of it.
func (c *Cluster) listen(ctx context.Context) error {
	if c.settings.HTTPAddr == "" {
		return nil
	}
	server, err := transport.Listen(c.settings.HTTPAddr, c.handler, transport.ServerOptions{Logger: c.settings.Logger})
	if err != nil {
		return fmt.Errorf("cluster: serving HTTP on %q: %w", c.settings.HTTPAddr, err)
	}
	c.mu.Lock()
	c.server = server
	c.mu.Unlock()
	return c.announceHTTP(ctx)
}

// announceHTTP announces where the others reach our HTTP, as far as that is
// known by now.
func (c *Cluster) announceHTTP(ctx context.Context) error {
	if c.settings.HTTPAddr == "" {
		return nil // AdvertiseHTTPAddr is announced already, or what Update said
	}
	addr := c.settings.AdvertiseHTTPAddr
	c.mu.Lock()
	server := c.server
	c.mu.Unlock()
	if addr == "" && server != nil {
		host, _, _ := splitHostPort(c.settings.HTTPAddr)
		bound, _ := netip.ParseAddrPort(server.Addr().String())
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = ""
			if local := c.members.Local().Addr; local.IsValid() {
				host = local.Addr().String()
			}
		}
		if host != "" {
			addr = joinHostPort(host, bound.Port())
		}
	}
	err := c.members.Update(ctx, func(a *membership.Attributes) { a.HTTPAddr = addr })
	if err != nil {
		return fmt.Errorf("cluster: announcing the HTTP address: %w", err)
	}
	return nil
}

func (c *Cluster) join(ctx context.Context) error {
	if err := c.members.Start(ctx); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if err := c.announceHTTP(ctx); err != nil {
		return err
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

// Drain takes this member out of service and returns when everybody has seen
// it: it announces that it is draining, which gives what it owns to others,
// waits until all members agree on that, announces that it is leaving, and
// waits again. It then still answers lookups; Stop ends it. There is no way
// back. When the context ends first, Drain returns a [NotConvergedError] that
// names who has not confirmed; the member stays in the state it has reached
// and Drain may be called again.
func (c *Cluster) Drain(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	for _, state := range []membership.State{membership.Draining, membership.Leaving} {
		now := c.members.Local().State
		if state == membership.Draining && now != membership.Active && now != membership.Draining {
			continue // it owns nothing
		}
		if err := c.members.SetState(ctx, state); err != nil {
			return fmt.Errorf("cluster: draining: %w", err)
		}
		if err := c.WaitConverged(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Stop leaves the cluster and releases everything: this member becomes
// unready, tells the others that it is leaving and gives them a moment to
// agree, finishes the HTTP requests in flight, leaves, and closes its
// addresses. When the context ends first it goes on without further waits.
// Stop may be called any number of times, also before or during Start; every
// call returns when all is released, with nil, or when its context ends, with
// its error. A cluster that was stopped cannot be started again; lookups go on
// answering from the last ring.
func (c *Cluster) Stop(ctx context.Context) error {
	c.stopOnce.Do(func() {
		c.leaving.Store(true)
		close(c.stopping)
		c.mu.Lock()
		running := c.running
		c.up = false
		c.mu.Unlock()
		go func() {
			defer close(c.stopped)
			defer c.events.close()
			if running != nil {
				<-running
				c.release(ctx, leaveAgreement)
			}
			_ = c.members.Stop(context.WithoutCancel(ctx)) // nothing to leave that release did not
			c.changed.signal()
		}()
	})
	if err := await(ctx, c.stopped); err != nil {
		return fmt.Errorf("cluster: stopping: %w", err)
	}
	return nil
}

// await waits for a channel to be closed. One that is closed already counts, even
// when the context has ended too.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leaveAgreement is how long the others get to agree that a member that stops
// is leaving, so that requests go elsewhere before its doors close.
const leaveAgreement = 2 * time.Second

// release ends everything that start began.
func (c *Cluster) release(ctx context.Context, agreement time.Duration) {
	c.mu.Lock()
	server, cancel := c.server, c.cancel
	c.server, c.cancel, c.up = nil, nil, false
	c.mu.Unlock()
	if cancel != nil && agreement > 0 && c.members.SetState(ctx, membership.Leaving) == nil {
		wait, done := context.WithTimeout(ctx, agreement)
		_ = c.waitConverged(wait) // they will learn it from the leave itself
		done()
	}
	if server != nil {
		if err := server.Shutdown(ctx); err != nil {
			c.settings.Logger.Warn("closing HTTP", "error", err)
		}
	}
	_ = c.members.Stop(ctx) // its error is the context's, with which it cuts its waits short
	_ = c.members.Stop(context.WithoutCancel(ctx))
	if cancel != nil {
		cancel()
	}
	c.loop.Wait()
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

// Handler returns the HTTP interface, to be mounted in a server of yours: see
// package transport. It may be mounted before Start.
func (c *Cluster) Handler() http.Handler { return c.handler }

// HTTPAddr returns the address that HTTP is served on, with the port that was
// bound; empty when there is no listener.
func (c *Cluster) HTTPAddr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return ""
	}
	return c.server.Addr().String()
}
