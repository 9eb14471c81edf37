package membership

import (
	"log"
	"net/netip"

	"github.com/hashicorp/memberlist"
)

// Transport carries packets and streams between members. It is memberlist's
// own interface, so that a transport written for memberlist serves here too.
type Transport = memberlist.NodeAwareTransport

// Address is where a [Transport] sends to: the member's address and its name in
// gossip.
type Address = memberlist.Address

// Network opens transports. The zero Options use [Sockets]; package
// memnet has one that lives in memory, with faults, for tests.
type Network interface {
	// Listen binds the address, whose port 0 means any free one, and returns
	// a transport that already receives. Its FinalAdvertiseAddr, called with
	// an empty address, reports what was bound. Lines for operators go to the
	// logger, each beginning with memberlist's level in brackets.
	Listen(addr netip.AddrPort, logger *log.Logger) (Transport, error)
}

// Sockets is the Network of UDP and TCP sockets, the one in use when Options
// name none. It is exported to be wrapped: to count, to delay, or to cut a
// member off in a test.
type Sockets struct{}

// Listen binds the address. With port 0 it takes a port that is free for both
// protocols.
func (Sockets) Listen(addr netip.AddrPort, logger *log.Logger) (Transport, error) {
	return listenNet(addr, logger)
}
