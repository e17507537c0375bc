package deliver

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"
)

// A member is added to a JSON object as encoding/json would set it, and to nothing else.
func FuzzWithMembers(f *testing.F) {
	f.Add(`{"a":1,"b":{"a":[2]}}`, "a", "x")
	f.Add(` {} `, "\u2028", "\"")
	f.Add(`{"a":1,"a":2} x`, "b", "")
	f.Add(`[{}]`, "b", "")
	f.Fuzz(func(t *testing.T, body, name, value string) {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return
		}
		with, ok := withMembers([]byte(body), map[string]string{name: value})
		if !ok {
			return
		}
		var want, got map[string]any
		if err := json.Unmarshal([]byte(body), &want); err != nil || want == nil {
			t.Fatalf("%q is taken for an object: %v", body, err)
		}
		want[name] = value
		if err := json.Unmarshal(with, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q gives %q: %v", body, with, err)
		}
	})
}
