package pattern

import (
	"net/netip"
	"strconv"
	"strings"
)

// comparableNumber is the value of a JSON number that can be compared: one that, as a decimal, is exactly what the
// nearest IEEE 754 binary64 is written as. That is so for every number of up to 15 digits, for the integers to ±2^53 and
// for 0.1, but not for 9007199254740993 or 1e400. (aws/event-ruler, ComparableNumber; User Guide, "Numeric matching".)
// Minus zero is zero.
func comparableNumber(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, false
	}
	if len(text) > 15 || strings.ContainsAny(text, "eE") {
		digits, exponent := decimal(text)
		shortest, e := decimal(strconv.FormatFloat(f, 'e', -1, 64))
		if shortest != digits || e != exponent {
			return 0, false
		}
	}
	return f + 0, true // -0 + 0 is 0
}

// decimal takes a JSON number apart: its digits without zeros at either end, and the power of ten of the first of them.
// The sign is left out; zero has no digits.
func decimal(text string) (digits string, exponent int) {
	text = strings.TrimPrefix(text, "-")
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		e, err := strconv.Atoi(text[i+1:])
		if err != nil {
			// ParseFloat takes exponents of any length for zero: 0e99999999999999999999.
			e = 0
		}
		text, exponent = text[:i], e
	}
	whole, fraction, _ := strings.Cut(text, ".")
	digits = whole
	if fraction != "" {
		digits += fraction
	}
	exponent += len(whole) - 1
	trimmed := strings.TrimLeft(digits, "0")
	exponent -= len(digits) - len(trimmed)
	digits = strings.TrimRight(trimmed, "0")
	if digits == "" {
		exponent = 0
	}
	return digits, exponent
}

// parseAddress reads an IPv4 or IPv6 address as the engine does: without zone, with decimal octets that may have
// leading zeros, and an IPv4 address mapped to IPv6 is that IPv4 address.
func parseAddress[S string | []byte](text S) (netip.Addr, bool) {
	dots, ok := looksLikeAddress(text)
	if !ok {
		return netip.Addr{}, false
	}
	if dots > 0 {
		return parseIPv4(text)
	}
	addr, err := netip.ParseAddr(string(text))
	return addr.Unmap(), err == nil
}

// looksLikeAddress is [0-9]+.[0-9]+.[0-9]+.[0-9]+ or any hexadecimal digits and colons with a colon among them.
func looksLikeAddress[S string | []byte](text S) (dots int, ok bool) {
	colons, letters := 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
		case c == ':':
			colons++
		case c == '.':
			dots++
			if i == 0 || i+1 == len(text) || text[i-1] == '.' {
				return 0, false
			}
		case 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F':
			letters++
		default:
			return 0, false
		}
	}
	return dots, dots == 3 && colons == 0 && letters == 0 || colons > 0 && dots == 0
}

func parseIPv4[S string | []byte](text S) (netip.Addr, bool) {
	if len(text) > len("255.255.255.255") {
		return netip.Addr{}, false
	}
	var octets [4]byte
	octet, n := 0, 0
	for i := range len(text) {
		if text[i] == '.' {
			octets[n] = byte(octet)
			octet = 0
			n++
			continue
		}
		octet = octet*10 + int(text[i]-'0')
		if octet > 255 {
			return netip.Addr{}, false
		}
	}
	octets[3] = byte(octet)
	return netip.AddrFrom4(octets), true
}
