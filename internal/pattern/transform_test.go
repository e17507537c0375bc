package pattern

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// Cases in testdata/transform are lines as in the others, with the words event, vars (an InputPathsMap), template,
// gives, nothing (nothing can be delivered), refused (at PutTargets, for the target t1), select and none (a path and what
// it leads to, or that it leads nowhere).
func TestTransformer(t *testing.T) {
	delivery := Delivery{
		RuleARN:  "arn:aws:events:us-east-2:123456789012:rule/example",
		RuleName: "example",
		Ingested: time.Date(2015, 11, 11, 22, 30, 0, 999, time.FixedZone("", 3600)),
	}
	var event string
	var paths map[string]string
	var transformer *Transformer
	var refused error
	for _, s := range readCases(t, "testdata/transform/transform.txt") {
		switch s.verb {
		case "event":
			event = s.text
		case "vars":
			paths = nil
			if err := json.Unmarshal([]byte(s.text), &paths); err != nil {
				t.Fatal(s.where, err)
			}
		case "template":
			transformer, refused = NewTransformer(paths, s.text)
		case "refused":
			var bad *TemplateError
			if !errors.As(refused, &bad) || bad.For("t1") != s.text {
				t.Errorf("%s: got %v", s.where, refused)
			}
		case "gives", "nothing":
			if refused != nil {
				t.Errorf("%s: %v", s.where, refused)
				continue
			}
			got, err := transformer.Transform([]byte(event), delivery)
			if s.verb == "nothing" && err == nil || s.verb == "gives" && (err != nil || string(got) != s.text) {
				t.Errorf("%s:\n got  %s (%v)\n want %s", s.where, got, err, s.text)
			}
		default:
			t.Fatal(s.where, s.verb)
		}
	}
}

func TestSelect(t *testing.T) {
	var event string
	for _, s := range readCases(t, "testdata/transform/select.txt") {
		switch s.verb {
		case "event":
			event = s.text
		case "select":
			path, want, _ := strings.Cut(s.text, " ")
			if got, ok := Select(path, []byte(event)); !ok || string(got) != strings.TrimSpace(want) {
				t.Errorf("%s: got %s, %v", s.where, got, ok)
			}
		case "none":
			if got, ok := Select(s.text, []byte(event)); ok {
				t.Errorf("%s: got %s", s.where, got)
			}
		default:
			t.Fatal(s.where, s.verb)
		}
	}
}

func TestTransformerLimits(t *testing.T) {
	paths := map[string]string{}
	for i := range 100 {
		paths["v"+strings.Repeat("x", i)] = "$.detail"
	}
	if _, err := NewTransformer(paths, `"<v>"`); err != nil {
		t.Error("100 variables:", err)
	}
	paths["one-more"] = "$.detail"
	if _, err := NewTransformer(paths, `"<v>"`); err == nil {
		t.Error("101 variables are taken")
	}
	for _, name := range []string{"AWS.x", "aws.events.rule-arn"} {
		if _, err := NewTransformer(map[string]string{name: "$.time"}, `"x"`); err == nil {
			t.Errorf("a variable named %s is taken", name)
		}
	}
}

// FuzzTransformer fills templates from events. What comes out can be delivered: JSON, or lines of strings.
func FuzzTransformer(f *testing.F) {
	f.Add(`{"a":<v>,"b":"<v>"}`, `$.detail`, `{"detail":{"x":["y\"",1]}}`)
	f.Add(`"<v>" "<aws.events.event>"`, `$.detail[*].x`, `{"detail":[{"x":"\\"}],"time":"t"}`)
	f.Add(`<v>`, `$['a']`, ` {"a": "\ud83d"} `)
	f.Fuzz(func(t *testing.T, template, path, event string) {
		transformer, err := NewTransformer(map[string]string{"v": path}, template)
		if err != nil {
			return
		}
		out, err := transformer.Transform([]byte(event), Delivery{})
		if err != nil {
			return
		}
		if !json.Valid(out) && !areStrings(out) {
			t.Fatalf("template %q, path %q, event %q give %q", template, path, event, out)
		}
		if selected, ok := Select(path, []byte(event)); ok && !json.Valid(selected) {
			t.Fatalf("path %q of event %q gives %q", path, event, selected)
		}
	})
}
