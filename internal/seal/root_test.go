package seal

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Made from the descriptions of the forms by another implementation.
const (
	frozenRoot = "0136db0aef15ea258aa0a1a2a3a4a5a6a7a8a9aaab5aff6c3de5379da2aacd7de36c1d43fe3b652e9b0324d52f" +
		"f39c2d15be38bb02b6874537702439590740d60744c8ea3c"
	frozenKMS      = "01b0b1b2b3b4b5b6b7b8b9babb1f40852f49999bdb4bebd01ced6081518a5f9f01ec115dfbef3003b1"
	frozenIdentity = "01c0c1c2c3c4c5c6c7c8c9cacb1019a4018468d3d94a703507e5c8c5ee"
)

// What is wrapped can be unwrapped by every later version: these blobs never change.
func TestFrozenBlobs(t *testing.T) {
	fileKey := unhex(t, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	s := mustFile(t, keyFile(t, fileKey, 0o600), false)
	root, err := s.Unwrap(unhex(t, frozenRoot))
	if err != nil {
		t.Fatal(err)
	}
	if want := "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"; hex.EncodeToString(root) != want {
		t.Errorf("the root is %x", root)
	}
	for _, test := range []struct{ purpose, context, blob, plaintext string }{
		{"kms", "arn:aws:kms:us-east-1:111122223333:key/1234abcd", frozenKMS, "key material"},
		{"identity", "", frozenIdentity, ""},
	} {
		got, err := newRoot(root).For(test.purpose).Unwrap(unhex(t, test.blob), []byte(test.context))
		if err != nil || string(got) != test.plaintext {
			t.Errorf("%s: %q, %v", test.purpose, got, err)
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWrappedSecretsAreBound(t *testing.T) {
	root := newRoot(bytes.Repeat([]byte{1}, 32))
	w := root.For("kms")
	plaintext, context := []byte("key material"), []byte("key/1")
	blob, err := w.Wrap(plaintext, context)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(blob, plaintext) || bytes.Contains(blob, context) {
		t.Errorf("the blob shows what it wraps: %x", blob)
	}
	if got, err := root.For("kms").Unwrap(blob, context); err != nil || !bytes.Equal(got, plaintext) {
		t.Fatalf("got %q, %v", got, err)
	}
	again, err := w.Wrap(plaintext, context)
	if err != nil || bytes.Equal(again, blob) {
		t.Errorf("wrapped twice, it is the same: %v", err)
	}

	refused := func(name string, w *Wrapper, blob, context []byte) {
		t.Helper()
		if got, err := w.Unwrap(blob, context); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	refused("another purpose", root.For("identity"), blob, context)
	refused("another root", newRoot(bytes.Repeat([]byte{2}, 32)).For("kms"), blob, context)
	refused("another context", w, blob, []byte("key/2"))
	refused("no context", w, blob, nil)
	refused("longer context", w, blob, []byte("key/11"))
	refused("nothing", w, nil, context)
	refused("longer", w, append(bytes.Clone(blob), 0), context)
	for n := range blob {
		refused("cut", w, blob[:n], context)
	}
	for i := range blob {
		for bit := range 8 {
			damaged := bytes.Clone(blob)
			damaged[i] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of byte %d", bit, i), w, damaged, context)
		}
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	key := []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345")
	type holder struct { // fmt sees unexported fields as they are
		value   Root
		pointer *Root
		wrapper Wrapper
		seal    Seal
		any     any
	}
	root := newRoot(key)
	seal := mustFile(t, keyFile(t, key, 0o600), false)
	for name, v := range map[string]any{
		"root": root, "root value": *root, "wrapper": root.For("kms"), "wrapper value": *root.For("kms"), "seal": seal,
		"holder": holder{*root, root, *root.For("kms"), seal, *root}, "pointer to a holder": &holder{*root, root, *root.For("kms"), seal, *root},
		"slice": []*Root{root}, "map": map[string]Root{"a": *root},
	} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
		for _, text := range []string{fmt.Sprintf("%v", v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%s", v),
			fmt.Sprintf("%x", v), fmt.Sprintf("%d", v), log.String()} {
			if strings.Contains(text, "ABCDEFGH") || strings.Contains(text, "65 66 67 68") || strings.Contains(text, "41424344") ||
				strings.Contains(text, "0x41, 0x42") {
				t.Errorf("%s is printed as %s", name, text)
			}
		}
	}
}
