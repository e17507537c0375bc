package query

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"
)

// termPattern is a pattern for unstructured log events. One with no terms matches every message.
type termPattern struct {
	include  [][]byte // all of them occur; a term may be part of a longer word
	exclude  [][]byte // none of them occurs
	optional [][]byte // one of them occurs; only where there is nothing else
	regex    *regexp.Regexp
}

// parseTermPattern reads terms: ERROR "two words" -DEBUG, or ?ERROR ?WARN.
func parseTermPattern(text string) (*Filter, *SyntaxError) {
	l := lexer{text: text}
	p := &termPattern{}
	apart := true // from the term before, by white space or a sign
	for l.at < len(text) {
		if isSpace(text[l.at]) {
			l.at++
			apart = true
			continue
		}
		// White space separates terms, but not those with a sign: a-b is a and -b. The sign may stand apart from its term; the
		// guide of 2020 has an example of that.
		into := &p.include
		switch text[l.at] {
		case '-':
			into, apart = &p.exclude, true
			l.skipSign()
		case '?':
			into, apart = &p.optional, true
			l.skipSign()
		}
		at := l.at
		term, err := l.term()
		if err != nil {
			return nil, err
		}
		if term == "" || !apart {
			return nil, &SyntaxError{Offset: at}
		}
		*into = append(*into, []byte(term))
		apart = false
	}
	// "If you combine ? with other filter patterns, all question mark terms will be ignored."
	if len(p.include)+len(p.exclude) > 0 {
		p.optional = nil
	}
	return &Filter{form: p}, nil
}

// parseRegexPattern reads one regular expression, which is all that such a pattern may have.
func parseRegexPattern(text string) (*Filter, *SyntaxError) {
	if len(text) < 2 || text[len(text)-1] != '%' {
		return nil, mustEndWith('%', '%', len(text))
	}
	l := lexer{text: text}
	regex, err := l.regex()
	if err != nil {
		return nil, err
	}
	if l.at < len(text) {
		return nil, l.invalid(l.at, l.at)
	}
	return &Filter{form: &termPattern{regex: regex}, regexes: 1}, nil
}

func (l *lexer) skipSign() {
	for l.at++; l.at < len(l.text) && isSpace(l.text[l.at]); l.at++ {
	}
}

// term reads a word or a phrase. It is empty if a sign or the end is next.
func (l *lexer) term() (string, *SyntaxError) {
	start := l.at
	if l.at < len(l.text) && l.text[l.at] == '"' {
		if strings.HasPrefix(l.text[l.at:], `""`) {
			return "", l.invalid(start, start+1)
		}
		return l.quoted()
	}
	for l.at < len(l.text) {
		r, size := utf8.DecodeRuneInString(l.text[l.at:])
		if !isWordRune(r) && r != '.' {
			break
		}
		l.at += size
	}
	if l.at == start && l.at < len(l.text) && l.text[l.at] != '-' && l.text[l.at] != '?' {
		return "", l.invalid(start, start)
	}
	return l.text[start:l.at], nil
}

func (p *termPattern) kind() Kind { return Unstructured }

func (p *termPattern) match(message []byte) bool {
	if p.regex != nil {
		return p.regex.Match(message)
	}
	for _, term := range p.include {
		if !bytes.Contains(message, term) {
			return false
		}
	}
	for _, term := range p.exclude {
		if bytes.Contains(message, term) {
			return false
		}
	}
	return len(p.optional) == 0 || containsAny(message, p.optional)
}

func containsAny(message []byte, terms [][]byte) bool {
	for _, term := range terms {
		if bytes.Contains(message, term) {
			return true
		}
	}
	return false
}

func (p *termPattern) terms() []Group {
	var all []Group
	for _, term := range p.include {
		all = append(all, Group{term})
	}
	if len(p.optional) > 0 {
		all = append(all, Group(p.optional))
	}
	if p.regex != nil {
		if prefix, _ := p.regex.LiteralPrefix(); prefix != "" {
			all = append(all, Group{[]byte(prefix)})
		}
	}
	return all
}

func (p *termPattern) values() [][]FieldValue { return nil }

func (p *termPattern) selector(string) (source, error) { return nil, &SyntaxError{} }
