package pattern

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A source makes patterns and events out of bytes, of few names and values so that they often meet.
type source []byte

func (s *source) pick(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b) % n
}

func (s *source) of(list ...string) string { return list[s.pick(len(list))] }

func (s *source) name() string {
	return s.of(`"a"`, `"b"`, `"c"`, `"a.b"`, `"b.c"`, `"\u0061"`, `""`, `"a."`)
}

func (s *source) text() string {
	return s.of(`""`, `"a"`, `"A"`, `"ab"`, `"Ab"`, `"abc"`, `"abca"`, `"b"`, `"bc"`, `"5"`, `"true"`, `"10.0.0.1"`, `"10.0.0.200"`,
		`"::1"`, `"0:0::1"`, `"2001:db8::7"`, `"\u00e4b"`, `"Äb"`, `"\"a"`, `"K"`, `"k"`, `"ſ"`, `"\\*"`, `"a\nb"`, `"::ffff:a00:1"`, `"ab\ud83d"`)
}

func (s *source) number() string {
	return s.of("0", "-0", "1", "5", "5.0", "5e0", "50E-1", "-5", "100", "99.5", "0.1", "9007199254740993", "9007199254740992",
		"1e400", "0e99999", "1e-400", "123456789012345678", "-1e300", "5e-324")
}

func (s *source) value(depth int) string {
	switch s.pick(8) {
	case 0, 1, 2:
		return s.text()
	case 3:
		return s.number()
	case 4:
		return s.of("null", "true", "false", "{}", "[]")
	case 5:
		if depth < 4 {
			return s.event(depth + 1)
		}
	case 6, 7:
		if depth < 4 {
			return s.list(func() string { return s.value(depth + 1) })
		}
	}
	return `"a"`
}

func (s *source) list(element func() string) string {
	var parts []string
	for range 1 + s.pick(3) {
		parts = append(parts, element())
	}
	return "[" + strings.Join(parts, s.of(",", " ,\n ")) + "]"
}

