package membership

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// Whom a check of the announced address can ask, and whether they know this member.

// led records an address that led to another member.
func (r *reach) led(addr netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.through = slices.DeleteFunc(r.through, func(a netip.AddrPort) bool { return a == addr })
	r.through = append([]netip.AddrPort{addr}, r.through[:min(len(r.through), reachFew-1)]...)
}

// seen records whether a member answers questions of reach.
func (r *reach) seen(n *memberlist.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.speaks[n.Name] = n.DMax >= reachVersion
}

// isListed records that another member knows this one.
func (r *reach) isListed(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listed = at
}

// listedSince reports whether another member has said since a time that it knows this one.
func (r *reach) listedSince(at time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.listed.Before(at)
}

// gone deletes what seen recorded about a member.
func (r *reach) gone(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.speaks, name)
}

// answers reports whether the member at an address answers questions of reach. An address of no
// known member may lead to any of them. The result is then true only if all other members answer
// such questions.
func (m *Membership) answers(addr netip.AddrPort) bool {
	peer, known := m.registry.at(addr)
	m.reach.mu.Lock()
	defer m.reach.mu.Unlock()
	if known {
		return m.reach.speaks[gossipName(peer.ID, peer.Start.Nonce)]
	}
	for name, speaks := range m.reach.speaks {
		if name != m.name && !speaks {
			return false
		}
	}
	return true
}
