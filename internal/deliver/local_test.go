package deliver_test

import (
	"net"
	"net/url"
	"strings"
	"testing"

	"vigil/internal/deliver"
)

// Endpoints on this machine are refused by the address that they turn out to have, whatever they are called.
func TestLocalEndpointsAreRefused(t *testing.T) {
	e := newEndpoint(t, nil)
	u, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	urls := []string{e.URL, "http://[::ffff:127.0.0.1]:" + u.Port(), "http://0.0.0.0:" + u.Port(), "http://169.254.169.254/latest/meta-data/"}
	if addresses, err := net.LookupHost("localhost"); err == nil && len(addresses) > 0 {
		urls = append(urls, "http://localhost:"+u.Port())
	} else {
		t.Log("the name localhost does not resolve here, so it is not tried")
	}
	for _, refused := range urls {
		h := open(t, func(c *deliver.Config) { c.AllowLocal = false })
		h.run(t)
		h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: refused})
		h.emptied(t)
		if len(h.dead) != 1 || h.dead[0].ErrorCode != "NO_PERMISSIONS" || h.dead[0].Attempts != 1 ||
			!strings.Contains(h.dead[0].ErrorMessage, "local addresses are not allowed") {
			t.Errorf("%s: %+v", refused, h.dead)
		}
		h.stop()
	}
	if n := len(e.received()); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}
