package query

import (
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The same language for JSON events, done in the plainest way: the event as a tree, the values that a selector leads to as a list.
// It shares the parser with the real thing, and nothing else.

// node is a JSON value. Objects keep members that are there twice.
type node struct {
	kind    jsontext.Kind
	text    string // of a string, and of a number as it is written
	names   []string
	members []*node // and elements
}

func parseNode(message string) (*node, bool) {
	d := jsontext.NewDecoder(strings.NewReader(message), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	root, ok := readNode(d, 0)
	if !ok || root.kind != '{' {
		return nil, false
	}
	_, err := d.ReadToken()
	return root, err == io.EOF
}

func readNode(d *jsontext.Decoder, depth int) (*node, bool) {
	t, err := d.ReadToken()
	if err != nil {
		return nil, false
	}
	n := &node{kind: t.Kind()}
	switch n.kind {
	case '"', '0':
		n.text = t.String()
	case '{', '[':
		for d.PeekKind() != n.kind+2 {
			if n.kind == '{' {
				name, err := d.ReadToken()
				if err != nil {
					return nil, false
				}
				n.names = append(n.names, name.String())
			}
			member, ok := readNode(d, depth+1)
			if !ok || depth == maxDepth {
				return nil, false
			}
			n.members = append(n.members, member)
		}
		if _, err := d.ReadToken(); err != nil {
			return nil, false
		}
	}
	return n, true
}

// lead is the values that the steps lead to.
func lead(n *node, way path) []*node { return leadOn(n, way, false) }

func leadOn(n *node, way path, starred bool) []*node {
	if len(way) == 0 {
		return []*node{n}
	}
	var found []*node
	switch s := way[0]; {
	case s.kind == wildcard:
		for _, member := range n.members {
			found = append(found, leadOn(member, way[1:], true)...)
		}
	case s.kind == byIndex && n.kind == '[' && s.index < len(n.members):
		return leadOn(n.members[s.index], way[1:], starred)
	case s.kind == byName:
		for i, name := range slices.Backward(n.names) {
			if name == s.name {
				found = append(found, leadOn(n.members[i], way[1:], starred)...)
				if !starred {
					break
				}
			}
		}
	}
	return found
}

func referenceMatch(p *jsonPattern, message string) bool {
	root, ok := parseNode(message)
	return ok && referenceHolds(p, &p.expression, root)
}

func referenceHolds(p *jsonPattern, e *expression, root *node) bool {
	for _, side := range e.sides {
		if holds := referenceHolds(p, &side, root); holds != (e.kind == allOf) {
			return holds
		}
	}
	if e.kind != leaf {
		return e.kind == allOf
	}
	c := &p.conditions[e.condition]
	found := lead(root, c.path)
	is := func(n *node) bool {
		switch c.test {
		case isTrue:
			return n.kind == 't'
		case isFalse:
			return n.kind == 'f'
		case isNull:
			return n.kind == 'n'
		}
		return referenceCompare(&c.comparison, n)
	}
	switch {
	case c.test == notExists:
		return len(found) == 0
	case c.none:
		star := slices.IndexFunc(c.path, func(s step) bool { return s.kind == wildcard })
		return len(lead(root, c.path[:star])) > 0 && !slices.ContainsFunc(found, is)
	}
	return slices.ContainsFunc(found, is)
}

func referenceCompare(c *comparison, n *node) bool {
	if n.kind != '"' && n.kind != '0' {
		return false
	}
	text := n.text
	if n.kind == '0' && c.kind == numberValue {
		value, ok := referenceNumber(n.text)
		want, _ := new(big.Rat).SetString(string(c.text))
		return ok && c.operator.holds(value.Cmp(want))
	}
	if n.kind == '0' {
		text = referenceText(n.text)
	}
	var is bool
	switch c.kind {
	case globValue:
		pieces := strings.Split(string(c.text), "*")
		for i := range pieces {
			pieces[i] = regexp.QuoteMeta(pieces[i])
		}
		is = regexp.MustCompile(`(?s)\A` + strings.Join(pieces, ".*") + `\z`).MatchString(text)
	case regexValue:
		is = c.regex.MatchString(text)
	default:
		is = text == string(c.text)
	}
	return c.operator == equal && is || c.operator == notEqual && !is
}

func referenceNumber(text string) (*big.Rat, bool) {
	double, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, false
	}
	if strings.ContainsAny(text, ".eE") {
		text = strconv.FormatFloat(double, 'f', -1, 64)
	}
	return new(big.Rat).SetString(text)
}

// referenceText is Java's Double.toString, by its description.
func referenceText(text string) string {
	if !strings.ContainsAny(text, ".eE") {
		return strings.Replace(text, "-0", "0", btoi(text == "-0"))
	}
	double, _ := strconv.ParseFloat(text, 64)
	if math.IsInf(double, 0) {
		return strings.Replace(fmt.Sprint(double), "Inf", "Infinity", 1)[btoi(double > 0):]
	}
	format, exponent := byte('f'), ""
	if abs := math.Abs(double); abs != 0 && (abs < 0.001 || abs >= 10_000_000) {
		_, e, _ := strings.Cut(strconv.FormatFloat(double, 'e', -1, 64), "e")
		n, _ := strconv.Atoi(e)
		format, exponent = 'e', "E"+strconv.Itoa(n)
	}
	digits, _, _ := strings.Cut(strconv.FormatFloat(double, format, -1, 64), "e")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	return digits + exponent
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// agree holds the filter against the reference, and what it says of its matches against them. It is empty if all is well.
func agree(f *Filter, message string) string {
	got := f.Match([]byte(message))
	p, ok := f.form.(*jsonPattern)
	if ok && utf8.ValidString(message) && !hugeExponent(p) {
		if want := referenceMatch(p, message); got != want {
			return fmt.Sprintf("matches: %v, want %v", got, want)
		}
	}
	if _, extracts := f.Extract([]byte(message)); extracts != got {
		return fmt.Sprintf("matches: %v, extracts: %v", got, extracts)
	}
	if !got {
		return ""
	}
	for _, group := range f.Terms() {
		if !containsAny([]byte(message), group) {
			return fmt.Sprintf("it has none of %q", group)
		}
	}
	if ok {
		root, _ := parseNode(message)
		for _, list := range f.Values() {
			if root != nil && utf8.ValidString(message) && !slices.ContainsFunc(list, func(v FieldValue) bool { return hasValue(root, v) }) {
				return fmt.Sprintf("it has none of %v", list)
			}
		}
	}
	return ""
}

func hasValue(root *node, v FieldValue) bool {
	l := lexer{text: v.Selector, inJSON: true}
	way, err := l.path()
	return err == nil && slices.ContainsFunc(lead(root, way), func(n *node) bool {
		return n.kind == '"' && n.text == v.Value || n.kind == '0' && referenceText(n.text) == v.Value
	})
}

// hugeExponent says whether the reference would need all memory for a number of the pattern.
func hugeExponent(p *jsonPattern) bool {
	return slices.ContainsFunc(p.conditions, func(c jsonCondition) bool {
		return c.kind == numberValue && (c.number.exponent > 1000 || c.number.exponent < -1000)
	})
}

// TestFilterReference asks made-up patterns about made-up events, which have few names and values, so that there is much to find.
func TestFilterReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	matches := 0
	for range 60_000 {
		pattern, message := "{"+madeExpression(r, 2)+"}", madeObject(r, 3)
		f, err := ParseFilter(pattern)
		if err != nil {
			if strings.Contains(err.Error(), "maximum") {
				continue
			}
			t.Fatalf("%s: %v", pattern, err)
		}
		if wrong := agree(f, message); wrong != "" {
			t.Fatalf("%s\n%s\n%s", pattern, message, wrong)
		}
		matches += btoi(f.Match([]byte(message)))
	}
	if matches < 6_000 {
		t.Errorf("only %d matches", matches)
	}
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

func madeExpression(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(3) == 0 {
		return "$" + madePath(r) + pick(r, "=", "=", "!=", "!=") + pick(r,
			"1", "1.0", "-2e1", "0", "1e-999", "12345678901234567890", `"1"`, `"1.5"`, "x", `"x y"`, `""`, "*", "x*", "*y", `"*x*y"`, "1*", "%^x%",
			"%[0-9]$%", `"é/"`, `"\""`)
	}
	if r.IntN(4) == 0 {
		return "$" + madePath(r) + pick(r, "<", "<=", ">", ">=") + pick(r, "1", "-20.0", "1e3", "0.1", "1e-999")
	}
	if r.IntN(4) == 0 {
		return "$" + madePath(r) + pick(r, " IS NULL", " IS TRUE", " IS FALSE", " NOT EXISTS")
	}
	return "(" + madeExpression(r, depth-1) + pick(r, "&&", "||") + madeExpression(r, depth-1) + ")"
}

func madePath(r *rand.Rand) string {
	way := pick(r, ".a", ".a", ".b", ".é", ".*")
	for range r.IntN(3) {
		way += pick(r, ".a", ".b", "[0]", "[1]", "[*]", ".*", ".['a']")
	}
	return way
}

func madeValue(r *rand.Rand, depth int) string {
	if depth > 0 && r.IntN(2) == 0 {
		if r.IntN(3) == 0 {
			return "[" + madeList(r, depth, func() string { return "" }) + "]"
		}
		return madeObject(r, depth)
	}
	return pick(r, "1", "1.0", "-20", "0", "-0", "-0.0", "1e-999", "1e999", "1e3", "1.50", "0.1", "12345678901234567890", `"1"`, `"1.0"`, `"x"`,
		`"x y"`, `"xxyy"`, `""`, `"\u0078"`, `"x\u0020y"`, `"é\/"`, `"\u00e9/"`, `"\""`, `"\\"`, `"\ud834"`, "true", "false", "null")
}

func madeObject(r *rand.Rand, depth int) string {
	return "{" + madeList(r, depth, func() string { return pick(r, `"a"`, `"b"`, `"\u0061"`, `"é"`, `"c"`) + pick(r, ":", " : ") }) + "}"
}

func madeList(r *rand.Rand, depth int, name func() string) string {
	var items []string
	for range r.IntN(4) {
		items = append(items, name()+madeValue(r, depth-1))
	}
	return strings.Join(items, pick(r, ",", ", "))
}

// fuzzSeeds adds the patterns of testdata/filter, each with the messages below it.
func fuzzSeeds(f *testing.F, add func(pattern, message string)) {
	files, _ := filepath.Glob("testdata/filter/*.txt")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		pattern := ""
		for line := range strings.Lines(string(text)) {
			verb, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch verb {
			case "pattern":
				pattern = rest
				add(pattern, "")
			case "match", "no":
				add(pattern, rest)
			}
		}
	}
}

func FuzzFilter(f *testing.F) {
	fuzzSeeds(f, func(pattern, message string) { f.Add(pattern, message) })
	f.Fuzz(func(t *testing.T, pattern, message string) {
		filter, err := ParseFilter(pattern)
		if err != nil {
			return
		}
		if wrong := agree(filter, message); wrong != "" {
			t.Errorf("%s\n%s\n%s", pattern, message, wrong)
		}
	})
}

// FuzzParse parses anything. What is a pattern stays one with white space around it, and what is an error says where.
func FuzzParse(f *testing.F) {
	fuzzSeeds(f, func(pattern, _ string) { f.Add(pattern) })
	f.Fuzz(func(t *testing.T, pattern string) {
		filter, err := ParseFilter(pattern)
		if err != nil {
			if offset := err.(*SyntaxError).Offset; offset < 0 || offset > len(pattern) {
				t.Errorf("offset %d of %q", offset, pattern)
			}
			return
		}
		if _, err := ParseFilter(" \n" + pattern + "\t"); err != nil && utf8.RuneCountInString(pattern) <= maxPattern {
			t.Errorf("%q with white space: %v", pattern, err)
		}
		filter.Terms()
		filter.Values()
		if _, err := filter.Selector(pattern); err != nil {
			_ = err.Error()
		}
		for name := range strings.FieldsFuncSeq(pattern, func(r rune) bool { return strings.ContainsRune(" =!<>()&|,[]", r) }) {
			if s, err := filter.Selector(name); err == nil {
				s.Text([]byte(pattern))
			}
		}
	})
}
