package membership

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// Members returns the members believed alive, this one included, ascending by
// ID: of each NodeID the newest start. The slice is shared and must not be
// modified. The version grows whenever the members change.
func (m *Membership) Members() (members []Member, version uint64) { return m.registry.members() }

// Local returns what this member announces of itself.
func (m *Membership) Local() Member {
	self := m.announcer.get()
	m.mu.Lock()
	defer m.mu.Unlock()
	self.Addr = m.local
	return self
}

// Rivals returns the other starts of this NodeID believed alive, newest first.
// One that is newer than Local().Start speaks for the NodeID in our place; one
// that is older may be a process that crashed and is not yet noticed.
func (m *Membership) Rivals() []Member { return m.registry.rivals(m.settings.NodeID) }

// Wake returns a channel that receives when there may be news: events to take,
// or another answer of Isolated. It is meant for one consumer.
func (m *Membership) Wake() <-chan struct{} { return m.registry.events.wake }

// TakeEvents returns the events since the last call, in order. When nobody
// takes them for long, those of one member are folded into one.
func (m *Membership) TakeEvents() []Event { return m.registry.events.take() }

// Isolated reports whether most of the members believed alive do not answer, so
// that it is rather this one that is cut off.
func (m *Membership) Isolated() bool { return m.isolated.Load() }

// LastSync returns when all members were last exchanged with another one; the
// zero time when never.
func (m *Membership) LastSync() time.Time {
	if at := m.lastSync.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Publish tells the others which view this member holds, and begins to collect
// who else does.
func (m *Membership) Publish(v View) {
	if m.agreement.publish(v) {
		m.registry.events.poke()
	}
}

// Agreement returns how far the published view is everybody's.
func (m *Membership) Agreement() Agreement { return m.agreement.state() }

// Agreed returns a channel that is closed once every member of the view has
// held it; when another view is published before that, once that is held.
func (m *Membership) Agreed() <-chan struct{} { return m.agreement.done() }

// SetState announces another state of life. It takes effect at once and
// reaches the others with gossip. Before Start it changes what will be
// announced first. Nothing leads back from Leaving: after that, and after Stop,
// it has no effect.
func (m *Membership) SetState(ctx context.Context, s State) error {
	if s < Joining || s > Observer {
		return fmt.Errorf("membership: cannot announce %v", s)
	}
	return m.announcer.change(ctx, func(self *Member) {
		if self.State != Leaving {
			self.State = s
		}
	})
}

// Attributes are what a member may change of itself while it runs.
type Attributes struct {
	// HTTPAddr is the address announced for HTTP, host:port; empty: none.
	HTTPAddr string
	// Services and Metadata replace those announced before.
	Services, Metadata map[string]string
}

// Update edits what this member announces. The function gets copies it may
// keep and modify; it must not call back into the membership. The change takes
// effect at once and reaches the others with gossip. It returns a
// [MetadataSizeError], and changes nothing, when the result does not fit.
func (m *Membership) Update(ctx context.Context, edit func(*Attributes)) error {
	return m.announcer.change(ctx, func(self *Member) {
		a := Attributes{HTTPAddr: self.HTTPAddr, Services: maps.Clone(self.Services), Metadata: maps.Clone(self.Metadata)}
		edit(&a)
		self.HTTPAddr, self.Services, self.Metadata = a.HTTPAddr, maps.Clone(a.Services), maps.Clone(a.Metadata)
	})
}
