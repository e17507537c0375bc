package vigil_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"vigil"
)

// The records of form 1.11 that AWS documents come out as they went in, and with their members in AWS's order.
func TestDocumentedRecords(t *testing.T) {
	files, err := filepath.Glob("testdata/documented/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documented records: %v", err)
	}
	for _, file := range files {
		documented, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := vigil.ParseRecord(documented)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		written := r.AppendJSON(nil)
		if got, want := value(t, written), value(t, documented); !reflect.DeepEqual(got, want) {
			t.Errorf("%s came out as\n%s", file, written)
		}
		if got, want := members(t, written), members(t, documented); !slices.Equal(inOrder(got), inOrder(want)) {
			t.Errorf("%s: the members are in the order\n%s\nAWS's is\n%s", file, strings.Join(got, " "), strings.Join(want, " "))
		}
	}
}

// Identities in the shapes that AWS records, most of them of sessions, come out as they went in, byte for byte.
func TestRecordedIdentities(t *testing.T) {
	text, err := os.ReadFile("testdata/identities.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		r, err := vigil.ParseRecord([]byte(`{"eventTime":"2026-01-01T00:00:00Z","userIdentity":` + line + `}`))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if written := string(r.AppendJSON(nil)); !strings.Contains(written, `"userIdentity":`+line+`,"eventTime"`) {
			t.Errorf("%s\ncame out in\n%s", line, written)
		}
	}
}

func value(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// members are the names of an object's members in the order in which they stand.
func members(t *testing.T, text []byte) (names []string) {
	t.Helper()
	d := jsontext.NewDecoder(strings.NewReader(string(text)))
	if _, err := d.ReadToken(); err != nil {
		t.Fatal(err)
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name.String())
		if err := d.SkipValue(); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// inOrder leaves out the members that AWS's own samples have in different places.
func inOrder(names []string) []string {
	moving := []string{"managementEvent", "recipientAccountId", "serviceEventDetails", "eventCategory", "resources", "readOnly", "eventType"}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(moving, n) })
}

// Whatever a client sends in a header, its record is valid JSON.
func TestRecordIsValidWhateverIsInIt(t *testing.T) {
	for _, text := range []string{"", `"`, `\`, "\x00\x01\x1f", "a\xff\xfeb", "\u2028", "</script>", strings.Repeat("é", 300)} {
		r := vigil.Record{EventVersion: vigil.RecordVersion, EventTime: time.Unix(0, 0), UserAgent: text, ErrorMessage: text,
			UserIdentity: vigil.UserIdentity{UserName: text}, Resources: []vigil.Resource{{ARN: text}}}
		written := r.AppendJSON(nil)
		back, err := vigil.ParseRecord(written)
		if err != nil {
			t.Errorf("%q: %v in %s", text, err, written)
			continue
		}
		if utf8.ValidString(text) && back.UserAgent != text {
			t.Errorf("%q came back as %q", text, back.UserAgent)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(sampleRecord(0))
	f.Add([]byte(`{"eventTime":"2026-01-01T00:00:00Z","resources":null,"tlsDetails":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := vigil.ParseRecord(text)
		if err != nil {
			return
		}
		if _, err := vigil.ParseRecord(r.AppendJSON(nil)); err != nil && r.EventTime.Year() <= 9999 && r.EventTime.Year() >= 0 {
			t.Errorf("%s was read, and cannot be read again: %v", text, err)
		}
	})
}
