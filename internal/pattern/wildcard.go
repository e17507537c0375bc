package pattern

import (
	"fmt"
	"slices"
	"strings"
)

// parseGlob reads a wildcard: * is any number of characters, \* and \\ are the characters * and \. The reason to refuse
// one names a place in its UTF-8 bytes, with its opening quote as place 0.
func parseGlob(text string) (g glob, reason string) {
	parts := []string{""}
	for i := 0; i < len(text); i++ {
		last := &parts[len(parts)-1]
		switch text[i] {
		case '*':
			if strings.HasPrefix(text[i+1:], "*") {
				return glob{}, fmt.Sprintf("Consecutive wildcard characters at pos %d", i+1)
			}
			parts = append(parts, "")
		case '\\':
			if i+1 == len(text) || text[i+1] != '*' && text[i+1] != '\\' {
				return glob{}, fmt.Sprintf("Invalid escape character at pos %d", i+1)
			}
			i++
			*last += text[i : i+1]
		default:
			*last += text[i : i+1]
		}
	}
	if len(parts) == 1 {
		return glob{whole: true, first: parts[0]}, ""
	}
	g.first, g.last = parts[0], parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		g.middle = append(g.middle, []byte(part))
	}
	return g, ""
}

// maxComplexity is the complexity from which EventBridge refuses a pattern. The figure is not published; it is the one
// that agrees with what was seen: the guide's example of a too complex pattern, *:*:*:*:*:event-bus/*, comes to 10, and
// four wildcards of the form *:stack/NAME/* (12) were refused while three (9) were taken.
const maxComplexity = 10

// maxStates bounds the search for the complexity of a pattern.
const maxStates = 20_000

// complexity is the largest number of unfinished wildcards that one input can be in at the same time, counting each of
// a wildcard's stars and each of its characters that can be the last one read: aws/event-ruler's
// MachineComplexityEvaluator. Beyond maxComplexity, or where telling would take too long, it is maxComplexity.
func complexity(alternatives []alternative) int {
	var m globMachine
	for i := range alternatives {
		alt := &alternatives[i]
		if alt.op == opWildcard {
			m.add(alt.text)
		}
		for j := range alt.others {
			if alt.others[j].op == opWildcard {
				m.add(alt.others[j].text)
			}
		}
	}
	return m.complexity()
}

// A globMachine steps through several wildcards at once. A position stands before a symbol; one that stands before a
// star also stands behind it.
type globMachine struct {
	symbols []int16 // of all wildcards, one behind the other, each with its quotes and an end
	starts  []int
}

const (
	star int16 = 256 + iota
	end
)

func (m *globMachine) add(text string) {
	m.starts = append(m.starts, len(m.symbols))
	m.symbols = append(m.symbols, '"')
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '*':
			m.symbols = append(m.symbols, star)
		case '\\':
			i++
			m.symbols = append(m.symbols, int16(text[i]))
		default:
			m.symbols = append(m.symbols, int16(text[i]))
		}
	}
	m.symbols = append(m.symbols, '"', end)
}

func (m *globMachine) complexity() int {
	most := 0
	seen := map[string]bool{}
	pending := [][]int{m.starts}
	for len(pending) > 0 {
		at := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		for _, b := range m.expected(at) {
			next, count := m.step(at, b)
			if count >= maxComplexity || len(seen) > maxStates {
				return maxComplexity
			}
			most = max(most, count)
			key := fmt.Sprint(next)
			if len(next) > 0 && !seen[key] {
				seen[key] = true
				pending = append(pending, next)
			}
		}
	}
	return most
}

// expected are the bytes that lead anywhere from the positions at, and -1 for all others.
func (m *globMachine) expected(at []int) []int16 {
	bytes := []int16{-1}
	for _, pos := range at {
		if m.symbols[pos] == star {
			pos++
		}
		if b := m.symbols[pos]; b < star && !slices.Contains(bytes, b) {
			bytes = append(bytes, b)
		}
	}
	return bytes
}

// step reads b at the positions at. It gives the positions after it, in order, and how many states they stand for: one
// for a character that was just read and one for each star that is open.
func (m *globMachine) step(at []int, b int16) (next []int, count int) {
	add := func(pos int) {
		if !slices.Contains(next, pos) {
			next = append(next, pos)
		}
	}
	for _, pos := range at {
		if m.symbols[pos] == star {
			add(pos)
			if m.symbols[pos+1] == b {
				add(pos + 2)
				count++
			}
		} else if m.symbols[pos] == b {
			add(pos + 1)
			count++
		}
	}
	for _, pos := range next {
		if m.symbols[pos] == star {
			count++
		}
	}
	slices.Sort(next)
	return next, count
}
