package httpd

import (
	"net"
	"testing"
)

// TestAddressOf holds that addresses are written as package net writes them.
func TestAddressOf(t *testing.T) {
	for _, a := range []*net.TCPAddr{
		{IP: net.IPv4(127, 0, 0, 1), Port: 80},
		{IP: net.IPv4(10, 1, 2, 3).To4(), Port: 65535},
		{IP: net.IPv6loopback, Port: 1},
		{IP: net.ParseIP("fe80::1"), Port: 443, Zone: "eth0"},
		{IP: net.ParseIP("2001:db8::1:0:0:2"), Port: 8080},
		{Port: 8080},
	} {
		if got, want := addressOf(a), a.String(); got != want {
			t.Errorf("%#v is written %q, and by package net %q", a, got, want)
		}
	}
	if got := addressOf(&net.UnixAddr{Name: "/run/s", Net: "unix"}); got != "/run/s" {
		t.Errorf("a socket's address is written %q", got)
	}
}
