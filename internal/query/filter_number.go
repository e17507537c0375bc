package query

import (
	"bytes"
	"math"
	"strconv"
)

// Numbers. Those of a pattern are exact decimals. Those of a JSON event are what AWS makes of them, which shows in what matches:
// whole numbers are exact, and numbers with a fraction or an exponent are of double precision. 9007199254740993 is not equal to
// 9007199254740992, but 1e-999 is 0, and 1e999 is no number: it neither equals nor differs from any.

// decimal is a number as it is written: digits, whole and fraction, times ten to the exponent.
type decimal struct {
	negative        bool
	whole, fraction []byte // neither whole nor, if whole is empty, fraction begins with a zero
	exponent        int    // of the digit before the point
	top             int    // the exponent of the first digit, if there is one: 2 for 123
}

func (d *decimal) isZero() bool { return len(d.whole)+len(d.fraction) == 0 }

func (d *decimal) digit(i int) byte {
	if i < len(d.whole) {
		return d.whole[i]
	}
	if i -= len(d.whole); i < len(d.fraction) {
		return d.fraction[i]
	}
	return '0'
}

// parseDecimal takes a number apart that isNumber or JSON's grammar lets through. Its exponent has to fit into 32 bits.
func parseDecimal(text []byte) (d decimal, ok bool) {
	if text[0] == '-' || text[0] == '+' {
		d.negative = text[0] == '-'
		text = text[1:]
	}
	if e := bytes.IndexAny(text, "eE"); e >= 0 {
		exponent, err := strconv.ParseInt(string(text[e+1:]), 10, 32)
		if err != nil {
			return decimal{}, false
		}
		d.exponent = int(exponent)
		text = text[:e]
	}
	d.whole, d.fraction, _ = bytes.Cut(text, []byte("."))
	d.fraction = bytes.TrimRight(d.fraction, "0")
	d.whole = bytes.TrimLeft(d.whole, "0")
	d.top = d.exponent + len(d.whole) - 1
	if len(d.whole) == 0 {
		zeros := len(d.fraction) - len(bytes.TrimLeft(d.fraction, "0"))
		d.fraction = d.fraction[zeros:]
		d.top -= zeros
	}
	return d, true
}

// compare is -1, 0 or 1 as d is less than, equal to or greater than o.
func (d *decimal) compare(o *decimal) int {
	switch {
	case d.isZero() && o.isZero():
		return 0
	case d.isZero():
		return sign(!o.negative)
	case o.isZero() || d.negative != o.negative:
		return sign(d.negative)
	case d.top != o.top:
		return sign((d.top < o.top) != d.negative)
	}
	for i := range max(len(d.whole)+len(d.fraction), len(o.whole)+len(o.fraction)) {
		if a, b := d.digit(i), o.digit(i); a != b {
			return sign((a < b) != d.negative)
		}
	}
	return 0
}

func sign(negative bool) int {
	if negative {
		return -1
	}
	return 1
}

// isNumber says whether text is a number as patterns and space-delimited events have it: an integer or decimal with an optional
// sign, and an optional exponent.
func isNumber[T string | []byte](text T) bool {
	i := 0
	digits := func() int {
		from := i
		for i < len(text) && '0' <= text[i] && text[i] <= '9' {
			i++
		}
		return i - from
	}
	sign := func() {
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
	}
	sign()
	n := digits()
	if i < len(text) && text[i] == '.' {
		i++
		n += digits()
	}
	if n == 0 {
		return false
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		i++
		sign()
		if digits() == 0 {
			return false
		}
	}
	return i == len(text)
}

func isWhole(number []byte) bool { return !bytes.ContainsAny(number, ".eE") }

// exactDigits is how many significant digits a decimal may have to come back unchanged from a double.
const exactDigits = 15

// numberValueOf is the value of a JSON number. It is false for a number beyond the doubles.
func numberValueOf(number []byte) (decimal, bool) {
	d, ok := parseDecimal(number)
	if ok && (isWhole(number) || len(d.whole)+len(d.fraction) <= exactDigits) && -300 < d.top && d.top < 300 {
		return d, true
	}
	double, err := strconv.ParseFloat(string(number), 64)
	if err != nil {
		return decimal{}, false
	}
	if isWhole(number) {
		return d, true
	}
	return parseDecimal(strconv.AppendFloat(nil, double, 'e', -1, 64))
}

// numberText is what a JSON number is when it is compared with a string, a wildcard or a regular expression, or is a dimension's
// value. A whole number is itself. Any other is written as AWS's platform, Java, writes a double: 1.50 is 1.5, and 1e3 is 1000.0.
func numberText(number []byte) []byte {
	if isWhole(number) {
		if string(number) == "-0" {
			return number[1:]
		}
		return number
	}
	double, _ := strconv.ParseFloat(string(number), 64) // beyond the doubles it is an infinity
	if math.IsInf(double, 0) {
		return bytes.TrimPrefix([]byte(strconv.FormatFloat(double, 'g', -1, 64)+"inity"), []byte("+"))
	}
	if abs := math.Abs(double); double == 0 || 1e-3 <= abs && abs < 1e7 {
		text := strconv.AppendFloat(nil, double, 'f', -1, 64)
		if isWhole(text) {
			text = append(text, ".0"...)
		}
		return text
	}
	mantissa, exponent, _ := bytes.Cut(strconv.AppendFloat(nil, double, 'E', -1, 64), []byte("E"))
	if isWhole(mantissa) {
		mantissa = append(mantissa[:len(mantissa):len(mantissa)], ".0"...)
	}
	e, _ := strconv.Atoi(string(exponent))
	return strconv.AppendInt(append(mantissa, 'E'), int64(e), 10)
}
