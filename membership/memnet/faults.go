package memnet

import (
	"fmt"
	"net/netip"
	"time"
)

// faults holds the present faults of a network. Cuts are kept by address, so that they
// stay after the process at the address has ended.
type faults struct {
	group    map[netip.AddrPort]int // the group of each address in the partition; 0 is the rest
	isolated map[netip.AddrPort]struct{}
	blocked  map[direction]struct{}
	refused  map[direction]struct{} // dials only
	// silent are the addresses whose transport crashed and was not replaced. Unlike a
	// host without a listener, they refuse no dial and do not answer.
	silent map[netip.AddrPort]struct{}
}

type direction struct{ from, to netip.AddrPort }

func newFaults() faults {
	return faults{
		isolated: make(map[netip.AddrPort]struct{}),
		blocked:  make(map[direction]struct{}),
		refused:  make(map[direction]struct{}),
		silent:   make(map[netip.AddrPort]struct{}),
	}
}

// cut reports whether traffic from one address to the other is cut. An address always
// reaches itself, because this traffic does not leave the host.
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

// refuses reports whether dials from one address to the other are refused by a fault.
func (f *faults) refuses(from, to netip.AddrPort) bool {
	_, yes := f.refused[direction{from, to}]
	return yes && from != to
}

// Partition splits the network into groups of addresses: between two groups no traffic
// passes in either direction; within a group all traffic passes. All other addresses,
// also of later transports, form one more group. So Partition(minority) cuts a minority
// off from all others. It replaces an earlier partition, and does not change blocks and
// isolations. Without groups it ends the partition. An address in two groups is an
// error, and changes nothing.
//
// As with every cut of this package, dials across it wait until their timeout, and
// established streams across it stall: written bytes are held back, and arrive when no
// cut is between the two ends.
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

// Block cuts one direction, from the first address to the second. The other direction
// stays open for packets and for established streams. A dial needs both directions.
// Blocking an address from itself has no effect.
func (n *Network) Block(from, to netip.AddrPort) {
	n.change(func(f *faults) { f.blocked[direction{canonical(from), canonical(to)}] = struct{}{} })
}

// Unblock undoes [Network.Block] of the same direction, if there was one.
func (n *Network) Unblock(from, to netip.AddrPort) {
	n.change(func(f *faults) { delete(f.blocked, direction{canonical(from), canonical(to)}) })
}

// Isolate cuts an address off from all others, in both directions, until
// [Network.Reconnect] or [Network.Heal]. It is like a pulled network cable: the process
// goes on, and a process that starts at the address is cut off too.
func (n *Network) Isolate(addr netip.AddrPort) {
	n.change(func(f *faults) { f.isolated[canonical(addr)] = struct{}{} })
}

// Reconnect undoes [Network.Isolate] of the same address, if it was isolated.
func (n *Network) Reconnect(addr netip.AddrPort) {
	n.change(func(f *faults) { delete(f.isolated, canonical(addr)) })
}

// Refuse makes the dials from the first address to the second fail at once with
// [syscall.ECONNREFUSED], as a firewall that rejects. Packets pass, established streams
// go on, and so do dials in the other direction. It lasts until [Network.Accept] or
// [Network.Heal]. An address is never refused by itself.
func (n *Network) Refuse(from, to netip.AddrPort) {
	n.change(func(f *faults) { f.refused[direction{canonical(from), canonical(to)}] = struct{}{} })
}

// Accept undoes [Network.Refuse] of the same direction, if there was one.
func (n *Network) Accept(from, to netip.AddrPort) {
	n.change(func(f *faults) { delete(f.refused, direction{canonical(from), canonical(to)}) })
}

// CloseStreams resets every established stream of an address, as a firewall that drops
// idle connections. Cuts do not hold a reset back. Both ends get [syscall.ECONNRESET] from
// reads and writes, also from blocked ones, and bytes that were not read are lost. New
// streams may be dialled at once.
func (n *Network) CloseStreams(addr netip.AddrPort) {
	addr = canonical(addr)
	n.mu.Lock()
	defer n.mu.Unlock()
	for e := n.links.Front(); e != nil; e = e.Next() {
		if l := e.Value.(*link); l.ends[0].addr == addr || l.ends[1].addr == addr {
			l.reset()
		}
	}
}

// Heal removes all cuts and refusals: the partition, every block, every isolation and
// every [Network.Refuse]. Streams across a cut continue. Processes that crashed, were
// killed or are stalled stay so, and loss and latency stay as they are, also the loss of one host.
func (n *Network) Heal() {
	n.change(func(f *faults) {
		f.group = nil
		clear(f.isolated)
		clear(f.blocked)
		clear(f.refused)
	})
}

// change modifies the cuts, and applies them to the open streams.
func (n *Network) change(modify func(*faults)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	modify(&n.faults)
	n.applyFaults()
}

// applyFaults stores in every open stream whether it is cut, and whether one of its
// processes is stalled, so that reading and writing need not check it. The caller holds
// n.mu.
func (n *Network) applyFaults() {
	now := time.Now()
	for e := n.links.Front(); e != nil; e = e.Next() {
		l := e.Value.(*link)
		dialler, listener := l.ends[0], l.ends[1]
		lost := dialler.fate == crashed || listener.fate == crashed
		// When a cut ends, held bytes arrive after the latency, without jitter, which
		// would need a random number for each open stream.
		l.setFaults([2]bool{
			lost || n.faults.cut(dialler.addr, listener.addr),
			lost || n.faults.cut(listener.addr, dialler.addr),
		}, [2]bool{dialler.stalled != nil, listener.stalled != nil}, now, n.options.Latency)
	}
}
