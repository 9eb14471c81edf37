// Package memnet is a network in memory: hundreds of cluster members in one
// process, no socket, and faults on demand.
//
// A [Network] hands out transports for addresses that exist only inside it, so
// any address will do and tests never collide. It serves as the Network of
// package membership, and its transports serve memberlist directly. It loses
// packets and streams at a given rate, delays them, cuts one direction or a
// whole partition, and crashes a process without a word. Every random
// decision comes from one generator, seeded by [Options.Seed].
//
//	network, err := memnet.New(memnet.Options{Seed: 1, PacketLoss: 0.05})
//	if err != nil {
//		return err
//	}
//	for _, addr := range []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946"} {
//		transport, err := network.Listen(netip.MustParseAddrPort(addr), nil)
//		…                                           // start a member on it
//	}
//	err = network.Partition([]netip.AddrPort{minority}) // the rest cannot reach it
//	network.Heal()                                      // now it can
//
// # Virtual time
//
// It is made for bubbles of [testing/synctest], and works outside of them as
// well. The network starts no goroutine, never blocks a sender, and waits
// only on channels and timers made by the call that needs them. Create the
// network inside the bubble that uses it; when all transports are shut down
// nothing of it is left running. With zero latency a packet is in the
// receiver's inbox before WriteTo returns.
//
// Under the race detector, run bubbles with GOMAXPROCS=1 until
// https://go.dev/issue/78156 is fixed: with more, timers of one bubble that
// fire at once can crash the detector, whatever network is in use.
//
// # What is promised
//
//   - Latency is exact in virtual time: a packet arrives [Options.Latency]
//     plus its own jitter after it was sent. Packets due at the same instant
//     arrive in the order in which they were sent; with jitter they may
//     overtake each other.
//   - A stream delivers its bytes in order, or stalls. It is never cut short
//     by a fault, exactly as TCP looks until a deadline passes.
//   - Once a call that cuts has returned, nothing crosses the cut: what was
//     already in flight is dropped (packets) or held back (streams).
//   - Cuts belong to addresses and outlast a restart; a crash belongs to one
//     transport, and the next one to listen on its address is healthy.
//
// # What it does not model
//
// Bandwidth and congestion; duplicated, corrupted or fragmented packets;
// different latencies for different pairs; retransmission timers, resets and
// window sizes of TCP; ICMP; host names and address translation. The seed
// fixes the sequence of random decisions, not which packet meets which
// decision: goroutines running at the same instant still race for that.
package memnet
