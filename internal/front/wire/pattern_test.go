package wire

import (
	"strings"
	"testing"
)

func TestPatternsMatchAsJavaDoes(t *testing.T) {
	tests := []struct {
		pattern   string
		match, no []string // texts
	}{
		{`[\w]+`, []string{"a_1"}, []string{"", "a b", " a", "a\n", "\u00e9"}}, // the whole text, with or without anchors
		{`^[a-z]+$`, []string{"a"}, []string{"a\n", "\na"}},
		{`^[0-9]{2}:[0-9]{2}`, []string{"12:34"}, []string{"12:345"}},
		{`a|b`, []string{"a", "b"}, []string{"ab"}},
		{`.*`, []string{"", "a b"}, []string{"a\nb", "a\rb", "a\u0085b", "a\u2028b"}},
		{`(?s).*`, []string{"a\nb\r\u2028"}, nil},
		{`[.]`, []string{"."}, []string{"a"}},
		{`\.\-\_\/`, []string{".-_/"}, []string{"a-_/"}},
		{`[\s.-]+`, []string{" \t\n\v\f\r.-"}, []string{"\u00a0"}},
		{`\S{2}`, []string{"ab"}, []string{"a\v"}},
		{`[\u0009\u000A\u000D\u0020-\u00FF]+`, []string{"a\t\n\r\u00ff"}, []string{"\u0100", "\x00"}},
		{`\u002F[\u0021-\u007F]*`, []string{"/a"}, []string{"/ "}},
		{`[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*`, []string{"a\t\u4e16\U0001F511\U0010FFFF"}, []string{"\n", "\uFFFF"}},
		{`[\p{L}\p{Z}\p{N}_.:/=+\-@]*`, []string{"\u00e9 \u4e16 1_-@"}, []string{"a#"}},
		{`[a-zA-Z0-9-_.]+`, []string{"a-_."}, []string{"a/"}},
		{`[\w|\d|\.|_]+`, []string{"a|1."}, []string{"a-"}},
		{`[]a]+`, nil, nil},
	}
	for _, test := range tests {
		re, err := compilePattern(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		for _, text := range test.match {
			if !re.MatchString(text) {
				t.Errorf("%s does not match %q", test.pattern, text)
			}
		}
		for _, text := range test.no {
			if re.MatchString(text) {
				t.Errorf("%s matches %q", test.pattern, text)
			}
		}
	}
}

// What Go's regular expressions cannot say the same way is an error at start, not another meaning.
func TestPatternsThatNeedAPatch(t *testing.T) {
	for _, pattern := range []string{`^(?!\s*$).+`, `a++`, `[a-z&&[^b]]`, `[a[b]]`, `(a)\1`, `\h`, `[\S]`, `\u12`, `[`} {
		if re, err := compilePattern(pattern); err == nil {
			t.Errorf("%s became %s", pattern, re)
		}
	}
	const shapes = `{"shapes":{"In":{"type":"structure","members":{"A":{"shape":"S"}}},"S":{"type":"string","pattern":"^(?!\\s*$).+"RE2}},
		"operations":{"Op":{"name":"Op","input":{"shape":"In"}}}}`
	type in struct{ A *string }
	for patch, ok := range map[string]bool{``: false, `,"re2":"(?s).*\\S.*"`: true} {
		s, err := parseService("test", []byte(strings.Replace(shapes, "RE2", patch, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Bind("Op", typeOf[in](), typeOf[struct{}]()); (err == nil) != ok {
			t.Errorf("with %q: %v", patch, err)
		}
	}
}
