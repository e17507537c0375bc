package policy

import (
	"strings"
	"unicode/utf8"
)

// Wildcards in a compiled text. Neither byte is in any UTF-8 text, so what is literal cannot be taken for one.
const (
	anyRun = 0xff // * any run of characters, also none
	anyOne = 0xfe // ? one character
)

// pattern is a text of a policy compiled to its cheapest form: plain, with wildcards, or with variables.
type pattern struct {
	text string
	form form
	fold bool   // text is in lower case, and ASCII letters match in either case
	with []part // of form expanded
}

type form uint8

const (
	literal  form = iota
	prefix        // text*
	glob          // with wildcards elsewhere
	expanded      // with variables, whose values are known when the question is asked
)

// syntax says what in a text is more than itself.
type syntax uint8

const (
	wildcards syntax = 1 << iota // * and ?
	variables                    // ${key}, ${key, 'default'}, and the escapes ${*}, ${?} and ${$}
)

func compilePattern(text string, with syntax) pattern {
	if with&variables != 0 && strings.Contains(text, "${") {
		parts := parseVariables(text, with)
		if len(parts) != 1 || parts[0].key != "" {
			return pattern{form: expanded, with: parts}
		}
		return patternOf(parts[0].text) // escapes only
	}
	if with&wildcards != 0 {
		text = markWildcards.Replace(text)
	}
	return patternOf(text)
}

// compileFolded is a pattern with wildcards that matches ASCII letters in either case.
func compileFolded(text string) pattern {
	p := patternOf(markWildcards.Replace(strings.ToLower(text)))
	p.fold = true
	return p
}

var markWildcards = strings.NewReplacer("*", string([]byte{anyRun}), "?", string([]byte{anyOne}))

func patternOf(marked string) pattern {
	switch i := indexWildcard(marked); {
	case i < 0:
		return pattern{text: marked, form: literal}
	case i == len(marked)-1 && marked[i] == anyRun:
		return pattern{text: marked[:i], form: prefix}
	}
	return pattern{text: marked, form: glob}
}

func indexWildcard(s string) int {
	for i := range len(s) {
		if s[i] >= anyOne {
			return i
		}
	}
	return -1
}

// match asks q for the values of variables. One that has none makes the pattern match nothing.
func (p *pattern) match(s string, q *Request) bool {
	switch p.form {
	case literal:
		return len(s) == len(p.text) && p.starts(s)
	case prefix:
		return len(s) >= len(p.text) && p.starts(s)
	case glob:
		return globs(p.text, s, p.fold)
	}
	var room [256]byte
	text, ok := appendParts(room[:0], p.with, q)
	return ok && globs(text, s, false)
}

// matchFold is match without regard to case. It is for patterns without wildcards.
func (p *pattern) matchFold(s string, q *Request) bool {
	if p.form != expanded {
		return strings.EqualFold(p.text, s)
	}
	var room [256]byte
	text, ok := appendParts(room[:0], p.with, q)
	return ok && strings.EqualFold(string(text), s)
}

// starts reports whether s, which is at least as long, starts with the pattern's text.
func (p *pattern) starts(s string) bool {
	if !p.fold {
		return s[:len(p.text)] == p.text
	}
	for i := range len(p.text) {
		if lower(s[i]) != p.text[i] {
			return false
		}
	}
	return true
}

// globs matches in time proportional to len(s)*len(pattern) at worst: of the runs that have been passed, only the last one
// ever needs to take more.
func globs[Text string | []byte](pattern Text, s string, fold bool) bool {
	i, j := 0, 0        // in s and in the pattern
	run, taken := -1, 0 // the last run, and up to where in s it has taken
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == anyRun:
			run, taken = j, i
			j++
		case j < len(pattern) && pattern[j] == anyOne:
			i += width(s[i:])
			j++
		case j < len(pattern) && (pattern[j] == s[i] || fold && pattern[j] == lower(s[i])):
			i++
			j++
		case run >= 0:
			taken += width(s[taken:])
			i, j = taken, run+1
		default:
			return false
		}
	}
	for j < len(pattern) && pattern[j] == anyRun {
		j++
	}
	return j == len(pattern)
}

// width is the length of the first character. A byte that is not UTF-8 counts as one.
func width(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// arnPattern matches ARNs part by part: a wildcard, or what a variable stands for, does not reach over the colon into the next
// part, save in the last part, which may hold colons itself. Case counts.
type arnPattern struct {
	any   bool       // the pattern is a lone *
	parts [6]pattern // arn, partition, service, region, account, resource
}

// compileARNPattern reports whether text is * or has the six parts of an ARN. The last of them may have variables if last says so,
// the others if others does.
func compileARNPattern(text string, last, others syntax) (arnPattern, bool) {
	if text == "*" {
		return arnPattern{any: true}, true
	}
	parts, ok := splitARN(text)
	if !ok || parts[0] != "arn" || parts[1] == "" || parts[2] == "" || parts[5] == "" {
		return arnPattern{}, false
	}
	var p arnPattern
	for i, part := range parts {
		with := others
		if i == len(parts)-1 {
			with = last
		}
		p.parts[i] = compilePattern(part, with)
	}
	return p, true
}

// splitARN splits at the first five colons that are not inside ${}.
func splitARN(text string) (parts [6]string, ok bool) {
	n, start, inside := 0, 0, false
	for i := 0; i < len(text) && n < len(parts)-1; i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			inside = true
		case text[i] == '}':
			inside = false
		case text[i] == ':' && !inside:
			parts[n] = text[start:i]
			n, start = n+1, i+1
		}
	}
	parts[n] = text[start:]
	return parts, n == len(parts)-1
}

func (p *arnPattern) match(arn string, q *Request) bool {
	if p.any {
		return true
	}
	for i := range len(p.parts) - 1 {
		part, rest, ok := strings.Cut(arn, ":")
		if !ok || !p.parts[i].match(part, q) {
			return false
		}
		arn = rest
	}
	return p.parts[len(p.parts)-1].match(arn, q)
}
