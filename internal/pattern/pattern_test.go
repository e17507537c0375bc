package pattern

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func mustParse(t testing.TB, text string) *Pattern {
	t.Helper()
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The texts of InvalidEventPatternException as the service gave them.
func TestErrorText(t *testing.T) {
	for pattern, want := range map[string]string{
		`{"int": 42}`: `Event pattern is not valid. Reason: "int" must be an object or an array` +
			"\n at " + `[Source: (String)"{"int": 42}"; line: 1, column: 11]`,
		`{"detail": {"state": [{"anything-but": {"prefix": [123, "test"]}}]}}`: `Event pattern is not valid. Reason: prefix/suffix match pattern must be a string` +
			"\n at " + `[Source: (String)"{"detail": {"state": [{"anything-but": {"prefix": [123, "test"]}}]}}"; line: 1, column: 55]` +
			"\n at " + `[Source: (String)"{"detail": {"state": [{"anything-but": {"prefix": [123, "test"]}}]}}"; line: 1, column: 55]`,
		`{"ip": [{"cidr": "x"}]}`: `Event pattern is not valid. Reason: Malformed CIDR, one '/' required`,
		"{\"a\u0001\": 1}": "Event pattern is not valid. Reason: Illegal unquoted character ((CTRL-CHAR, code 1)): has to be escaped using backslash to be included in name" +
			"\n at " + `[Source: (String)"{"a\u0001": 1}"; line: 1, column: 4]`,
		`{"` + strings.Repeat("x", 600) + `": 1}`: `Event pattern is not valid. Reason: "` + strings.Repeat("x", 600) + `" must be an object or an array` +
			"\n at " + `[Source: (String)"{"` + strings.Repeat("x", 498) + `"[truncated 107 chars]; line: 1, column: 607]`,
	} {
		if _, err := Parse(pattern); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestPatternLimits(t *testing.T) {
	pattern := func(length int) string {
		return `{"a":["` + strings.Repeat("ä", length-len(`{"a":[""]}`)) + `"]}`
	}
	if _, err := Parse(pattern(2048)); err != nil {
		t.Error("2,048 characters:", err)
	}
	if _, err := Parse(pattern(2049)); err == nil {
		t.Error("2,049 characters are taken")
	}
	if _, err := Parse("{\"a\":[\"\xff\"]}"); err == nil {
		t.Error("a pattern that isn't UTF-8 is taken")
	}

	// 10 * 10 * 10 combinations are taken, 10 * 10 * 11 are not.
	or := func(n int) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(`{"f%d":[%d]}`, i, i))
		}
		return `"$or":[` + strings.Join(parts, ",") + `]`
	}
	three := func(last int) string {
		return `{"a":{` + or(10) + `},"b":{` + or(10) + `},"c":{` + or(last) + `}}`
	}
	p := mustParse(t, three(10))
	if ok, err := p.Match([]byte(`{"a":{"f3":3},"b":{"f9":9},"c":{"f0":0}}`)); !ok || err != nil {
		t.Error(ok, err)
	}
	var refusal *Error
	if _, err := Parse(three(11)); !errors.As(err, &refusal) {
		t.Error("1,100 combinations are taken")
	}

	deep := strings.Repeat(`{"":`, 400) + `["x"]` + strings.Repeat("}", 400)
	event := strings.Repeat(`{"":`, 400) + `"x"` + strings.Repeat("}", 400)
	if ok, err := mustParse(t, deep).Match([]byte(event)); !ok || err != nil {
		t.Error("400 objects deep:", ok, err)
	}
}

