package pattern

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error says why an event pattern was refused. Its text is that of EventBridge's InvalidEventPatternException.
type Error struct {
	// Reason is the text of EventBridge's pattern compiler, without the place.
	Reason string
	// Line and Column, counted from 1 in UTF-16 code units, are how far the pattern had been read. Both are 0 where
	// EventBridge gives no place (addresses, complexity).
	Line, Column int

	source string
	// EventBridge reports a bad member of an anything-but list through two layers, each of which adds the place.
	twice bool
}

// Error is `Event pattern is not valid. Reason: …`, followed, where there is a place, by a second line
// ` at [Source: (String)"…"; line: 1, column: 2]` with at most the first 500 characters of the pattern.
func (e *Error) Error() string {
	text := "Event pattern is not valid. Reason: " + e.Reason
	if e.Line == 0 {
		return text
	}
	place := "\n at " + place(e.source, e.Line, e.Column)
	if e.twice {
		place += place
	}
	return text + place
}

// snippetLimit is how much of a pattern an error repeats, in characters.
const snippetLimit = 500

func place(source string, line, column int) string {
	var b strings.Builder
	b.WriteString(`[Source: (String)"`)
	shown := 0
	for i, r := range source {
		if shown == snippetLimit {
			fmt.Fprintf(&b, `"[truncated %d chars]; line: %d, column: %d]`, utf8.RuneCountInString(source[i:]), line, column)
			return b.String()
		}
		shown++
		if unicode.IsControl(r) && r != '\n' && r != '\r' {
			fmt.Fprintf(&b, `\u%04X`, r)
			continue
		}
		b.WriteRune(r)
	}
	fmt.Fprintf(&b, `"; line: %d, column: %d]`, line, column)
	return b.String()
}
