package vigil

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

func retentionKey(t testing.TB, name string) (note.Signer, note.Verifier) {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

func retentionRecord(t testing.TB, statement []byte, change func(*Record)) []byte {
	t.Helper()
	quoted := `{"statement":` + strings.ReplaceAll(`"`+string(statement)+`"`, "\n", `\n`) + `}`
	r := &Record{EventVersion: RecordVersion, EventTime: time.Unix(1_800_000_000, 0), EventSource: RetentionSource, EventName: RetentionEvent,
		EventType: AwsServiceEvent, ServiceEventDetails: []byte(quoted)}
	if change != nil {
		change(r)
	}
	return r.AppendJSON(nil)
}

func TestRetentionStatement(t *testing.T) {
	const origin = "log.example.com/tlog"
	signer, log := retentionKey(t, origin)
	other, _ := retentionKey(t, origin)
	at := time.Unix(1_800_000_000, 5e6).UTC()
	stated := Retention{Origin: origin, Before: 300, Older: at.Add(-90 * 24 * time.Hour), Time: at,
		Tree: Checkpoint{Origin: origin, Size: 1000, Root: LeafHash(Digest(nil))}}
	sign := func(signer note.Signer, change func(*Retention)) []byte {
		r := stated
		if change != nil {
			change(&r)
		}
		signed, err := r.Sign(signer)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	good := sign(signer, nil)
	if got, err := FindRetention(retentionRecord(t, good, nil), log); err != nil || got.Text() != stated.Text() {
		t.Errorf("read back as %v, %v", got, err)
	}
	for name, record := range map[string][]byte{
		"not signed by the log":   retentionRecord(t, sign(other, nil), nil),
		"altered":                 retentionRecord(t, []byte(strings.Replace(string(good), "\n300\n", "\n900\n", 1)), nil),
		"of another log":          retentionRecord(t, sign(signer, func(r *Retention) { r.Origin = "else.example.com" }), nil),
		"more than there were":    retentionRecord(t, sign(signer, func(r *Retention) { r.Before = 1001 }), nil),
		"a checkpoint":            retentionRecord(t, mustSign(t, stated.Tree, signer), nil),
		"a caller's event":        retentionRecord(t, good, func(r *Record) { r.EventType = AwsAPICall }),
		"another service's event": retentionRecord(t, good, func(r *Record) { r.EventSource = "kms.amazonaws.com" }),
		"no details":              retentionRecord(t, good, func(r *Record) { r.ServiceEventDetails = nil }),
		"no record":               []byte("{"),
	} {
		if got, err := FindRetention(record, log); !errors.Is(err, ErrRetention) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := OpenCheckpoint(good, log); err == nil {
		t.Error("a statement passes for a checkpoint")
	}
}

func mustSign(t testing.TB, c Checkpoint, signer note.Signer) []byte {
	t.Helper()
	signed, err := c.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func FuzzOpenRetention(f *testing.F) {
	signer, log := retentionKey(f, "log.example.com/tlog")
	f.Add(Retention{Origin: "log.example.com/tlog", Before: 1, Tree: Checkpoint{Size: 2}}.Text())
	f.Add("vigil-retention/v1\nlog.example.com/tlog\n1\n2\n3\n4\n5\n")
	f.Fuzz(func(t *testing.T, text string) {
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			return
		}
		r, err := OpenRetention(signed, log)
		if err == nil && r.Text() != text {
			t.Errorf("%q is read as %q", text, r.Text())
		}
	})
}
