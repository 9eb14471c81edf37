package membership

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// hostAddress is an address of this host, and the interface that has it.
type hostAddress struct {
	iface string
	addr  netip.Addr
}

func (a hostAddress) String() string { return a.iface + " " + a.addr.String() }

// hostAddresses returns the addresses of the interfaces that are up.
func hostAddresses() ([]hostAddress, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []hostAddress
	for _, iface := range interfaces {
		if iface.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := iface.Addrs()
		if err != nil {
			continue // the interface has just gone
		}
		for _, addr := range addrs {
			if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
				all = append(all, hostAddress{iface.Name, prefix.Addr().Unmap()})
			}
		}
	}
	return all, nil
}

// usualAddresses returns the addresses that other hosts can probably reach.
func usualAddresses(all []hostAddress, only4 bool) []hostAddress {
	return slices.DeleteFunc(slices.Clone(all), func(a hostAddress) bool {
		return !a.addr.IsGlobalUnicast() || only4 && !a.addr.Is4()
	})
}

// addressFrom returns the first address that is on an interface or within a network, IPv4 before
// IPv6.
func addressFrom(all []hostAddress, from string, only4 bool) (netip.Addr, error) {
	network, err := netip.ParsePrefix(from)
	for _, want4 := range []bool{true, false} {
		for _, a := range all {
			named := a.iface == from && !a.addr.IsLinkLocalUnicast()
			if (named || err == nil && network.Contains(a.addr)) && a.addr.Is4() == want4 && (want4 || !only4) {
				return a.addr, nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("membership: this host has no address on interface or in network %q (Gossip.AdvertiseFrom): it has %s",
		from, listAddresses(usualAddresses(all, only4)))
}

func listAddresses(all []hostAddress) string {
	texts := make([]string, 0, len(all))
	for _, a := range all {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}

// warnOfChoice logs which address was picked when the host has several. Other members may not
// reach the picked one.
func (m *Membership) warnOfChoice(all []hostAddress, picked netip.Addr) {
	if choice := usualAddresses(all, m.settings.bind.Addr().Is4()); len(choice) > 1 {
		m.log.Warn("this host has several addresses, and one was picked to be announced: set Gossip.AdvertiseFrom or Gossip.AdvertiseAddr",
			"picked", picked, "addresses", listAddresses(choice))
	}
}
