package policy

import "strings"

// pattern is text with the wildcards * (any run of characters, also none) and ? (one character), compiled to its cheapest form.
type pattern struct {
	text string
	form form
	fold bool // text is in lower case, and ASCII letters match in either case
}

type form uint8

const (
	literal form = iota
	prefix       // text*
	glob
)

func compilePattern(text string, fold bool) pattern {
	if fold {
		text = strings.ToLower(text)
	}
	switch i := strings.IndexAny(text, "*?"); {
	case i < 0:
		return pattern{text, literal, fold}
	case i == len(text)-1 && text[i] == '*':
		return pattern{text[:i], prefix, fold}
	}
	return pattern{text, glob, fold}
}

func (p *pattern) match(s string) bool {
	switch p.form {
	case literal:
		return len(s) == len(p.text) && p.starts(s)
	case prefix:
		return len(s) >= len(p.text) && p.starts(s)
	}
	return p.globs(s)
}

// starts reports whether s, which is at least as long, starts with the pattern's text.
func (p *pattern) starts(s string) bool {
	if !p.fold {
		return s[:len(p.text)] == p.text
	}
	for i := 0; i < len(p.text); i++ {
		if lower(s[i]) != p.text[i] {
			return false
		}
	}
	return true
}

// globs matches in time proportional to len(s)*len(p.text) at worst: of the stars that have been passed, only the last one
// ever needs to take more.
func (p *pattern) globs(s string) bool {
	i, j := 0, 0         // in s and in the pattern
	star, taken := -1, 0 // the last star, and up to where in s it has taken
	for i < len(s) {
		switch {
		case j < len(p.text) && p.text[j] == '*':
			star, taken = j, i
			j++
		case j < len(p.text) && (p.text[j] == '?' || p.text[j] == p.char(s[i])):
			i++
			j++
		case star >= 0:
			taken++
			i, j = taken, star+1
		default:
			return false
		}
	}
	for j < len(p.text) && p.text[j] == '*' {
		j++
	}
	return j == len(p.text)
}

func (p *pattern) char(c byte) byte {
	if p.fold {
		return lower(c)
	}
	return c
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// arnPattern matches ARNs part by part: a wildcard does not reach over the colon into the next part, save in the last
// part, which may hold colons itself. Case counts.
type arnPattern struct {
	any   bool       // the pattern is a lone *
	parts [6]pattern // arn, partition, service, region, account, resource
}

// compileARNPattern reports whether text is * or has the six parts of an ARN.
func compileARNPattern(text string) (arnPattern, bool) {
	if text == "*" {
		return arnPattern{any: true}, true
	}
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[1] == "" || parts[2] == "" || parts[5] == "" {
		return arnPattern{}, false
	}
	var p arnPattern
	for i, part := range parts {
		p.parts[i] = compilePattern(part, false)
	}
	return p, true
}

func (p *arnPattern) match(arn string) bool {
	if p.any {
		return true
	}
	for i := range 5 {
		part, rest, ok := strings.Cut(arn, ":")
		if !ok || !p.parts[i].match(part) {
			return false
		}
		arn = rest
	}
	return p.parts[5].match(arn)
}
