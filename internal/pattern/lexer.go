package pattern

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A lexer reads a pattern token by token, in the manner of the JSON parser that EventBridge uses (Jackson), because
// the places and the syntax errors in EventBridge's answers are that parser's: a field's name is read together with
// the beginning of its value, and a string is read only as far as its opening quote until somebody asks for its text.
//
// Its methods panic with *Error; Parse recovers it.
type lexer struct {
	text   string
	pos    int
	scopes []scope

	tok   token
	after token // the value that follows, while tok is tokName
	begin int   // where the token after tokName, or tok itself, begins
	name  string
	open  bool // inside a string whose text nobody has asked for
	str   string
}

// scope is an object or array that is being read.
type scope struct {
	mark    byte // '{' or '['
	begin   int
	entries int
}

type token byte

const (
	tokEnd token = iota
	tokName
	tokString
	tokNumber
	tokTrue
	tokFalse
	tokNull
	tokObject
	tokObjectEnd
	tokArray
	tokArrayEnd
)

const validValues = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"

func (l *lexer) next() token {
	if l.tok == tokName {
		l.enter(l.after)
		return l.tok
	}
	if l.open {
		l.finishString()
	}
	c, ok := l.skipSpace()
	if !ok {
		if len(l.scopes) > 0 {
			top := l.scopes[len(l.scopes)-1]
			line, column := l.lineColumn(top.begin)
			l.fail(fmt.Sprintf("Unexpected end-of-input: expected close marker for %s (start marker at %s)",
				top, place(l.text, line, column)))
		}
		l.tok = tokEnd
		return l.tok
	}
	if c == '}' || c == ']' {
		l.leave(c)
		return l.tok
	}
	var top *scope
	if len(l.scopes) > 0 {
		top = &l.scopes[len(l.scopes)-1]
		if top.entries > 0 {
			if c != ',' {
				l.unexpected(c, "was expecting comma to separate "+top.String()+" entries")
			}
			if c, ok = l.skipSpace(); !ok {
				l.fail("Unexpected end-of-input within/between " + top.String() + " entries")
			}
		}
		top.entries++
	}
	if top == nil || top.mark == '[' {
		l.enter(l.value(c))
		return l.tok
	}
	if c != '"' {
		l.unexpected(c, "was expecting double-quote to start field name")
	}
	l.name = l.readString(" in field name", "name")
	if c, ok = l.skipSpace(); !ok {
		l.fail("Unexpected end-of-input within/between Object entries")
	}
	if c != ':' {
		l.unexpected(c, "was expecting a colon to separate field name and value")
	}
	if c, ok = l.skipSpace(); !ok {
		l.fail("Unexpected end-of-input within/between Object entries")
	}
	l.tok, l.after = tokName, l.value(c)
	return l.tok
}

// string is the text of the current token: of a string what it says, of anything else what is written.
func (l *lexer) string() string {
	switch l.tok {
	case tokString:
		if l.open {
			l.finishString()
		}
		return l.str
	case tokName:
		return l.name
	case tokNumber, tokTrue, tokFalse, tokNull:
		return l.str
	case tokEnd:
		return ""
	}
	return l.text[l.begin : l.begin+1]
}

func (l *lexer) finishString() {
	l.str = l.readString(": was expecting closing quote for a string value", "string value")
	l.open = false
}

func (l *lexer) enter(t token) {
	l.tok = t
	switch t {
	case tokObject, tokArray:
		l.scopes = append(l.scopes, scope{mark: l.text[l.begin], begin: l.begin})
	}
}

func (l *lexer) leave(c rune) {
	l.begin = l.pos - 1
	want := rune(0)
	if len(l.scopes) > 0 {
		want = '}'
		if l.scopes[len(l.scopes)-1].mark == '[' {
			want = ']'
		}
	}
	if want == 0 {
		l.unexpected(c, "expected a valid value "+validValues)
	}
	if c != want {
		top := l.scopes[len(l.scopes)-1]
		line, column := l.lineColumn(top.begin)
		l.failAt(l.pos-1, fmt.Sprintf("Unexpected close marker '%c': expected '%c' (for %s starting at %s)",
			c, want, top, place(l.text, line, column)))
	}
	l.scopes = l.scopes[:len(l.scopes)-1]
	l.tok = tokObjectEnd
	if c == ']' {
		l.tok = tokArrayEnd
	}
}

func (s scope) String() string {
	if s.mark == '{' {
		return "Object"
	}
	return "Array"
}

// value begins a value whose first character c was just read.
func (l *lexer) value(c rune) token {
	l.begin = l.pos - utf8.RuneLen(c)
	switch {
	case c == '"':
		l.open = true
		return tokString
	case c == '{':
		return tokObject
	case c == '[':
		return tokArray
	case c == '}':
		l.unexpected(c, "expected a value")
	case c == 't':
		return l.literal("true", tokTrue)
	case c == 'f':
		return l.literal("false", tokFalse)
	case c == 'n':
		return l.literal("null", tokNull)
	case c == '-' || isDigit(c):
		l.number(c)
		return tokNumber
	case identifierPart(c):
		l.unrecognized()
	}
	l.unexpected(c, "expected a valid value "+validValues)
	return tokEnd
}

func (l *lexer) literal(word string, t token) token {
	if !strings.HasPrefix(l.text[l.begin:], word) {
		l.unrecognized()
	}
	l.pos = l.begin + len(word)
	if r, _ := utf8.DecodeRuneInString(l.text[l.pos:]); l.pos < len(l.text) && identifierPart(r) {
		l.unrecognized()
	}
	l.str = word
	return t
}

