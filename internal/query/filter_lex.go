package query

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The words of JSON and space-delimited patterns. AWS takes the whole pattern apart into words before it looks at their order, so
// that a character that begins no word is what it complains of first.

type tokenKind int

const (
	tokenEnd      tokenKind = iota
	tokenPath               // $.a.b[0]
	tokenString             // "…"
	tokenRegex              // %…%
	tokenWord               // a value or a field's name without quotes
	tokenNumber             // a word that is a number
	tokenOperator           // = != < <= > >=
	tokenAnd                // &&
	tokenOr                 // ||
	tokenOpen               // (
	tokenClose              // )
	tokenComma              // ,
	tokenEllipsis           // ...
)

type token struct {
	kind   tokenKind
	at     int
	source string // as it stands in the pattern
	text   string // of a string: without quotes and escapes
	path   path
	regex  *regexp.Regexp
}

type lexer struct {
	text   string
	at     int
	inJSON bool // paths are words, and commas are not
}

// tokens takes text apart. base is where text begins in the pattern.
func tokens(text string, base int, inJSON bool) ([]token, *SyntaxError) {
	l := lexer{text: text, inJSON: inJSON}
	var all []token
	for {
		for l.at < len(text) && isSpace(text[l.at]) {
			l.at++
		}
		start := l.at
		t := token{at: base + start}
		if l.at < len(text) {
			if err := l.token(&t); err != nil {
				err.Offset = base + start
				return nil, err
			}
			t.source = text[start:l.at]
		}
		all = append(all, t)
		if t.kind == tokenEnd {
			return all, nil
		}
	}
}

func (l *lexer) token(t *token) (err *SyntaxError) {
	switch c := l.text[l.at]; {
	case c == '"':
		t.kind = tokenString
		t.text, err = l.quoted()
	case c == '%':
		t.kind = tokenRegex
		t.regex, err = l.regex()
	case c == '$' && l.inJSON:
		t.kind = tokenPath
		t.path, err = l.path()
	case c == ',' && !l.inJSON:
		t.kind = tokenComma
		l.at++
	case c == '(':
		t.kind = tokenOpen
		l.at++
	case c == ')':
		t.kind = tokenClose
		l.at++
	case c == '=':
		t.kind = tokenOperator
		l.at++
	case c == '<' || c == '>':
		t.kind = tokenOperator
		l.at++
		if l.at < len(l.text) && l.text[l.at] == '=' {
			l.at++
		}
	case c == '!':
		t.kind = tokenOperator
		err = l.pair('=')
	case c == '&':
		t.kind = tokenAnd
		err = l.pair('&')
	case c == '|':
		t.kind = tokenOr
		err = l.pair('|')
	default:
		t.kind, err = l.word()
	}
	return err
}

// pair passes over an operator of two characters of which the second is c.
func (l *lexer) pair(c byte) *SyntaxError {
	if l.at+1 >= len(l.text) || l.text[l.at+1] != c {
		return l.invalid(l.at, l.at+1)
	}
	l.at += 2
	return nil
}

// word passes over letters, digits and the symbols that may stand without quotes. The guide says that a value with anything but
// letters, digits and underscores needs quotes, and then shows 123.123.* and 1e-3 without. The service takes periods and asterisks
// everywhere; that it takes the hyphen inside a word (us-east-1) too is decided here.
func (l *lexer) word() (tokenKind, *SyntaxError) {
	start := l.at
	plus := -1
	for l.at < len(l.text) {
		r, size := utf8.DecodeRuneInString(l.text[l.at:])
		if r == '+' && plus < 0 {
			plus = l.at
		}
		if !isWordRune(r) && !strings.ContainsRune(".*-+", r) {
			break
		}
		l.at += size
	}
	word := l.text[start:l.at]
	switch {
	case word == "":
		return 0, l.invalid(start, start)
	case isNumber(word):
		return tokenNumber, nil
	case plus >= 0: // which only numbers have
		return 0, l.invalid(plus, plus)
	case word == "..." && !l.inJSON:
		return tokenEllipsis, nil
	}
	return tokenWord, nil
}

// isWordRune says whether r may stand in a term without quotes: AWS's "alphanumeric characters", which it takes from any script,
// and the underscore.
func isWordRune(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r)
}

// quoted reads a string in double quotes, in which \" is a quote and \\ a backslash. A backslash before anything else is itself:
// the guide does not say, and patterns are full of them.
func (l *lexer) quoted() (string, *SyntaxError) {
	start := l.at
	var text strings.Builder
	for l.at++; l.at < len(l.text); l.at++ {
		c := l.text[l.at]
		switch {
		case c == '"':
			l.at++
			return text.String(), nil
		case c == '\\' && l.at+1 < len(l.text) && (l.text[l.at+1] == '"' || l.text[l.at+1] == '\\'):
			l.at++
			c = l.text[l.at]
		}
		text.WriteByte(c)
	}
	return "", l.invalid(start, l.at)
}

// invalid is the error of a word that began at start and was given up at the character at stop. AWS names both ends.
func (l *lexer) invalid(start, stop int) *SyntaxError {
	_, size := utf8.DecodeRuneInString(l.text[min(stop, len(l.text)):])
	return invalidTerm(l.text[start:min(stop+size, len(l.text))], start)
}
