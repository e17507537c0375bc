package query_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"vigil/internal/query"
)

// TestFilterScripts runs testdata/filter/*.txt, which say what a pattern matches:
//
//	pattern: TEXT     a filter pattern
//	match: MESSAGE    the pattern above matches it
//	extracts: JSON    and extracts these values from it
//	no: MESSAGE       the pattern above does not match it
//	error: TEXT       the pattern above is refused with these words
//	event NAME: TEXT  names a message; @NAME is that message
//
// A text with characters that would not be seen is a quoted Go string instead, without the colon. A line that begins with # is a
// comment.
func TestFilterScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/filter/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			s := script{events: map[string]string{}}
			for n, line := range scriptLines(t, file) {
				if err := s.run(line); err != nil {
					t.Errorf("%s:%d: %s\n\tof %s\n\t%v", file, n+1, line, s.pattern, err)
				}
			}
		})
	}
}

func scriptLines(t testing.TB, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

type script struct {
	events  map[string]string
	pattern string
	filter  *query.Filter
	err     error
	message []byte
}

func (s *script) run(line string) error {
	verb, text, ok := scriptLine(line)
	if !ok {
		return errors.New("what?")
	}
	if verb == "" {
		return nil
	}
	if name, ok := strings.CutPrefix(verb, "event "); ok {
		s.events[name] = text
		return nil
	}
	if name, ok := strings.CutPrefix(text, "@"); ok && (verb == "match" || verb == "no") {
		if text, ok = s.events[name]; !ok {
			return errors.New("no such event")
		}
	}
	if verb != "error" && verb != "pattern" && s.err != nil {
		return s.err
	}
	switch verb {
	case "pattern":
		s.pattern = text
		s.filter, s.err = query.ParseFilter(text)
	case "match", "no":
		s.message = []byte(text)
		return checkMatch(s.filter, s.message, verb == "match")
	case "extracts":
		var want map[string]string
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			return err
		}
		if got, _ := s.filter.Extract(s.message); !maps.Equal(got, want) {
			return fmt.Errorf("extracts %q", got)
		}
	case "error":
		var syntax *query.SyntaxError
		if !errors.As(s.err, &syntax) || syntax.Error() != text {
			return fmt.Errorf("error is %v", s.err)
		}
		if syntax.Offset < 0 || syntax.Offset > len(s.pattern) {
			return fmt.Errorf("offset is %d", syntax.Offset)
		}
	default:
		return errors.New("what?")
	}
	return nil
}

// scriptLine takes a line apart. A comment has no verb.
func scriptLine(line string) (verb, text string, ok bool) {
	if line == "" || line[0] == '#' {
		return "", "", true
	}
	if verb, quoted, found := strings.Cut(line, ` "`); found && !strings.Contains(verb, ":") {
		text, err := strconv.Unquote(`"` + quoted)
		return verb, text, err == nil
	}
	verb, text, ok = strings.Cut(line, ":")
	return verb, strings.TrimPrefix(text, " "), ok
}

// checkMatch asks whether the filter matches, and holds what it says in advance of its matches against the answer.
func checkMatch(f *query.Filter, message []byte, want bool) error {
	if got := f.Match(message); got != want {
		return fmt.Errorf("matches: %v", got)
	}
	if _, got := f.Extract(message); got != want {
		return fmt.Errorf("extracts: %v", got)
	}
	if !want {
		return nil
	}
	return checkTerms(f, message)
}

// checkTerms holds Terms against a message that the filter matches.
func checkTerms(f *query.Filter, message []byte) error {
	for _, group := range f.Terms() {
		found := false
		for _, term := range group {
			found = found || strings.Contains(string(message), string(term))
		}
		if !found {
			return fmt.Errorf("it has none of %q", group)
		}
	}
	return nil
}

