package membership

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// bindAttempts is the number of attempts to find a free port: the kernel picks a port
// that is free for TCP, and it may be taken for UDP.
const bindAttempts = 10

// listenNet binds UDP and TCP at one address and port, or at a free port for 0. It
// returns a transport that already receives. Shutdown closes both.
func listenNet(addr netip.AddrPort, logger *log.Logger) (Transport, error) {
	ip := addr.Addr().Unmap()
	if !ip.IsValid() {
		return nil, errors.New("membership: binding gossip: no IP address given")
	}
	if ip.Zone() != "" {
		// memberlist would treat it as no address, and bind all addresses.
		return nil, fmt.Errorf("membership: binding gossip to %s: an IPv6 zone is not supported", addr)
	}
	if logger == nil {
		logger = log.New(io.Discard, "", 0)
	}
	attempts := 1
	if addr.Port() == 0 {
		attempts = bindAttempts
	}
	var err error
	for range attempts {
		var t *memberlist.NetTransport
		t, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{ip.String()},
			BindPort:  int(addr.Port()),
			Logger:    logger,
		})
		if err == nil {
			ctx, cancel := context.WithCancel(context.Background())
			return &netTransport{NetTransport: t, ip: ip, closing: ctx, cancel: cancel}, nil
		}
	}
	return nil, fmt.Errorf("membership: binding gossip to %s: %w", addr, err)
}

// netTransport is memberlist's transport, with dials that end at Shutdown. Without that
// they would wait until their timeout for a host that does not answer.
type netTransport struct {
	*memberlist.NetTransport
	ip      netip.Addr      // bound; may be unspecified
	closing context.Context // ends with the transport
	cancel  context.CancelFunc
}

// DialTimeout is DialAddressTimeout for an address without a name.
func (t *netTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout connects by TCP. It returns at the latest when the timeout
// has passed or the transport is shut down. The stream comes from the bound address, as packets do:
// other members accept tethers only from the address of a member.
func (t *netTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout}
	if to, err := netip.ParseAddrPort(a.Addr); err == nil && !t.ip.IsUnspecified() && to.Addr().Unmap().Is4() == t.ip.Is4() {
		dialer.LocalAddr = &net.TCPAddr{IP: t.ip.AsSlice()}
	}
	return dialer.DialContext(t.closing, "tcp", a.Addr)
}

// Shutdown closes the sockets and ends dials.
func (t *netTransport) Shutdown() error {
	t.cancel()
	return t.NetTransport.Shutdown()
}
