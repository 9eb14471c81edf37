package membership

import (
	"context"
	"maps"
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
