package testkit

import (
	"slices"
	"sync"

	"github.com/clusterkit/clusterkit/membership/lifecycle"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

// Live is a cluster that changes while it is served. It can be waited for.
type Live struct {
	mu      sync.Mutex
	now     Cluster
	changed lifecycle.Broadcast
	stop    chan struct{}
}

// NewLive returns a live cluster that begins as another one.
func NewLive(c *Cluster) *Live { return &Live{now: *c, stop: make(chan struct{})} }

// Change changes the cluster. The edit must replace values and not modify them.
func (l *Live) Change(edit func(c *Cluster)) {
	l.mu.Lock()
	edit(&l.now)
	l.mu.Unlock()
	l.changed.Signal()
}

// Stop makes the member begin to stop.
func (l *Live) Stop() { close(l.stop) }

// View implements transport.Cluster.
func (l *Live) View() route.View {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.View()
}

// Health implements transport.Cluster.
func (l *Live) Health() api.Health {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.Health()
}

// Changed returns a channel that the next change closes.
func (l *Live) Changed() <-chan struct{} { return l.changed.Wait() }

// Stopping returns a channel that Stop closes.
func (l *Live) Stopping() <-chan struct{} { return l.stop }

// EventsAfter returns events.
func (l *Live) EventsAfter(id string) ([]api.Event, <-chan struct{}) {
	changed := l.changed.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	events, _ := l.now.EventsAfter(id)
	return events, changed
}

// Lost returns the members that have failed.
func (c *Cluster) Lost() []api.LostMember { return c.Gone }

// EventsAfter returns the events after the one with an ID, and nil as the channel.
func (c *Cluster) EventsAfter(id string) ([]api.Event, <-chan struct{}) {
	if c.Boom != nil {
		panic(c.Boom)
	}
	i := slices.IndexFunc(c.Happened, func(e api.Event) bool { return e.ID == id })
	return slices.Clone(c.Happened[i+1:]), nil
}
