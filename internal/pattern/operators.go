package pattern

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
)

const onlyOneKey = "Only one key allowed in match expression"

// operator = "{" name ":" operand "}"
func (c *compiler) operator() alternative {
	if c.next() != tokName {
		c.fail("Match expression name not found")
	}
	switch name := c.name; name {
	case "exactly":
		return c.oneKey(alternative{op: opString, text: c.stringOperand("exact")})
	case "prefix", "suffix":
		return c.affix(name)
	case "equals-ignore-case":
		return c.oneKey(foldAlternative(opFold, c.stringOperand("equals-ignore-case")))
	case "wildcard":
		return c.oneKey(c.wildcard(c.stringOperand("wildcard")))
	case "numeric":
		return c.numeric()
	case "cidr":
		return c.oneKey(c.cidr(c.stringOperand("prefix"))) // EventBridge says "prefix" here too
	case "exists":
		return c.exists()
	case "anything-but":
		return c.anythingBut()
	default:
		c.fail("Unrecognized match type " + name)
	}
	return alternative{}
}

// oneKey reads the closing brace of an operator.
func (c *compiler) oneKey(alt alternative) alternative {
	c.close(onlyOneKey)
	return alt
}

func (c *compiler) close(otherwise string) {
	if c.next() != tokObjectEnd {
		c.fail(otherwise)
	}
}

func (c *compiler) stringOperand(what string) string {
	if c.next() != tokString {
		c.fail(what + " match pattern must be a string")
	}
	return c.string()
}

// affix = string / "{" "equals-ignore-case" ":" string "}"
func (c *compiler) affix(name string) alternative {
	plain, fold, title := opPrefix, opPrefixFold, "Prefix"
	if name == "suffix" {
		plain, fold, title = opSuffix, opSuffixFold, "Suffix"
	}
	switch c.next() {
	case tokString:
		return c.oneKey(alternative{op: plain, text: c.string()})
	case tokObject:
	default:
		c.fail(name + " match pattern must be a string")
	}
	if c.next() != tokName {
		c.fail(title + " expression name not found")
	}
	if c.name != "equals-ignore-case" {
		c.fail("Unsupported " + name + " pattern: " + c.name)
	}
	alt := foldAlternative(fold, c.stringOperand("equals-ignore-case"))
	c.close(onlyOneKey)
	return c.oneKey(alt)
}

func (c *compiler) wildcard(text string) alternative {
	glob, reason := parseGlob(text)
	if reason != "" {
		c.fail(reason)
	}
	return alternative{op: opWildcard, text: text, glob: glob}
}

func (c *compiler) exists() alternative {
	alt := alternative{op: opExists}
	switch c.next() {
	case tokTrue:
	case tokFalse:
		alt.op = opAbsent
	default:
		c.fail("exists match pattern must be either true or false.")
	}
	return c.oneKey(alt)
}

// numeric = "[" "=" "," number "]" / "[" bound "," number [ "," upper-bound "," number ] "]"
func (c *compiler) numeric() alternative {
	if c.next() != tokArray {
		c.fail("Value of numeric must be an array.")
	}
	if c.next() != tokString {
		c.fail("Invalid member in numeric match: " + c.string())
	}
	op := c.string()
	alt := alternative{op: opRange, low: math.Inf(-1), high: math.Inf(1)}
	// Whether the operator is known is asked after its operand was read.
	c.next()
	operand := func(name string) float64 {
		if c.tok != tokNumber {
			c.fail("Value of " + name + " must be numeric")
		}
		f, ok := comparableNumber(c.string())
		if !ok {
			text := c.string()
			c.skipToBound(op)
			c.fail("Cannot compare number : " + text)
		}
		return f
	}
	switch op {
	case "=":
		alt.low = operand("equals")
		alt.high = alt.low
		c.endNumeric()
	case "<", "<=":
		alt.high = operand(op)
		if op == "<" {
			alt.high = math.Nextafter(alt.high, math.Inf(-1))
		}
		c.endNumeric()
	case ">", ">=":
		bottom := operand(op)
		alt.low = bottom
		if op == ">" {
			alt.low = math.Nextafter(bottom, math.Inf(1))
		}
		if c.next() != tokArrayEnd {
			c.upperBound(bottom, &alt)
		}
	default:
		c.fail("Unrecognized numeric range operator: " + op)
	}
	c.close("Too many elements in numeric expression")
	return alt
}

func (c *compiler) endNumeric() {
	if c.next() != tokArrayEnd {
		c.fail("Too many elements in numeric expression")
	}
}

// skipToBound reads on to where the engine compares the numbers, which is after it has read all of them.
func (c *compiler) skipToBound(op string) {
	if op == ">" || op == ">=" {
		if c.next() != tokArrayEnd {
			c.upperBound(math.Inf(-1), &alternative{})
		}
		return
	}
	c.endNumeric()
}

func (c *compiler) upperBound(bottom float64, alt *alternative) {
	if c.tok != tokString {
		c.fail("Bad value in numeric range: " + c.string())
	}
	op := c.string()
	if op != "<" && op != "<=" {
		c.fail("Bad numeric range operator: " + op)
	}
	if c.next() != tokNumber {
		c.fail("Value of " + op + " must be numeric")
	}
	text := c.string()
	if c.next() != tokArrayEnd {
		c.fail("Too many terms in numeric range expression")
	}
	top, ok := comparableNumber(text)
	if !ok {
		c.fail("Cannot compare number : " + text)
	}
	if bottom >= top {
		c.fail("Bottom must be less than top")
	}
	alt.high = top
	if op == "<" {
		alt.high = math.Nextafter(top, math.Inf(-1))
	}
}

