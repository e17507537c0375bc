package deliver

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// refusedError says that an endpoint is at an address that deliveries may not reach.
type refusedError struct{ address netip.Addr }

func (e *refusedError) Error() string {
	return fmt.Sprintf("the address %s is local to the server, and deliveries to local addresses are not allowed", e.address)
}

// metadata are the addresses outside the link-local ranges at which clouds tell a machine its own secrets.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd20:ce::254"),    // Google
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("100.100.100.200"), // Alibaba
}

// isLocal reports whether an address is of this machine, of one of its links, or of no machine in particular.
func isLocal(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() || !a.IsValid() {
		return true
	}
	if a.Is4() && a.As4()[0] == 0 { // this network (RFC 1122)
		return true
	}
	for _, m := range metadata {
		if a == m {
			return true
		}
	}
	return false
}

// refuseLocal is asked with the very address that is about to be connected to, so that a name cannot mean one thing when it is
// checked and another when it is used.
func refuseLocal(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if isLocal(to.Addr()) {
		return &refusedError{to.Addr()}
	}
	return nil
}

const dialTimeout = 5 * time.Second

// Dialer connects to addresses outside. Unless allowLocal, it refuses those of the server itself and of its links. Others who connect to
// where their users say, as for the keys of an identity provider, do it by this.
func Dialer(allowLocal bool) *net.Dialer {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !allowLocal {
		dialer.Control = refuseLocal
	}
	return dialer
}

// newClient is the client of all HTTP deliveries. It has no proxy, which would connect to an address that is not looked at here,
// and does not follow redirects.
func newClient(config Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            Dialer(config.AllowLocal).DialContext,
			TLSClientConfig:        config.TLS,
			TLSHandshakeTimeout:    dialTimeout,
			MaxIdleConns:           config.MaxInFlight,
			MaxIdleConnsPerHost:    config.MaxInLane,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
