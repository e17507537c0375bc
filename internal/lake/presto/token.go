package presto

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	end        tokenKind = iota
	word                 // a name or a keyword
	quotedName           // "name"
	text                 // 'text'
	integer
	decimal
	storeID // a UUID as it is
	symbol
)

type position struct{ line, column int }

// token is a piece of a statement.
type token struct {
	kind tokenKind
	text string // without quotes
	at   position
}

func (t token) String() string {
	if t.kind == end {
		return "<EOF>"
	}
	return t.text
}

// tokens cuts a statement up.
func tokens(statement string) ([]token, error) {
	if !utf8.ValidString(statement) || strings.ContainsRune(statement, 0) {
		return nil, &Error{Text: "the statement is not valid text"}
	}
	l := lexer{text: statement, line: 1}
	var all []token
	for {
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		all = append(all, t)
		if t.kind == end {
			return all, nil
		}
	}
}

type lexer struct {
	text      string
	at        int
	line      int
	lineBegin int
}

func (l *lexer) position() position {
	return position{l.line, utf8.RuneCountInString(l.text[l.lineBegin:l.at]) + 1}
}

// skip passes over what has no meaning.
func (l *lexer) skip() error {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case rest[0] == '\n':
			l.at++
			l.line, l.lineBegin = l.line+1, l.at
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r':
			l.at++
		case strings.HasPrefix(rest, "--"):
			if i := strings.IndexByte(rest, '\n'); i >= 0 {
				l.at += i
			} else {
				l.at = len(l.text)
			}
		case strings.HasPrefix(rest, "/*"):
			i := strings.Index(rest[2:], "*/")
			if i < 0 {
				return l.fail("a comment does not end")
			}
			l.pass(i + 4)
		default:
			return nil
		}
	}
	return nil
}

// pass goes on by n bytes, which may have ends of lines in them.
func (l *lexer) pass(n int) {
	for range n {
		if l.text[l.at] == '\n' {
			l.line, l.lineBegin = l.line+1, l.at+1
		}
		l.at++
	}
}

func (l *lexer) fail(format string, args ...any) error {
	at := l.position()
	return &Error{at.line, at.column, fmt.Sprintf(format, args...)}
}

var symbols = []string{"<>", "!=", "<=", ">=", "||", "=>", "->", "(", ")", ",", ".", "=", "<", ">", "+", "-", "*", "/", "%", "[", "]", ";"}

func (l *lexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	at := l.position()
	if l.at == len(l.text) {
		return token{end, "", at}, nil
	}
	rest := l.text[l.at:]
	switch c := rest[0]; {
	case c == '\'' || c == '"':
		inner, err := l.quoted(c)
		kind := text
		if c == '"' {
			kind = quotedName
		}
		return token{kind, inner, at}, err
	case isUUID(rest):
		l.at += 36
		return token{storeID, strings.ToLower(rest[:36]), at}, nil
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return l.number(at)
	case isLetter(c):
		n := 1
		for n < len(rest) && (isLetter(rest[n]) || isDigit(rest[n])) {
			n++
		}
		l.at += n
		return token{word, rest[:n], at}, nil
	}
	for _, s := range symbols {
		if strings.HasPrefix(rest, s) {
			l.at += len(s)
			return token{symbol, s, at}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return token{}, l.fail("unexpected character %q", r)
}

// quoted reads what is between two quotes; a quote within is doubled.
func (l *lexer) quoted(quote byte) (string, error) {
	var inner strings.Builder
	for i := l.at + 1; i < len(l.text); i++ {
		if l.text[i] != quote {
			inner.WriteByte(l.text[i])
			continue
		}
		if i+1 < len(l.text) && l.text[i+1] == quote {
			inner.WriteByte(quote)
			i++
			continue
		}
		l.pass(i + 1 - l.at)
		return inner.String(), nil
	}
	return "", l.fail("a text in quotes does not end")
}

func (l *lexer) number(at position) (token, error) {
	rest := l.text[l.at:]
	digits := func(i int) int {
		for i < len(rest) && isDigit(rest[i]) {
			i++
		}
		return i
	}
	kind, n := integer, digits(0)
	if n < len(rest) && rest[n] == '.' {
		kind, n = decimal, digits(n+1)
	}
	if n < len(rest) && (rest[n] == 'e' || rest[n] == 'E') {
		i := n + 1
		if i < len(rest) && (rest[i] == '+' || rest[i] == '-') {
			i++
		}
		if j := digits(i); j > i {
			kind, n = decimal, j
		}
	}
	if n < len(rest) && isLetter(rest[n]) {
		return token{}, l.fail("identifiers must not start with a digit; surround the identifier with double quotes")
	}
	l.at += n
	return token{kind, rest[:n], at}, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// isUUID says whether s begins with a UUID, which ends there.
func isUUID(s string) bool {
	if len(s) < 36 || len(s) > 36 && (isLetter(s[36]) || isDigit(s[36])) {
		return false
	}
	for i := range 36 {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isDigit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
