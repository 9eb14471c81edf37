package membership

import (
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// The guard keeps room for senders at the addresses of known members: members that are believed
// alive, that are Away, and that were lost. A start that is believed on its word is not known until it has
// answered: otherwise a stranger could have its own addresses known by announcing members there.

// goneAge is how old the list of the addresses of members that are gone may be.
const goneAge = time.Second

// knownAddresses are the IP addresses of the members in a registry. The lock of the registry guards
// them.
type knownAddresses struct {
	alive  map[netip.Addr]int // the number of members believed alive
	gone   map[netip.Addr]bool
	goneAt time.Time // when gone was made
}

// count adds n to the number of members at the address of a member.
func (k *knownAddresses) count(m Member, n int) {
	addr := m.Addr.Addr()
	if k.alive[addr] += n; k.alive[addr] == 0 {
		delete(k.alive, addr)
	}
}

// count counts a start at its address and in its zone, unless it is believed on its word. The caller
// holds the lock.
func (r *registry) count(name string, m Member, n int) {
	if !r.unproven[name] {
		r.addresses.count(m, n)
		r.owners.count(m, n)
	}
}

// believe records that a start which is not known yet is believed on its word.
func (r *registry) believe(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.alive[name]; !known && len(r.unproven) < maxMembers {
		r.unproven[name] = true
	}
}

// proved records whether a start has answered.
func (r *registry) proved(name string, answers bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, alive := r.alive[name]
	if !r.unproven[name] || alive && !answers {
		return
	}
	delete(r.unproven, name)
	if alive {
		r.count(name, m, 1)
	}
}

// nextPeer returns the address of another member, and false when there is none. It returns all of them in turn, in a
// random order, so that a few pieces of news reach as many members.
func (r *registry) nextPeer() (memberlist.Address, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range 2 {
		for n := len(r.peers); n > 0; n = len(r.peers) {
			name := r.peers[n-1]
			r.peers = r.peers[:n-1]
			if m, alive := r.alive[name]; alive && name != r.self {
				return memberlist.Address{Addr: m.Addr.String(), Name: name}, true
			}
		}
		for name := range r.alive {
			r.peers = append(r.peers, name)
		}
		pick(r.peers, 0)
	}
	return memberlist.Address{}, false
}

// knows reports whether another member has this IP address.
func (r *registry) knows(addr netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	others := r.addresses.alive[addr]
	if r.alive[r.self].Addr.Addr() == addr {
		others--
	}
	if others > 0 {
		return true
	}
	if now := r.now(); r.addresses.gone == nil || now.Sub(r.addresses.goneAt) >= goneAge {
		r.addresses.goneAt, r.addresses.gone = now, make(map[netip.Addr]bool)
		for _, a := range r.absences {
			if !a.over {
				r.addresses.gone[a.member.Addr.Addr()] = true
			}
		}
		for _, d := range r.departed {
			if d.failed && !d.ghost {
				r.addresses.gone[d.member.Addr.Addr()] = true
			}
		}
	}
	return r.addresses.gone[addr]
}
