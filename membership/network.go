package membership

import (
	"log"
	"net/netip"

	"github.com/hashicorp/memberlist"
)

// Transport carries packets and streams between members. It is memberlist's own
// interface, so that a transport for memberlist can be used here too.
type Transport = memberlist.NodeAwareTransport

// Address is the destination of a [Transport]: the member's address and its name in
// gossip.
type Address = memberlist.Address

// Network opens transports. Options without a network use [Sockets]. Package memnet has
// one in memory, with faults, for tests.
type Network interface {
	// Listen binds the address and returns a transport that already receives. Port 0
	// means any free port. FinalAdvertiseAddr of the transport, called with an empty
	// address, returns the bound address. The transport writes lines for operators to
	// the logger, each beginning with memberlist's level in brackets.
	Listen(addr netip.AddrPort, logger *log.Logger) (Transport, error)
}

// Sockets returns the [Network] of UDP and TCP sockets, which is in use when
// [GossipOptions] names none. It is exported so that programs can wrap it: to count, to
// delay, or to cut a member off in a test. With port 0 its Listen takes a port that is
// free for both protocols.
func Sockets() Network { return sockets{} }

type sockets struct{}

func (sockets) Listen(addr netip.AddrPort, logger *log.Logger) (Transport, error) {
	return listenNet(addr, logger)
}
