package pattern

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxBranches is how many combinations the uses of $or in one pattern may multiply to (User Guide, "Complex example
// with $or matching").
const maxBranches = 1000

// Parse reads an event pattern. A pattern that EventBridge refuses gives an *Error with its text; so does one that goes
// on after its closing brace, which EventBridge's compiler does not look at.
func Parse(text string) (p *Pattern, err error) {
	if n := utf8.RuneCountInString(text); n > MaxLength {
		return nil, &Error{Reason: fmt.Sprintf("Event pattern is %d characters long, the limit is %d", n, MaxLength)}
	}
	if !utf8.ValidString(text) {
		return nil, &Error{Reason: "Event pattern is not valid UTF-8"}
	}
	defer func() {
		if r := recover(); r != nil {
			refusal, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			p, err = nil, refusal
		}
	}()
	c := compiler{lexer: lexer{text: text}}
	c.pattern()

	p = &Pattern{text: text}
	for _, fork := range c.forks {
		conditions := slices.SortedFunc(maps.Values(fork), func(a, b *condition) int { return strings.Compare(a.field, b.field) })
		p.branches = append(p.branches, conditions)
	}
	p.matcher.init([][]branch{p.branches})
	return p, nil
}

// compiler turns the tokens of a pattern into branches.
type compiler struct {
	lexer
	path  []string
	forks []map[string]*condition // by field; a later condition on a field takes the place of an earlier one
}

// pattern = object
func (c *compiler) pattern() {
	if c.next() != tokObject {
		c.fail("Filter is not an object")
	}
	c.object(false)
	if c.next() != tokEnd {
		c.fail("Only one JSON object is allowed as event pattern")
	}
}

// object = "{" field *( "," field ) "}"
func (c *compiler) object(insideOr bool) {
	empty := true
	for c.next() != tokObjectEnd {
		empty = false
		name := c.name
		if name == "$or" {
			c.or()
			continue
		}
		if insideOr && slices.Contains(reservedInOr, name) {
			c.fail(name + " is Ruler reserved fieldName which cannot be used inside $or.")
		}
		c.path = append(c.path, name)
		switch c.next() {
		case tokObject:
			c.object(insideOr)
		case tokArray:
			c.add(c.condition())
		default:
			c.fail(fmt.Sprintf(`"%s" must be an object or an array`, name))
		}
		c.path = c.path[:len(c.path)-1]
	}
	if empty {
		c.fail("Empty objects are not allowed")
	}
}

// or = "[" object 1*( "," object ) "]"
//
// Each object goes on from all branches there are so far.
func (c *compiler) or() {
	before := c.forks
	if len(before) == 0 {
		before = []map[string]*condition{{}}
	}
	if c.next() != tokArray {
		c.fail("It must be an Array followed with $or.")
	}
	var after []map[string]*condition
	objects := 0
	for c.next() != tokArrayEnd {
		objects++
		if c.tok != tokObject {
			c.fail("Only JSON object is allowed in array of $or relationship.")
		}
		c.forks = make([]map[string]*condition, 0, len(before))
		for _, fork := range before {
			c.forks = append(c.forks, maps.Clone(fork))
		}
		c.object(true)
		after = append(after, c.forks...)
		if len(after) > maxBranches {
			panic(&Error{Reason: fmt.Sprintf("Rule is too complex - the use of $or results in over %d rule combinations",
				maxBranches)})
		}
	}
	if objects < 2 {
		c.fail("There must have at least 2 Objects in $or relationship.")
	}
	c.forks = after
}

// reservedInOr are the names that the engine keeps for operators, present and future (its Constants).
var reservedInOr = []string{
	"exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
	"=", "<", "<=", ">", ">=",
	"regex", "not-wildcard", "not-equals-ignore-case",
	"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range",
	"ip-address-in-range", "ip-address-not-in-range",
}

func (c *compiler) add(cond *condition) {
	if len(c.forks) == 0 {
		c.forks = []map[string]*condition{{}}
	}
	for _, fork := range c.forks {
		fork[cond.field] = cond
	}
}

// condition = "[" alternative *( "," alternative ) "]"
// alternative = string / number / "true" / "false" / "null" / operator
func (c *compiler) condition() *condition {
	cond := &condition{field: strings.Join(c.path, ".")}
	begin := c.begin
	for c.next() != tokArrayEnd {
		switch c.tok {
		case tokObject:
			alt := c.operator()
			if alt.op == opAbsent {
				cond.absent = true
				continue
			}
			cond.alternatives = append(cond.alternatives, alt)
		case tokString:
			cond.alternatives = append(cond.alternatives, equalTo(c.string()))
		case tokNumber:
			cond.alternatives = append(cond.alternatives, equalToNumber(c.string()))
		case tokTrue, tokFalse, tokNull:
			cond.alternatives = append(cond.alternatives, alternative{op: opLiteral, text: c.string()})
		default:
			c.fail("Match value must be String, number, true, false, or null")
		}
	}
	if len(cond.alternatives) == 0 && !cond.absent {
		c.fail("Empty arrays are not allowed")
	}
	if complexity(cond.alternatives) >= maxComplexity {
		panic(&Error{Reason: "Rule is too complex - try using fewer wildcard characters or fewer repeating character " +
			"sequences after a wildcard character"})
	}
	cond.source = c.text[begin:c.pos]
	return cond
}

// equalTo is a plain string. One that is an IP address is compared as an address, in any of its spellings.
func equalTo(text string) alternative {
	if addr, ok := parseAddress(text); ok {
		return alternative{op: opAddress, addr: addr}
	}
	return alternative{op: opString, text: text}
}

// equalToNumber is a plain number. One that can't be compared as such is compared by its text.
func equalToNumber(text string) alternative {
	f, ok := comparableNumber(text)
	return alternative{op: opNumber, text: text, num: f, numeric: ok}
}
