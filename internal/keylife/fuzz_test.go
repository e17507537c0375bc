package keylife_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"vigil/internal/keylife"
)

// Whatever is fed, a life comes of it that is JSON, and text in which no line is what a caller wrote it to be.
func FuzzFold(f *testing.F) {
	for _, file := range []string{"documented.ndjson", "policies.ndjson"} {
		for _, r := range recordsOf(f, file) {
			f.Add(r)
		}
	}
	const key = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	documented := recordsOf(f, "documented.ndjson")
	f.Fuzz(func(t *testing.T, record []byte) {
		fold := keylife.New(key, asked, 0)
		fold.Add(record, true)
		fold.AddAlias(record, true)
		for _, r := range documented[:20] {
			fold.Add(r, false)
		}
		fold.Add(record, false)
		l := fold.Life()
		data, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var back keylife.Life
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		out := string(text(t, l))
		if strings.ContainsFunc(out, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("unprintable: %q", out)
		}
		if strings.Count(out, "\nSafe to delete?") != 1 {
			t.Errorf("a line is forged:\n%s", out)
		}
	})
}

// A key that is used very often by very many with very many contexts takes no more memory for that.
func TestManyUses(t *testing.T) {
	const key = "arn:aws:kms:us-east-1:111111111111:key/0e5d0ab6-097e-49d8-99ef-747ce3e5f8f4"
	var record []byte
	for _, r := range recordsOf(t, "real.ndjson") {
		if bytes.Contains(r, []byte(`"Encrypt"`)) && bytes.Contains(r, []byte(key)) {
			record = r
		}
	}
	fold := keylife.New(key, asked, 0)
	const n = 20_000
	for i := range n {
		r := bytes.Replace(record, []byte("user/user-2"), []byte("user/user-"+strings.Repeat("x", 1+i%700)), 1)
		if i%2 == 0 {
			r = bytes.Replace(r, []byte("parameter/"), []byte("parameter/"+time.Duration(i).String()), 1)
		}
		fold.Add(r, false)
	}
	l := fold.Life()
	var all int64
	for _, u := range l.Uses {
		all += u.Count
		contexts := u.MoreUses
		for _, c := range u.Contexts {
			contexts += c.Count
		}
		if contexts != u.Count {
			t.Errorf("%s used it %d times, with contexts %d times", u.Principal, u.Count, contexts)
		}
	}
	if len(l.Uses) != keylife.MaxCallers || all+l.Others.Count != n {
		t.Errorf("%d callers used it %d times, and others %d times; it was used %d times", len(l.Uses), all, l.Others.Count, n)
	}
}

func BenchmarkUse(b *testing.B) {
	records := recordsOf(b, "real.ndjson")
	fold := keylife.New("arn:aws:kms:us-east-1:111111111111:key/0e5d0ab6-097e-49d8-99ef-747ce3e5f8f4", asked, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		fold.Add(records[i%len(records)], false)
	}
}