func TestTerms(t *testing.T) {
	for _, test := range []struct{ pattern, terms, values string }{
		{``, ``, ``},
		{`ERROR "two words" -DEBUG`, `ERROR & two words`, ``},
		{`?ERROR ?WARN`, `ERROR|WARN`, ``},
		{`%^abc%`, `abc`, ``},
		{`%a?bc%`, ``, ``},
		{`%abc[de]%`, `abc`, ``},
		{`{ $.eventName = Decrypt && $.resources[0].ARN = "arn:aws:kms:us-east-1:111122223333:key/1" }`,
			`"Decrypt"|\u & "arn:aws:kms:us-east-1:111122223333:key/1"|\/|\u`,
			`$.eventName=Decrypt & $.resources[0].ARN=arn:aws:kms:us-east-1:111122223333:key/1`},
		{`{ $.a = one || $.b = other }`, `"one"|"other"|\u`, `$.a=one | $.b=other`},
		{`{ $.a = one || $.b NOT EXISTS }`, ``, ``},
		{`{ ($.a = x && $.b = longer) || ($.a = y && $.b = longer) }`, `"longer"|\u`, `$.b=longer`},
		{`{ $.a = "say \"hi\"\\" }`, `"say \"hi\"\\"|\u`, `$.a=say "hi"\`},
		{`{ $.source = kms* && $.message = "* is pending deletion." }`, `"kms|\u &  is pending deletion."|\u`, ``},
		{`{ $.latency > 50 }`, `"latency"|\u`, ``},
		{`{ $.code = 400 }`, `"code"|\u`, ``},
		{`{ $.code = "400" }`, `400|\u`, `$.code=400`},
		{`{ $.code = "4.5" }`, `"code"|\u`, `$.code=4.5`},
		{`{ $.code = 4* }`, `"code"|\u`, ``},
		{`{ $.user.name != bob }`, `"user"|\u`, ``},
		{`{ $.user.name IS NULL }`, `"user"|\u`, ``},
		{`{ $.a NOT EXISTS }`, ``, ``},
		{`{ $.users[*].name != bob }`, `"users"|\u`, ``},
		{`{ $.* = %pre.*% }`, `pre|\u`, ``},
		{`{ $.* = %1.*% }`, ``, ``},
		{`[level=ERROR || level=WARN*, n > 5, text != x, last=%abc%]`, `ERROR|WARN & abc`, ``},
		{`[a="", b]`, ``, ``},
	} {
		f, err := query.ParseFilter(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		var groups, lists []string
		for _, group := range f.Terms() {
			var terms []string
			for _, term := range group {
				terms = append(terms, string(term))
			}
			groups = append(groups, strings.Join(terms, "|"))
		}
		for _, values := range f.Values() {
			var list []string
			for _, v := range values {
				list = append(list, v.Selector+"="+v.Value)
			}
			lists = append(lists, strings.Join(list, " | "))
		}
		if got := strings.Join(groups, " & "); got != test.terms {
			t.Errorf("%s\n\tterms %s\n\twant  %s", test.pattern, got, test.terms)
		}
		if got := strings.Join(lists, " & "); got != test.values {
			t.Errorf("%s\n\tvalues %s\n\twant   %s", test.pattern, got, test.values)
		}
	}
}

func TestSelector(t *testing.T) {
	const event = `{"latency":50,"user":{"id":"a\"b","tags":[1.50,true,null,{}]},"cluster.name":"c","latency":51}`
	const line = `127.0.0.1 - frank [10/Oct/2000 -0700] "GET / HTTP/1.0" 200 1534`
	for _, test := range []struct{ pattern, selector, message, want string }{
		{`{ $.latency = * }`, `$.latency`, event, "51"},
		{`{ $.latency = * }`, `$.user.id`, event, `a"b`},
		{`{ $.latency = * }`, `$.user.tags[0]`, event, "1.5"},
		{`{ $.latency = * }`, `$.user.tags[1]`, event, "true"},
		{`{ $.latency = * }`, `$.user.tags[2]`, event, "none"},
		{`{ $.latency = * }`, `$.user.tags[3]`, event, "none"},
		{`{ $.latency = * }`, `$.user.tags[4]`, event, "none"},
		{`{ $.latency = * }`, `$.user`, event, "none"},
		{`{ $.latency = * }`, `$.other`, event, "none"},
		{`{ $.latency = * }`, `$.['cluster.name']`, event, "c"},
		{`{ $.latency = * }`, `$.latency`, "not JSON", "none"},
		{`{ $.latency = * }`, `$.user.tags[*]`, event, "refused"},
		{`{ $.latency = * }`, `$latency`, event, "refused"},
		{`{ $.latency = * }`, `$.latency x`, event, "refused"},
		{`{ $.latency = * }`, `1`, event, "refused"},
		{`[ip, ..., status, size]`, `$ip`, line, "127.0.0.1"},
		{`[ip, ..., status, size]`, `$size`, line, "1534"},
		{`[ip, ..., status, size]`, `$status`, line, "200"},
		{`[ip, ..., status, size]`, `$5`, line, "GET / HTTP/1.0"},
		{`[ip, ..., status, size]`, `$8`, line, "none"},
		{`[ip, ..., status, size]`, `$size`, "one two", "none"},
		{`[ip, ..., status, size]`, `$bytes`, line, "refused"},
		{`[ip, ..., status, size]`, `$.size`, line, "refused"},
		{`[ip, ..., status, size]`, `$0`, line, "refused"},
		{`[ip, rest]`, `$rest`, "a b c", "b c"},
		{`ERROR`, `$.latency`, event, "refused"},
		{``, `$1`, line, "refused"},
	} {
		f, err := query.ParseFilter(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		got := "refused"
		if s, err := f.Selector(test.selector); err == nil {
			got = "none"
			if text, ok := s.Text([]byte(test.message)); ok {
				got = text
			}
			if s.String() != test.selector {
				t.Errorf("%s is %s", test.selector, s)
			}
		}
		if got != test.want {
			t.Errorf("%s of %s: %q, want %q", test.selector, test.pattern, got, test.want)
		}
	}
}

// A pattern has at most 1024 characters, and an event may be nested as deeply as it is.
func TestFilterLimits(t *testing.T) {
	long := "x" + strings.Repeat("é", 1023)
	if _, err := query.ParseFilter(long); err != nil {
		t.Errorf("1024 characters: %v", err)
	}
	if _, err := query.ParseFilter(long + "x"); err == nil {
		t.Error("1025 characters are a pattern")
	}
	deep := "{" + strings.Repeat("(", 400) + "$.a=1" + strings.Repeat(")", 400) + "}"
	f, err := query.ParseFilter(deep)
	if err != nil {
		t.Fatal(err)
	}
	for depth, want := range map[int]bool{1: true, 999: true, 1000: false, 100_000: false} {
		for _, name := range []string{"a", "b"} { // which the pattern asks about, and does not
			nested := `{"a":1,"` + name + `":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `,"a":1}`
			if got := f.Match([]byte(nested)); got != want {
				t.Errorf("%s nested %d deep: %v", name, depth, got)
			}
		}
	}
	many := "{$.a=1" + strings.Repeat("||$.a=1", 145) + "}"
	if f, err := query.ParseFilter(many); err != nil || !f.Match([]byte(`{"a":1}`)) {
		t.Errorf("%d characters of conditions: %v", len(many), err)
	}
	if f, err := query.ParseFilter("[a=%1% || a=%2%, b]"); err != nil || f.Regexes() != 2 || f.Kind() != query.SpaceDelimited {
		t.Errorf("two regular expressions: %v", err)
	}
}

// One filter and one selector serve all goroutines.
func TestFilterTogether(t *testing.T) {
	f, err := query.ParseFilter(`{ $.n = %^[0-9]+$% && $.s = "a\"*" && $.* = 7 }`)
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Selector("$.n")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 500 {
				message := fmt.Appendf(nil, `{"n":%d,"s":"a\"%d","x":%d}`, n, i, 7+n%2)
				text, _ := s.Text(message)
				if f.Match(message) != (n%2 == 0 || n == 7) || text != strconv.Itoa(n) {
					t.Errorf("%s", message)
				}
			}
		})
	}
	all.Wait()
}