func TestHasWildcard(t *testing.T) {
	for text, want := range map[string]bool{
		`{"a":["*",{"prefix":"x"},{"anything-but":{"suffix":"*"}}]}`:                    false,
		`{"a":["x",{"wildcard":"x"}]}`:                                                  true,
		`{"$or":[{"a":["x"]},{"b":{"c":[{"anything-but":{"wildcard":["x*","y*"]}}]}}]}`: true,
	} {
		if got := mustParse(t, text).HasWildcard(); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestEventsThatAreNotJSON(t *testing.T) {
	p := mustParse(t, `{"a":{"b":["secret"]},"c":[1]}`)
	set := NewSet[string]()
	set.Add("rule", p)
	for _, event := range []string{
		``, ` `, `null`, `"a"`, `5`, `[]`, `[{"a":1}]`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{"a":1 "b":2}`, `{a:1}`,
		`{"a":1}x`, `{"a":1}{}`, `{"a":tru}`, `{"a":nul}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":+1}`, `{"a":-}`, `{"a":NaN}`,
		`{"x":"\q"}`, `{"x":"\u12g4"}`, `{"x":"\u12"}`, `{"x":"`, `{"x":"\`, "{\"x\":\"\n\"}", "{\"x\":\"1234567\t\"}", "{\"x\":\"\xff\"}", "{\"x\":\"abcdefgh\xc3\"}",
		`{"x":[1,]}`, `{"x":[1 2]}`, `{"x":[}`, `{"x":{"y":1]}`, `{"a":{"b":"secret`, `{"a":{"b":["secret",}}`, `{"x":'secret'}`, "\ufeff{}",
		`{"x":` + strings.Repeat("[", 1001) + strings.Repeat("]", 1001) + `}`, `{"c":` + strings.Repeat("[", 1001) + strings.Repeat("]", 1001) + `}`,
	} {
		_, err := p.Match([]byte(event))
		if err == nil {
			t.Errorf("%q is taken", event)
			continue
		}
		names, setErr := set.Matches([]byte(event), []string{"before"})
		if setErr == nil || !slices.Equal(names, []string{"before"}) {
			t.Errorf("%q: a set gives %v, %v", event, names, setErr)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats the event: %v", err)
		}
	}
	deep := `{"x":` + strings.Repeat("[", 900) + strings.Repeat("]", 900) + `,"a":{"b":"secret"},"c":[[[1]]]}`
	if ok, err := p.Match([]byte(deep)); !ok || err != nil {
		t.Error("900 arrays deep:", ok, err)
	}
}

// An event with unrelated arrays of thousands of objects each could keep a matcher busy for ever. It ends, and is taken
// to match because each condition holds by itself.
func TestEventMadeToBeSlow(t *testing.T) {
	p := mustParse(t, `{"a":{"x":[1]},"b":{"x":[1]},"c":{"x":[1]},"d":{"p":[1],"q":[2]}}`)
	many := func(object string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(object+",", 3000), ",") + "]"
	}
	ones := many(`{"x":1}`)
	event := `{"a":` + ones + `,"b":` + ones + `,"c":` + ones + `,"d":` + many(`{"p":1},{"q":2}`) + `}`
	if ok, err := p.Match([]byte(event)); !ok || err != nil {
		t.Error(ok, err)
	}
	small := `{"a":[{"x":1}],"b":[{"x":1}],"c":[{"x":1}],"d":[{"p":1},{"q":2}]}`
	if ok, err := p.Match([]byte(small)); ok || err != nil {
		t.Error(ok, err)
	}
}

func TestSet(t *testing.T) {
	set := NewSet[string]()
	matches := func(event string, want ...string) {
		t.Helper()
		got, err := set.Matches([]byte(event), nil)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", event, got, err, want)
		}
	}
	const event = `{"source":"aws.kms","detail":{"eventName":"Decrypt"}}`
	matches(event)
	set.Add("z", mustParse(t, `{"source":["aws.kms"]}`))
	set.Add("b", mustParse(t, `{"source":["aws.ec2"]}`))
	set.Add("a", mustParse(t, `{"$or":[{"source":[{"prefix":"aws."}]},{"detail":{"eventName":["Decrypt"]}},{"x":[{"exists":false}]}]}`))
	set.Add("c", mustParse(t, `{"detail":{"eventName":[{"anything-but":"Encrypt"}]}}`))
	set.Add("d", mustParse(t, `{"detail":{"error":[{"exists":false}]}}`))
	// In the order in which they were added, each once.
	matches(event, "z", "a", "c", "d")
	// A pattern is replaced in its place.
	set.Add("z", mustParse(t, `{"source":["aws.sqs"]}`))
	matches(event, "a", "c", "d")
	set.Add("z", mustParse(t, `{"source":[{"suffix":"kms"}]}`))
	matches(event, "z", "a", "c", "d")
	set.Remove("a")
	set.Remove("a")
	set.Remove("unknown")
	matches(event, "z", "c", "d")
	set.Add("a", mustParse(t, `{"source":["aws.kms"]}`))
	matches(event, "z", "c", "d", "a")
	if set.Len() != 5 {
		t.Error(set.Len())
	}
	// What was there before is kept.
	got, err := set.Matches([]byte(`{"source":"aws.ec2"}`), []string{"x"})
	if err != nil || !slices.Equal(got, []string{"x", "b", "d"}) {
		t.Error(got, err)
	}
}

// While one goroutine changes a set, others ask it: a rule that stays is always found, and one that was added or
// removed before a call is seen by it.
func TestSetChangesWhileItIsAsked(t *testing.T) {
	set := NewSet[string]()
	set.Add("stays", mustParse(t, `{"source":["aws.kms"]}`))
	event := []byte(`{"source":"aws.kms","n":5,"list":[{"a":1},{"a":2,"b":"\u0041"}]}`)
	comes := mustParse(t, `{"n":[{"numeric":[">",1]}],"list":{"a":[2],"b":["A"]}}`)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			var names []string
			for {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				names, err = set.Matches(event, names[:0])
				if err != nil || !slices.Contains(names, "stays") {
					t.Error(names, err)
					return
				}
			}
		})
	}
	for range 200 {
		set.Add("comes", comes)
		if names, _ := set.Matches(event, nil); !slices.Equal(names, []string{"stays", "comes"}) {
			t.Error("after Add:", names)
		}
		set.Remove("comes")
		if names, _ := set.Matches(event, nil); !slices.Equal(names, []string{"stays"}) {
			t.Error("after Remove:", names)
		}
	}
	close(stop)
	readers.Wait()
}

// A thousand rules and the documented CloudTrail records: the set finds what the rules find one by one.
func TestSetAgreesWithItsPatterns(t *testing.T) {
	all := rules(t, 1000)
	set := NewSet[int]()
	for i, p := range all {
		set.Add(i, p)
	}
	found := 0
	for _, event := range cloudTrailEvents(t) {
		var want []int
		for i, p := range all {
			if ok, err := p.Match(event); err != nil {
				t.Fatal(err)
			} else if ok {
				want = append(want, i)
			}
		}
		got, err := set.Matches(event, nil)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, want %v for %s", got, err, want, event)
		}
		found += len(got)
	}
	if found == 0 {
		t.Error("no event matches any rule")
	}
}
