package query

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// Regular expressions between percent signs. AWS takes few characters in them: letters, digits, the symbols and the operators
// below, no parentheses, nothing beyond ASCII. What it takes is RE2's syntax, which is also Go's: "%a++%", which other engines know,
// fails to compile there too. A pattern is looked for anywhere in the text, "." is no line feed, and "^" and "$" are the ends of the
// whole text.

const (
	regexSymbols   = ":_#=@/;,- " // the space is not in the guide's list, but in its example %^starting|…|^shutting down%
	regexOperators = `^$?[]{}|\*+.`
)

// regex reads a regular expression with the percent signs around it.
func (l *lexer) regex() (*regexp.Regexp, *SyntaxError) {
	start := l.at
	for l.at++; l.at < len(l.text) && l.text[l.at] != '%'; l.at++ {
		c := l.text[l.at]
		if !isASCIIWord(c) && !strings.ContainsRune(regexSymbols+regexOperators, rune(c)) {
			return nil, l.invalid(start, l.at)
		}
		// After a backslash the same characters are allowed, so that "\(" is as wrong as "(". The one way to write them is \x28.
	}
	if l.at == len(l.text) || l.at == start+1 {
		return nil, l.invalid(start, l.at)
	}
	expression := completeRepetitions(l.text[start+1 : l.at])
	l.at++
	regex, err := regexp.Compile(expression)
	if err != nil || isCostly(expression) {
		return nil, &SyntaxError{Detail: badRegex, Offset: start}
	}
	return regex, nil
}

// maxProgram is how many instructions a regular expression may compile to. Every one of them may be tried at every byte of every
// message, and repetitions of repetitions make many of few characters; engines of this kind have such a limit, AWS's is not known.
const maxProgram = 2000

func isCostly(expression string) bool {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return true
	}
	program, err := syntax.Compile(parsed.Simplify())
	return err != nil || len(program.Inst) > maxProgram
}

// completeRepetitions writes {,n} as {0,n}: the guide allows either end to be left out, Go's package only the upper one.
func completeRepetitions(expression string) string {
	var b strings.Builder
	class := -1 // where the members of the open class of characters begin
	for i := 0; i < len(expression); i++ {
		c := expression[i]
		b.WriteByte(c)
		switch {
		case c == '\\' && i+1 < len(expression):
			i++
			b.WriteByte(expression[i])
		case c == '[' && class < 0:
			class = i + 1
			if strings.HasPrefix(expression[class:], "^") {
				class++
			}
		case c == ']' && i > class: // as the first member it is a member
			class = -1
		case c == '{' && class < 0 && strings.HasPrefix(expression[i+1:], ","):
			b.WriteByte('0')
		}
	}
	return b.String()
}

func isASCIIWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
