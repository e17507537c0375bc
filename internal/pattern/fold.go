package pattern

import (
	"unicode"
	"unicode/utf8"
)

// A letter is a character of a pattern that is compared apart from case: a value may have it in lower or upper case.
// The engine asks the same of the pattern's characters and not of the value's, so that a pattern's "ſ" takes "S" but
// not "s". Only mappings of one character to one are known; "ß" is not "SS".
type letter struct{ lower, upper rune }

func foldAlternative(o op, text string) alternative {
	alt := alternative{op: o, text: text}
	for _, r := range text {
		alt.cases = append(alt.cases, letter{unicode.ToLower(r), unicode.ToUpper(r)})
	}
	return alt
}

// foldPrefix says whether text begins with letters and how long that beginning is.
func foldPrefix(text []byte, letters []letter) (n int, ok bool) {
	for _, l := range letters {
		r, size := decodeRune(text[n:])
		if size == 0 || r != l.lower && r != l.upper {
			return 0, false
		}
		n += size
	}
	return n, true
}

func foldSuffix(text []byte, letters []letter) bool {
	n := len(text)
	for i := len(letters) - 1; i >= 0; i-- {
		r, size := utf8.DecodeLastRune(text[:n])
		if size == 0 || r != letters[i].lower && r != letters[i].upper {
			return false
		}
		n -= size
	}
	return true
}

func decodeRune(text []byte) (rune, int) {
	if len(text) > 0 && text[0] < utf8.RuneSelf {
		return rune(text[0]), 1
	}
	return utf8.DecodeRune(text)
}

// appendFolded appends text with all cases of a character made one, so that two strings of which one matches the other
// apart from case become equal. The reverse need not hold: it finds candidates.
func appendFolded[S string | []byte](dst []byte, text S) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= utf8.RuneSelf {
			for _, r := range string(text[i:]) {
				dst = utf8.AppendRune(dst, folded(r))
			}
			return dst
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// folded is the same for a character, its lower and its upper case.
func folded(r rune) rune {
	if r < utf8.RuneSelf {
		return unicode.ToLower(r)
	}
	switch r {
	case '\u0130', '\u0131', '\u017F', '\u212A':
		// The dotted I, the dotless i, the long s and the Kelvin sign: their other case is an ASCII letter.
		return folded(min(unicode.ToLower(r), unicode.ToUpper(r)))
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}
