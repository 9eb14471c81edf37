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

// Network opens transports. Options that name none use [Sockets].
// Package memnet has one in memory, with faults, for tests.
type Network interface {
	// Listen binds the address, whose port 0 means any free one, and returns
	// a transport that already receives. Its FinalAdvertiseAddr, called with
	// an empty address, reports what was bound. Lines for operators go to the
	// logger, each beginning with memberlist's level in brackets.
	Listen(addr netip.AddrPort, logger *log.Logger) (Transport, error)
}

// Sockets returns the [Network] of UDP and TCP sockets, which is in use when
// [GossipOptions] names none. It is exported to be wrapped: to count, to delay, or to
// cut a member off in a test. With port 0 its Listen takes a port that is free for both
// protocols.
func Sockets() Network { return sockets{} }

type sockets struct{}

func (sockets) Listen(addr netip.AddrPort, logger *log.Logger) (Transport, error) {
	return listenNet(addr, logger)
}
