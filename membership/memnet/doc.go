// Package memnet is a network in memory: hundreds of cluster members in one
// process, no socket, and faults on demand.
//
// A [Network] makes transports for addresses that exist only inside it, so any address
// can be used, and tests do not disturb each other. It can be the Network of package
// membership, and its transports can be used with memberlist directly. It can lose
// packets and streams at a given rate, delay them, cut one direction or split the whole
// network, crash, kill or stall a process, refuse dials, reset streams, and let one host lose much of
// what it sends or receives. Every random decision comes
// from one generator, seeded by [Options.Seed].
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
// The network is made for bubbles of [testing/synctest], and works outside of them as
// well. It starts no goroutine, blocks no sender that is not stalled, and waits only on channels and
// timers made by the call that needs them. Create the network inside the bubble that
// uses it. When all transports are shut down, no timer or goroutine of it is left. With
// zero latency a packet is in the receiver's inbox before WriteTo returns.
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
//   - A stream delivers its bytes in order, or stalls. A cut, a loss or a crash
//     never ends it: TCP behaves in the same way until a deadline passes. Only
//     [Network.Kill] and [Network.CloseStreams] do.
//   - Once a call that cuts has returned, nothing crosses the cut: packets under way
//     are dropped, and bytes of streams under way are held back.
//   - Cuts and refusals belong to addresses and stay after a restart. A crash, a kill and
//     a stall belong to one transport: the next transport at its address works.
//
// # What it does not model
//
// Bandwidth and congestion; duplicated, corrupted or fragmented packets; different
// latencies for different pairs; retransmission timers (but for [Network.SetHostLoss]), window sizes and backlogs of TCP
// below 1024; resets other than those of [Network.CloseStreams];
// ICMP; host names and address translation. The seed determines the sequence of random
// decisions, but not which packet gets which decision, because goroutines that run at
// the same instant are not ordered.
package memnet
