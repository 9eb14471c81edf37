package memnet

import (
	"fmt"
	"net/netip"
	"time"
)

// faults is what is broken in a network. Cuts are kept by address, so that they
// outlast the process that listens there.
type faults struct {
	group    map[netip.AddrPort]int // of the partition; 0 is the rest
	isolated map[netip.AddrPort]struct{}
	blocked  map[direction]struct{}
	// silent are the addresses whose transport crashed and was not replaced:
	// unlike a host without a listener they refuse nothing.
	silent map[netip.AddrPort]struct{}
}

type direction struct{ from, to netip.AddrPort }

func newFaults() faults {
	return faults{
		isolated: make(map[netip.AddrPort]struct{}),
		blocked:  make(map[direction]struct{}),
		silent:   make(map[netip.AddrPort]struct{}),
	}
}

// cut reports whether nothing gets from one address to the other. An address
// always reaches itself: that traffic leaves no host.
func (f *faults) cut(from, to netip.AddrPort) bool {
	if from == to {
		return false
	}
	if f.group != nil && f.group[from] != f.group[to] {
		return true
	}
	if len(f.isolated) > 0 {
		if _, yes := f.isolated[from]; yes {
			return true
		}
		if _, yes := f.isolated[to]; yes {
			return true
		}
	}
	if len(f.blocked) == 0 {
		return false
	}
	_, yes := f.blocked[direction{from, to}]
	return yes
}

// Partition splits the network into groups of addresses: between two groups
// nothing passes in either direction, within a group all goes on. Addresses in
// none of the groups, also those that begin to listen later, form one more
// group together; so Partition(minority) cuts a minority off from all
// others. It replaces any earlier partition and leaves blocks and isolations as
// they are; without groups it just ends the partition. An address in two groups is
// an error, and changes nothing.
//
// As with every cut here, dials across it wait out their timeout, and
// established streams across it stall: what is written is held back, and
// arrives once no cut is in its way.
func (n *Network) Partition(groups ...[]netip.AddrPort) error {
	var group map[netip.AddrPort]int
	for i, addrs := range groups {
		for _, addr := range addrs {
			addr = canonical(addr)
			if other, taken := group[addr]; taken && other != i+1 {
				return fmt.Errorf("memnet: partition: %v is in both group %d and group %d", addr, other-1, i)
			}
			if group == nil {
				group = make(map[netip.AddrPort]int)
			}
			group[addr] = i + 1
		}
	}
	n.change(func(f *faults) { f.group = group })
	return nil
}

// Block cuts one direction: nothing gets from the first address to the second,
// while the other direction stays open for packets and for streams already
// established. A dial needs both. Blocking an address from itself does nothing.
func (n *Network) Block(from, to netip.AddrPort) {
	n.change(func(f *faults) { f.blocked[direction{canonical(from), canonical(to)}] = struct{}{} })
}

// Unblock undoes [Network.Block] of the same direction, if there was one.
func (n *Network) Unblock(from, to netip.AddrPort) {
	n.change(func(f *faults) { delete(f.blocked, direction{canonical(from), canonical(to)}) })
}

// Isolate cuts an address off from all others, in both directions, until
// [Network.Reconnect] or [Network.Heal]. It is the network cable pulled: the
// process goes on, and a restart there finds the cable still out.
func (n *Network) Isolate(addr netip.AddrPort) {
	n.change(func(f *faults) { f.isolated[canonical(addr)] = struct{}{} })
}

// Reconnect undoes [Network.Isolate] of the same address, if it was isolated.
func (n *Network) Reconnect(addr netip.AddrPort) {
	n.change(func(f *faults) { delete(f.isolated, canonical(addr)) })
}

// Heal removes all cuts: the partition, every block and every isolation.
// Streams that stalled resume. It does not bring back what crashed, and loss
// and latency stay as they are.
func (n *Network) Heal() {
	n.change(func(f *faults) {
		f.group = nil
		clear(f.isolated)
		clear(f.blocked)
	})
}

// Crash makes the process at an address vanish as if its host had lost power.
// No other process is told: its packets in and out are dropped, its streams stall on both
// sides and never resume, dials to it wait out their timeout.
//
// The crash belongs to the transport that listened there. It stays dead for
// good, whatever its goroutines still write: they get no error, and what they
// write reaches no process. It must still be shut down to release them. The address is free: a
// new transport that listens on it is a restart, and healthy. With no
// transport at the address, only the address falls silent, until one listens.
//
// To model a process killed on a host that lives on, call the transport's
// Shutdown instead: its streams end and dials are refused.
func (n *Network) Crash(addr netip.AddrPort) {
	addr = canonical(addr)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults.silent[addr] = struct{}{}
	t := n.listeners[addr]
	if t == nil {
		return
	}
	delete(n.listeners, addr)
	t.crashed = true
	t.discardPackets()
	n.applyCuts()
}

// change modifies the cuts and brings the open streams in line with them.
func (n *Network) change(modify func(*faults)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	modify(&n.faults)
	n.applyCuts()
}

// applyCuts tells every open stream whether it is cut. Streams remember it, so
// that reading and writing need not ask. The caller holds n.mu.
func (n *Network) applyCuts() {
	now := time.Now()
	for e := n.links.Front(); e != nil; e = e.Next() {
		l := e.Value.(*link)
		dialler, listener := l.ends[0], l.ends[1]
		lost := dialler.crashed || listener.crashed
		// Held bytes set out anew when a cut ends. They do so without
		// jitter, which would cost a draw for each open stream.
		l.setCut([2]bool{
			lost || n.faults.cut(dialler.addr, listener.addr),
			lost || n.faults.cut(listener.addr, dialler.addr),
		}, now, n.options.Latency)
	}
}