// unrecognized fails for a bare word that begins at l.begin.
func (l *lexer) unrecognized() {
	rest := l.text[l.begin:]
	end := strings.IndexFunc(rest, func(r rune) bool { return !identifierPart(r) })
	if end < 0 {
		end = len(rest)
	}
	word := rest[:end]
	l.pos = l.begin + end
	if len(word) > 256 {
		word = strings.ToValidUTF8(word[:256], "") + "..."
	}
	l.fail(fmt.Sprintf("Unrecognized token '%s': was expecting %s", word, validValues))
}

func identifierPart(r rune) bool {
	return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// number reads the rest of a number (RFC 8259, section 6).
func (l *lexer) number(c rune) {
	digits := func(comment string) {
		n := 0
		for l.pos < len(l.text) && isDigit(rune(l.text[l.pos])) {
			l.pos++
			n++
		}
		if n > 0 {
			return
		}
		r, size := utf8.DecodeRuneInString(l.text[l.pos:])
		if size == 0 {
			l.fail("Unexpected end-of-input in a Number value")
		}
		l.failAt(l.pos, "Unexpected character ("+describe(r)+") in numeric value: "+comment)
	}
	l.pos = l.begin
	if c == '-' {
		l.pos++
	}
	first := l.pos
	digits("expected digit (0-9) to follow minus sign, for valid numeric value")
	if l.text[first] == '0' && l.pos > first+1 {
		l.pos = first + 1
		l.fail("Invalid numeric value: Leading zeroes not allowed")
	}
	if l.pos < len(l.text) && l.text[l.pos] == '.' {
		l.pos++
		digits("Decimal point not followed by a digit")
	}
	if l.pos < len(l.text) && (l.text[l.pos] == 'e' || l.text[l.pos] == 'E') {
		l.pos++
		if l.pos < len(l.text) && (l.text[l.pos] == '+' || l.text[l.pos] == '-') {
			l.pos++
		}
		digits("Exponent indicator not followed by a digit")
	}
	l.str = l.text[l.begin:l.pos]
}

// readString reads the rest of a string after its opening quote. eof and what word the two ways it can be broken.
func (l *lexer) readString(eof, what string) string {
	var b []byte
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		l.pos++
		switch {
		case c == '"':
			return string(b)
		case c == '\\':
			b = l.escape(b)
		case c < ' ':
			l.failAt(l.pos-1, "Illegal unquoted character ("+describe(rune(c))+
				"): has to be escaped using backslash to be included in "+what)
		default:
			b = append(b, c)
		}
	}
	l.fail("Unexpected end-of-input" + eof)
	return ""
}

func (l *lexer) escape(b []byte) []byte {
	c, size := utf8.DecodeRuneInString(l.text[l.pos:])
	if size == 0 {
		l.fail("Unexpected end-of-input in character escape sequence")
	}
	l.pos += size
	switch c {
	case '"', '\\', '/':
		return append(b, byte(c))
	case 'b':
		return append(b, '\b')
	case 'f':
		return append(b, '\f')
	case 'n':
		return append(b, '\n')
	case 'r':
		return append(b, '\r')
	case 't':
		return append(b, '\t')
	case 'u':
		r := l.hex()
		if utf16.IsSurrogate(r) && strings.HasPrefix(l.text[l.pos:], `\u`) {
			back := l.pos
			l.pos += 2
			if pair := utf16.DecodeRune(r, l.hex()); pair != utf8.RuneError {
				r = pair
			} else {
				l.pos = back
			}
		}
		return utf8.AppendRune(b, r)
	}
	l.failAt(l.pos-size, "Unrecognized character escape "+describe(c))
	return nil
}

func (l *lexer) hex() rune {
	var r rune
	for range 4 {
		c, size := utf8.DecodeRuneInString(l.text[l.pos:])
		if size == 0 {
			l.fail("Unexpected end-of-input in character escape sequence")
		}
		l.pos += size
		d := strings.IndexRune("0123456789abcdef", unicode.ToLower(c))
		if d < 0 || c > 'f' {
			l.unexpected(c, "expected a hex-digit for character escape sequence")
		}
		r = r<<4 | rune(d)
	}
	return r
}

// skipSpace reads the next character that is not white space.
func (l *lexer) skipSpace() (rune, bool) {
	for l.pos < len(l.text) {
		r, size := utf8.DecodeRuneInString(l.text[l.pos:])
		l.pos += size
		switch {
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
		case r < ' ':
			l.failAt(l.pos-1, "Illegal character ("+describe(r)+
				`): only regular white space (\r, \n, \t) is allowed between tokens`)
		default:
			return r, true
		}
	}
	return 0, false
}

func (l *lexer) unexpected(c rune, comment string) {
	l.failAt(l.pos-utf8.RuneLen(c), "Unexpected character ("+describe(c)+"): "+comment)
}

func describe(c rune) string {
	switch {
	case unicode.IsControl(c):
		return fmt.Sprintf("(CTRL-CHAR, code %d)", c)
	case c > 255:
		return fmt.Sprintf("'%c' (code %d / 0x%x)", c, c, c)
	}
	return fmt.Sprintf("'%c' (code %d)", c, c)
}

// fail refuses the pattern at the place reached.
func (l *lexer) fail(reason string) { l.failAt(l.pos, reason) }

func (l *lexer) failAt(pos int, reason string) {
	line, column := l.lineColumn(pos)
	panic(&Error{Reason: reason, Line: line, Column: column, source: l.text})
}

func (l *lexer) lineColumn(pos int) (line, column int) {
	line, start := 1, 0
	for i := range pos {
		switch l.text[i] {
		case '\n':
			line, start = line+1, i+1
		case '\r':
			if i+1 == len(l.text) || l.text[i+1] != '\n' {
				line, start = line+1, i+1
			}
		}
	}
	column = 1
	for _, r := range l.text[start:pos] {
		column += utf16.RuneLen(r)
	}
	return line, column
}
