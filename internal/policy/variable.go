package policy

import "strings"

// part is a piece of a text with variables: literal text (with its wildcards marked), or a variable.
type part struct {
	text     string // of literal text; of a variable its default
	key      string // of a variable, in lower case; empty for literal text
	fallback bool   // the variable has a default
}

// noKey is the key of a variable that cannot have a value, such as ${} or one that is not closed.
const noKey = "${"

// parseVariables takes a text of the language's newer version apart. Neighbouring literal text is one part.
func parseVariables(text string, with syntax) (parts []part) {
	addText := func(s string) {
		if n := len(parts); n > 0 && parts[n-1].key == "" {
			parts[n-1].text += s
		} else if s != "" {
			parts = append(parts, part{text: s})
		}
	}
	for {
		before, rest, found := strings.Cut(text, "${")
		if with&wildcards != 0 {
			before = markWildcards.Replace(before)
		}
		addText(before)
		if !found {
			break
		}
		inside, after, closed := cutVariable(rest)
		switch {
		case closed && (inside == "*" || inside == "?" || inside == "$"):
			addText(inside)
		case closed:
			parts = append(parts, parseVariable(inside))
		default:
			return append(parts, part{key: noKey})
		}
		text = after
	}
	if parts == nil {
		parts = []part{{}}
	}
	return parts
}

// cutVariable cuts after the brace that closes a variable. A brace in a quoted default does not.
func cutVariable(s string) (inside, after string, closed bool) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '\'':
			quoted = !quoted
		case s[i] == '}' && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return "", "", false
}

// parseVariable reads what is between the braces: key, or key, 'default'.
func parseVariable(inside string) part {
	key, rest, hasDefault := strings.Cut(inside, ",")
	p := part{key: strings.ToLower(strings.TrimSpace(key))}
	if p.key == "" {
		return part{key: noKey}
	}
	if !hasDefault {
		return p
	}
	rest = strings.TrimSpace(rest)
	if len(rest) < 2 || rest[0] != '\'' || rest[len(rest)-1] != '\'' {
		return part{key: noKey}
	}
	p.text, p.fallback = rest[1:len(rest)-1], true
	return p
}

// appendParts appends the text with the values of its variables, which are literal: a wildcard in one is only a character.
// It reports false when a variable has neither one value nor a default. A value that is not UTF-8 is none, as its bytes could
// pass for wildcards.
func appendParts(dst []byte, parts []part, q *Request) ([]byte, bool) {
	for i := range parts {
		p := &parts[i]
		if p.key == "" {
			dst = append(dst, p.text...)
			continue
		}
		values, _ := q.values(p.key)
		switch {
		case len(values) == 1 && indexWildcard(values[0]) < 0:
			dst = append(dst, values[0]...)
		case len(values) == 0 && p.fallback:
			dst = append(dst, p.text...)
		default:
			return dst, false
		}
	}
	return dst, true
}

// values are the request's values of a condition key, which is in lower case.
func (q *Request) values(key string) ([]string, bool) {
	if q.Context == nil {
		return nil, false
	}
	values, ok := q.Context(key)
	return values, ok && len(values) > 0
}