func (s *source) event(depth int) string {
	var parts []string
	for range s.pick(5) {
		parts = append(parts, s.name()+s.of(":", " : ")+s.value(depth))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (s *source) pattern(depth int) string {
	var parts []string
	for range 1 + s.pick(3) {
		switch k := s.pick(8); {
		case k == 0 && depth < 3:
			parts = append(parts, `"$or":[`+s.pattern(depth+1)+","+s.pattern(depth+1)+"]")
		case k <= 2 && depth < 4:
			parts = append(parts, s.name()+":"+s.pattern(depth+1))
		default:
			parts = append(parts, s.name()+":"+s.list(s.alternative))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (s *source) alternative() string {
	glob := func() string {
		return s.of(`"*"`, `"a*"`, `"*c"`, `"a*a"`, `"*b*"`, `"*\\**"`, `"ab"`, `"a*b*c*"`, `"*ä*"`, `""`)
	}
	affix := func() string { return s.of(`"a"`, `"ab"`, `"b"`, `"c"`, `"bc"`, `"abc"`, `"ä"`, `"10."`) }
	some := func(f func() string) string {
		if s.pick(2) == 0 {
			return f()
		}
		return s.list(f)
	}
	switch s.pick(16) {
	case 0, 1:
		return s.text()
	case 2:
		return s.number()
	case 3:
		return s.of("null", "true", "false")
	case 4:
		return `{"` + s.of("prefix", "suffix") + `":` + s.of(affix(), `""`) + `}`
	case 5:
		return `{"` + s.of("prefix", "suffix") + `":{"equals-ignore-case":` + s.text() + `}}`
	case 6:
		return `{"equals-ignore-case":` + s.text() + `}`
	case 7, 8:
		return `{"wildcard":` + glob() + `}`
	case 9:
		return `{"numeric":["` + s.of("=", "<", "<=", ">", ">=") + `",` + s.of("0", "5", "5.0", "-5", "99.5", "0.1") + `]}`
	case 10:
		return `{"numeric":["` + s.of(">", ">=") + `",` + s.of("-5", "0") + `,"` + s.of("<", "<=") + `",` + s.of("5", "100") + `]}`
	case 11:
		return `{"cidr":"` + s.of("10.0.0.0/24", "10.0.0.128/25", "0.0.0.0/0", "::/0", "2001:db8::/32", "::/127") + `"}`
	case 12:
		return `{"exists":` + s.of("true", "false") + `}`
	case 13:
		return `{"anything-but":` + some(s.of2(s.text, func() string { return s.of("0", "5", "100") })) + `}`
	case 14:
		return `{"anything-but":{"` + s.of("prefix", "suffix") + `":` + some(affix) + `}}`
	}
	if s.pick(2) == 0 {
		return `{"anything-but":{"equals-ignore-case":` + some(s.text) + `}}`
	}
	return `{"anything-but":{"wildcard":` + some(glob) + `}}`
}

func (s *source) of2(a, b func() string) func() string {
	if s.pick(2) == 0 {
		return a
	}
	return b
}

// FuzzMatch makes some patterns and an event and compares Pattern.Match and Set.Matches with the plain reading.
func FuzzMatch(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		data := make([]byte, 40+random.IntN(200))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := source(data)
		set := NewSet[int]()
		var patterns []*Pattern
		for range 1 + s.pick(6) {
			text := s.pattern(0)
			p, err := Parse(text)
			if err != nil {
				if strings.Contains(err.Error(), "too complex") || strings.Contains(err.Error(), "long, the limit") {
					continue
				}
				t.Fatalf("%v", err)
			}
			patterns = append(patterns, p)
			set.Add(len(patterns)-1, p)
		}
		for range 2 {
			compare(t, patterns, set, s.event(0))
		}
		if len(patterns) > 1 {
			gone := s.pick(len(patterns))
			set.Remove(gone)
			patterns[gone] = nil
			compare(t, patterns, set, s.event(0))
		}
	})
}

// compare asks all three for one event. A nil pattern is one that was removed.
func compare(t *testing.T, patterns []*Pattern, set *Set[int], event string) {
	t.Helper()
	var want []int
	for i, p := range patterns {
		if p == nil {
			continue
		}
		plain := plainMatch(p.String(), event)
		if plain {
			want = append(want, i)
		}
		got, err := p.Match([]byte(event))
		if err != nil || got != plain {
			t.Fatalf("pattern %s\nevent %s\nmatches %v, %v, should %v", p, event, got, err, plain)
		}
	}
	got, err := set.Matches([]byte(event), nil)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("patterns %v\nevent %s\nmatched by %v, %v, should be %v", patterns, event, got, err, want)
	}
}

// FuzzParse reads any text as a pattern, and any other as an event. A pattern that is taken is JSON and matches the
// events that it should; a refused one says why without end.
func FuzzParse(f *testing.F) {
	for _, file := range caseFiles(f) {
		pattern := ""
		for _, s := range readCases(f, file) {
			switch s.verb {
			case "pattern":
				pattern = s.text
				f.Add(pattern, `{"detail":{"state":"running"}}`)
			case "match", "no":
				f.Add(pattern, s.text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text, event string) {
		p, err := Parse(text)
		if err != nil {
			var refusal *Error
			if !errors.As(err, &refusal) || refusal.Reason == "" || p != nil {
				t.Fatalf("%v %#v", p, err)
			}
			if len(err.Error()) > 20_000 {
				t.Fatal("an error of", len(err.Error()), "bytes")
			}
			return
		}
		if _, err := plainJSON(text); err != nil {
			t.Fatalf("taken, but not JSON: %v", err)
		}
		if len(event) > 1000 {
			return
		}
		value, plainErr := plainJSON(event)
		_, isObject := value.(object)
		got, err := p.Match([]byte(event))
		switch {
		case (plainErr == nil && isObject) != (err == nil):
			t.Fatalf("event %q: %v, should be %v", event, err, plainErr)
		case err == nil && plainMatch(text, event) != got:
			t.Fatalf("pattern %s\nevent %s\nmatches %v, should not", text, event, got)
		}
	})
}
