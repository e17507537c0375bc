package keylife_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"

	"vigil/internal/keylife"
)

var update = flag.Bool("update", false, "write the golden files anew")

// asked is when the questions of the tests are asked.
var asked = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

// recordsOf are the records of a file of testdata: those that AWS documents, or real ones of AWS's.
func recordsOf(t testing.TB, file string) (records [][]byte) {
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		records = append(records, bytes.Clone(lines.Bytes()))
	}
	return records
}

func lifeOf(key string, at time.Time, records [][]byte) *keylife.Life {
	f := keylife.New(key, at, 0)
	for _, r := range records {
		f.Add(r, false)
	}
	return f.Life()
}

// The lives of all keys in the records that AWS documents, and in real ones.
func TestLives(t *testing.T) {
	for _, c := range []struct {
		name, file, key string
		asked           time.Time
	}{
		{"documented-1234abcd", "documented.ndjson", "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", asked},
		{"documented-0987dcba", "documented.ndjson", "arn:aws:kms:us-west-2:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321", asked},
		{"documented-mrk", "documented.ndjson", "arn:aws:kms:us-west-2:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab", asked},
		{"documented-mrk-ap", "documented.ndjson", "arn:aws:kms:ap-northeast-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab", asked},
		{"documented-us-east-1", "documented.ndjson", "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", asked},
		{"documented-eu-west-1", "documented.ndjson", "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", asked},
		{"documented-39c5eb22", "documented.ndjson", "arn:aws:kms:us-east-1:227179770375:key/39c5eb22-f37c-4956-92ca-89e8f8b57ab2", asked},
		{"documented-1a2b3c4d", "documented.ndjson", "arn:aws:kms:eu-west-1:111122223333:key/1a2b3c4d-5e6f-1a2b-3c4d-5e6f1a2b3c4d", asked},
		{"real-ssm", "real.ndjson", "arn:aws:kms:us-east-1:111111111111:key/0e5d0ab6-097e-49d8-99ef-747ce3e5f8f4", asked},
		{"real-secretsmanager", "real.ndjson", "arn:aws:kms:us-east-1:111111111111:key/dad21b23-9915-42bd-981b-2a9f3c8f20c8", time.Date(2023, 8, 1, 0, 0, 0, 0, time.UTC)},
		{"policies", "policies.ndjson", "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab", time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lifeOf(c.key, c.asked, recordsOf(t, c.file))
			golden(t, c.name+".txt", text(t, l))
			golden(t, c.name+".json", indented(t, l))
		})
	}
}

// A life is the same in whatever order its records come, as those of imported files do.
func TestOrderDoesNotMatter(t *testing.T) {
	records := recordsOf(t, "policies.ndjson")
	const key = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	want := indented(t, lifeOf(key, asked, records))
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	if got := indented(t, lifeOf(key, asked, records)); !bytes.Equal(got, want) {
		t.Errorf("in another order the life is\n%s\nand not\n%s", got, want)
	}
}

// What is read from the JSON form is written as text like the life itself.
func TestJSONHasAll(t *testing.T) {
	l := lifeOf("arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab", asked, recordsOf(t, "policies.ndjson"))
	var back keylife.Life
	if err := json.Unmarshal(indented(t, l), &back); err != nil {
		t.Fatal(err)
	}
	if a, b := text(t, l), text(t, &back); !bytes.Equal(a, b) {
		t.Errorf("got\n%s\nwant\n%s", b, a)
	}
}

func text(t testing.TB, l *keylife.Life) []byte {
	var b bytes.Buffer
	if err := l.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b.Bytes()) {
		if n := utf8.RuneCount(line) - 1; n > 100 {
			t.Errorf("a line has %d columns: %s", n, line)
		}
	}
	return b.Bytes()
}

func indented(t testing.TB, l *keylife.Life) []byte {
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}
