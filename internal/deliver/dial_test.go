package deliver

import (
	"math"
	"net/netip"
	"testing"
	"time"
)

func TestLocalAddresses(t *testing.T) {
	for address, local := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "0.0.0.0": true, "0.1.2.3": true, "::": true,
		"169.254.169.254": true, "::ffff:169.254.169.254": true, "fe80::1": true, "fe80::1%eth0": true, "224.0.0.1": true, "ff02::1": true,
		"fd00:ec2::254": true, "100.100.100.200": true, "168.63.129.16": true,
		"10.0.0.1": false, "192.168.1.1": false, "172.16.0.1": false, "fd00::1": false, "8.8.8.8": false, "2001:4860:4860::8888": false,
	} {
		if got := isLocal(netip.MustParseAddr(address)); got != local {
			t.Errorf("%s: local is %v", address, got)
		}
	}
}

func TestDelays(t *testing.T) {
	exponential := Policy{Base: time.Second, Cap: time.Minute}.withDefaults()
	almost := math.Nextafter(1, 0)
	for retry := 1; retry <= 200; retry++ {
		ceiling := time.Minute
		if retry < 7 {
			ceiling = time.Second << (retry - 1)
		}
		if d := exponential.delay(retry, 0); d != 0 {
			t.Errorf("retry %d: at least %s, want 0: the jitter is full", retry, d)
		}
		if d := exponential.delay(retry, almost); d > ceiling || d < ceiling-time.Microsecond {
			t.Errorf("retry %d: at most %s, want %s", retry, d, ceiling)
		}
	}
	scheduled := Policy{Schedule: []time.Duration{0, 20 * time.Second}}.withDefaults()
	if scheduled.MaxAttempts != 3 {
		t.Errorf("%d attempts for a schedule of two retries", scheduled.MaxAttempts)
	}
	for _, c := range []struct {
		retry    int
		random   float64
		from, to time.Duration
	}{{1, almost, 0, 0}, {2, 0, 20 * time.Second, 20 * time.Second}, {2, almost, 21 * time.Second, 22 * time.Second}} {
		if d := scheduled.delay(c.retry, c.random); d < c.from || d > c.to {
			t.Errorf("retry %d: %s, want %s to %s", c.retry, d, c.from, c.to)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, " 5 ": 5 * time.Second, "-3": -time.Second, "soon": 0, "1.5": 0,
		"Sun, 01 Nov 2026 12:01:00 GMT": time.Minute, "Sun, 01 Nov 2026 11:00:00 GMT": 0, "9223372036854775807": 365 * 24 * time.Hour,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sun, 01 Nov 2026 12:01:00 GMT")
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if d := retryAfter(value, now); d < -time.Second || d > 365*24*time.Hour {
			t.Errorf("%q: %s", value, d)
		}
	})
}
