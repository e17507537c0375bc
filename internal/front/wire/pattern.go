package wire

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// compilePattern makes a regular expression of Java's, as the models have them, into one of Go's that matches the same texts.
// AWS's servers match the whole text whether or not a pattern has anchors. What RE2 has not, such as looking ahead, is an
// error here; a patch of the model then says the same in another way.
func compilePattern(java string) (*regexp.Regexp, error) {
	translated, err := translatePattern(java)
	if err != nil {
		return nil, err
	}
	re, err := regexp.Compile(`\A(?:` + translated + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("pattern %s: %w", java, err)
	}
	return re, nil
}

// Where the two languages read the same text differently.
const (
	javaDot   = `[^\n\r\x{85}\x{2028}\x{2029}]` // a dot stops at every line terminator, not only at \n
	javaSpace = `\t\n\x0B\f\r `                 // \s has the vertical tab
)

func translatePattern(java string) (string, error) {
	var b strings.Builder
	dotAll := strings.HasPrefix(java, "(?s)")
	class := false // within [ ]
	for i := 0; i < len(java); {
		rest := java[i:]
		switch c := rest[0]; {
		case c == '\\' && len(rest) > 1:
			text, n, err := translateEscape(rest, class)
			if err != nil {
				return "", fmt.Errorf("pattern %s: %w", java, err)
			}
			b.WriteString(text)
			i += n
			continue
		case class && (c == '[' || strings.HasPrefix(rest, "&&")):
			return "", fmt.Errorf("pattern %s: has a union or intersection of classes", java)
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == '.' && !class && !dotAll:
			b.WriteString(javaDot)
			i++
			continue
		}
		b.WriteByte(rest[0])
		i++
	}
	return b.String(), nil
}

// translateEscape is the backslash that s begins with, and how long it is.
func translateEscape(s string, class bool) (text string, length int, err error) {
	switch s[1] {
	case 'u':
		unit, err := hexUnit(s)
		if err != nil {
			return "", 0, err
		}
		if unit >= 0xD800 && unit < 0xDC00 { // a pair of surrogates is one character to Java
			if low, err := hexUnit(s[6:]); err == nil && low >= 0xDC00 && low < 0xE000 {
				return fmt.Sprintf(`\x{%X}`, 0x10000+(unit-0xD800)<<10+(low-0xDC00)), 12, nil
			}
		}
		return fmt.Sprintf(`\x{%X}`, unit), 6, nil
	case 's':
		if class {
			return javaSpace, 2, nil
		}
		return "[" + javaSpace + "]", 2, nil
	case 'S':
		if class {
			return "", 0, fmt.Errorf(`has \S in a class`)
		}
		return "[^" + javaSpace + "]", 2, nil
	case 'h', 'H', 'v', 'V', 'R', 'X', 'Z', 'G', 'k', 'c', 'e', '0':
		return "", 0, fmt.Errorf(`has \%c, which reads otherwise in RE2`, s[1])
	}
	return s[:2], 2, nil
}

// hexUnit is the UTF-16 code unit of the \uXXXX that s begins with.
func hexUnit(s string) (int, error) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, fmt.Errorf(`has a \u without four digits`)
	}
	unit, err := strconv.ParseUint(s[2:6], 16, 16)
	return int(unit), err
}
