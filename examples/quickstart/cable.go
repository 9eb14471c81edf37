package main

import (
	"errors"
	"log"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/membership"
)

// cable is a membership.Network of real UDP and TCP sockets that can be cut. For the
// others, a member whose cable is cut looks like a killed process: its port is closed,
// and it sends nothing any more, not even that it leaves.
//
// Your program needs none of this: it leaves Options.Network empty.
type cable struct {
	isCut   atomic.Bool
	sockets membership.Transport // set by Listen
}

// Listen binds the address.
func (c *cable) Listen(addr netip.AddrPort, logger *log.Logger) (membership.Transport, error) {
	sockets, err := membership.Sockets().Listen(addr, logger)
	if err != nil {
		return nil, err
	}
	c.sockets = sockets
	return &plugged{sockets, c}, nil
}

// cut silences the member for good.
func (c *cable) cut() {
	c.isCut.Store(true)
	_ = c.sockets.Shutdown() // closes the sockets; an error has no consequence here
}

// plugged is the transport of a member with a cable.
type plugged struct {
	membership.Transport
	cable *cable
}

var errCut = errors.New("the cable is cut")

// WriteToAddress sends a packet, unless the cable is cut.
func (p *plugged) WriteToAddress(b []byte, to membership.Address) (time.Time, error) {
	if p.cable.isCut.Load() {
		return time.Now(), nil
	}
	return p.Transport.WriteToAddress(b, to)
}

// DialAddressTimeout opens a stream, unless the cable is cut.
func (p *plugged) DialAddressTimeout(to membership.Address, timeout time.Duration) (net.Conn, error) {
	if p.cable.isCut.Load() {
		return nil, errCut
	}
	return p.Transport.DialAddressTimeout(to, timeout)
}