// cidr is a block of addresses; the bits after the mask don't matter. As in the engine, and unlike CIDR elsewhere, a
// block of one address is refused. Its refusals have no place.
func (c *compiler) cidr(text string) alternative {
	refuse := func(reason string) { panic(&Error{Reason: reason}) }
	parts := strings.Split(strings.TrimRight(text, "/"), "/")
	if len(parts) != 2 {
		refuse("Malformed CIDR, one '/' required")
	}
	ip := parts[0]
	bits, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		refuse("Malformed CIDR, mask bits must be an integer")
	}
	if bits < 0 {
		refuse("Malformed CIDR, mask bits must not be negative")
	}
	if _, ok := looksLikeAddress(ip); !ok {
		refuse("Nonstandard IP address: " + ip)
	}
	addr, ok := parseAddress(ip)
	if !ok {
		refuse("Invalid IP address: " + ip)
	}
	if addr.Is4() && bits > 31 {
		refuse("IPv4 mask bits must be < 32")
	}
	if addr.Is6() && bits > 127 {
		refuse("IPv6 mask bits must be < 128")
	}
	return alternative{op: opCIDR, block: netip.PrefixFrom(addr, int(bits)).Masked()}
}

// anything-but = string / number / list / "{" inner ":" ( string / list ) "}"
// inner = "prefix" / "suffix" / "equals-ignore-case" / "wildcard"
func (c *compiler) anythingBut() alternative {
	inner := ""
	if c.next() == tokObject {
		if c.next() != tokName {
			c.fail("Anything-But expression name not found")
		}
		switch inner = c.name; inner {
		case "prefix", "suffix", "equals-ignore-case", "wildcard":
		default:
			c.fail("Unsupported anything-but pattern: " + inner)
		}
		c.next()
	}
	alt := alternative{op: opNot}
	switch {
	case c.tok == tokArray && inner == "":
		alt.others = c.otherList()
	case c.tok == tokArray:
		for c.next() != tokArrayEnd {
			alt.others = append(alt.others, c.otherThan(inner, c.failTwice))
		}
		if len(alt.others) == 0 {
			// The engine takes it and then never matches.
			c.fail("Empty arrays are not allowed")
		}
		c.readGlobs(alt.others)
	case c.tok != tokString && c.tok != tokNumber:
		c.fail("Value of anything-but must be an array or single string/number value.")
	case inner != "":
		alt.others = []alternative{c.otherThan(inner, c.fail)}
		c.readGlobs(alt.others)
	case c.tok == tokNumber:
		other := equalToNumber(c.string())
		if !other.numeric {
			panic(&Error{Reason: "Cannot compare number : " + other.text})
		}
		alt.others = []alternative{other}
	default:
		alt.others = []alternative{{op: opString, text: c.string()}}
	}
	c.close("Too many elements in numeric expression")
	if inner != "" {
		c.close("Too many elements in numeric expression")
	}
	return alt
}

// otherList is a list of strings or of numbers that a value must not equal.
func (c *compiler) otherList() []alternative {
	var others []alternative
	numbers, strings := false, false
	for c.next() != tokArrayEnd {
		switch c.tok {
		case tokString:
			strings = true
			others = append(others, alternative{op: opString, text: c.string()})
		case tokNumber:
			numbers = true
			other := equalToNumber(c.string())
			if !other.numeric {
				c.fail("Cannot compare number : " + other.text)
			}
			others = append(others, other)
		default:
			c.failTwice("Inside anything but list, start|null|boolean is not supported.")
		}
	}
	if numbers == strings {
		c.fail("Inside anything but list, either all values are number or string, mixed type is not supported")
	}
	return others
}

// otherThan is one operand of an operator inside anything-but.
func (c *compiler) otherThan(inner string, fail func(reason string)) alternative {
	ops := map[string]op{"prefix": opPrefix, "suffix": opSuffix, "equals-ignore-case": opFold, "wildcard": opWildcard}
	if c.tok != tokString {
		switch inner {
		case "equals-ignore-case":
			fail("Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.")
		case "wildcard":
			fail("wildcard match pattern must be a string")
		default:
			fail("prefix/suffix match pattern must be a string")
		}
	}
	text := c.string()
	if text == "" && (inner == "prefix" || inner == "suffix") {
		fail("Null prefix/suffix not allowed")
	}
	if inner == "equals-ignore-case" {
		return foldAlternative(opFold, text)
	}
	return alternative{op: ops[inner], text: text}
}

// readGlobs reads the wildcards among others, which the engine does after it has read all of them.
func (c *compiler) readGlobs(others []alternative) {
	for i := range others {
		if others[i].op == opWildcard {
			others[i] = c.wildcard(others[i].text)
		}
	}
}

func (c *compiler) failTwice(reason string) {
	line, column := c.lineColumn(c.pos)
	panic(&Error{Reason: reason, Line: line, Column: column, source: c.text, twice: true})
}
