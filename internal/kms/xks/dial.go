package xks

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// refuseLocal refuses addresses of this machine, of its links, and at which clouds tell a machine its secrets: whoever
// may make a key store must not reach by it what only this machine can. It is asked with the very address that is about to
// be connected to, so that a name cannot mean one thing when it is checked and another when it is used.
func refuseLocal(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	a := to.Addr().Unmap().WithZone("")
	if a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.Is4() && a.As4()[0] == 0 ||
		slices.Contains(metadata, a) {
		return fmt.Errorf("the address %s is local to the server, and proxies at local addresses are not allowed", a)
	}
	return nil
}

// metadata are the addresses outside the link-local ranges at which clouds tell a machine its own secrets.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd20:ce::254"),    // Google
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("100.100.100.200"), // Alibaba
}
