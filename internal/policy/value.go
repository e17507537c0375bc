package policy

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// number is a decimal number, kept exactly: ±0.digits × 10^exponent. Zero has no digits.
type number struct {
	negative bool
	digits   string // neither begins nor ends with 0
	exponent int
}

// parseNumber reads an integer or a decimal number, also in the form that JSON has for large ones.
func parseNumber(text string) (n number, ok bool) {
	text, n.negative = strings.CutPrefix(text, "-")
	if !n.negative {
		text = strings.TrimPrefix(text, "+")
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		exponent, err := strconv.ParseInt(text[i+1:], 10, 32)
		if err != nil {
			return number{}, false
		}
		n.exponent, text = int(exponent), text[:i]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	if !allDigits(whole) || !allDigits(fraction) || whole == "" && fraction == "" {
		return number{}, false
	}
	whole = strings.TrimLeft(whole, "0")
	fraction = strings.TrimRight(fraction, "0")
	n.exponent += len(whole)
	switch {
	case fraction == "":
		n.digits = strings.TrimRight(whole, "0")
	case whole == "":
		n.digits = strings.TrimLeft(fraction, "0")
		n.exponent -= len(fraction) - len(n.digits)
	default:
		n.digits = whole + fraction
	}
	if n.digits == "" {
		return number{}, true // zero has one form
	}
	return n, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func (n *number) compare(m *number) int {
	switch {
	case n.sign() != m.sign():
		return cmp.Compare(n.sign(), m.sign())
	case n.negative:
		return m.compareSize(n)
	}
	return n.compareSize(m)
}

func (n *number) sign() int {
	switch {
	case n.digits == "":
		return 0
	case n.negative:
		return -1
	}
	return 1
}

func (n *number) compareSize(m *number) int {
	return cmp.Or(cmp.Compare(n.exponent, m.exponent), strings.Compare(n.digits, m.digits))
}

// parseDate reads the forms of ISO 8601 that W3C's "Date and Time Formats" has, from a year to fractions of a second, or
// seconds since 1970.
func parseDate(text string) (time.Time, bool) {
	layout := time.RFC3339 // which takes fractions too
	switch {
	case len(text) == len("2006") && allDigits(text):
		layout = "2006"
	case len(text) == len("2006-01") && text[4] == '-':
		layout = "2006-01"
	case len(text) == len("2006-01-02") && text[4] == '-':
		layout = time.DateOnly
	case !strings.Contains(text, "T"):
		return parseEpoch(text)
	case len(text) > 16 && text[16] != ':':
		layout = "2006-01-02T15:04Z07:00"
	}
	at, err := time.Parse(layout, text)
	return at, err == nil
}

func parseEpoch(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || !allDigits(fraction) {
		return time.Time{}, false
	}
	const nano = 9
	fraction = (fraction + "000000000")[:nano]
	nanos, _ := strconv.ParseInt(fraction, 10, 64)
	if strings.HasPrefix(whole, "-") {
		nanos = -nanos
	}
	return time.Unix(seconds, nanos), true
}
