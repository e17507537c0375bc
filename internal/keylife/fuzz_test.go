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

// Of a key that is changed very often, the oldest changes are forgotten, but for its making and what came of them.
func TestManyChanges(t *testing.T) {
	const key = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	var tag []byte
	fold := keylife.New(key, asked, 0)
	for _, r := range recordsOf(t, "policies.ndjson") {
		if bytes.Contains(r, []byte(`"TagResource"`)) {
			tag = r
			break
		}
		fold.Add(r, false)
	}
	at := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	const n = 3 * keylife.MaxChanges
	for i := range n {
		r := bytes.Replace(tag, []byte("2026-03-05T10:00:00Z"), []byte(at.Add(time.Duration(i)*time.Second).Format(time.RFC3339)), 1)
		if i == 0 {
			r = bytes.Replace(r, []byte("tier"), []byte("once"), 1)
		}
		fold.Add(r, false)
	}
	l := fold.Life()
	if l.Changes[0].Operation != "CreateKey" || l.Now.Created == nil || l.Now.Tags["once"] != "1" || l.Now.Tags["tier"] != "1" ||
		!strings.Contains(l.Now.Policy, "No outsiders") || len(l.Now.Grants) != 1 {
		t.Errorf("it begins with %s, and its state is %+v", l.Changes[0].Operation, l.Now)
	}
	if kept := int64(len(l.Changes)); kept > 2*keylife.MaxChanges || kept+l.ChangesLeftOut != n+7 {
		t.Errorf("%d changes are told and %d left out, of %d", kept, l.ChangesLeftOut, n+7)
	}
}
