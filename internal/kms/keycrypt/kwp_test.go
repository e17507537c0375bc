package keycrypt

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

// Wycheproof's vectors of AES-KWP: what is valid is wrapped and unwrapped to the byte, what is not is refused.
func TestKeyWrapVectors(t *testing.T) {
	data, err := fs.ReadFile(wycheproof.TestVectors, "aes_kwp_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			Tests []struct {
				TcID                          int
				Comment, Key, Msg, Ct, Result string
			}
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, group := range file.TestGroups {
		for _, v := range group.Tests {
			ran++
			kek, msg, ct := unhex(t, v.Key), unhex(t, v.Msg), unhex(t, v.Ct)
			got, err := UnwrapKey(kek, ct)
			if v.Result == "invalid" {
				if !errors.Is(err, ErrWrapped) || got != nil {
					t.Errorf("vector %d (%s): unwrapped to %x, %v", v.TcID, v.Comment, got, err)
				}
				continue
			}
			if err != nil || !bytes.Equal(got, msg) {
				t.Errorf("vector %d (%s): unwrapped to %x, %v", v.TcID, v.Comment, got, err)
			}
			if wrapped, err := WrapKey(kek, msg); err != nil || !bytes.Equal(wrapped, ct) {
				t.Errorf("vector %d (%s): wrapped to %x, %v", v.TcID, v.Comment, wrapped, err)
			}
		}
	}
	if ran != file.NumberOfTests || ran == 0 {
		t.Errorf("%d vectors ran of %d", ran, file.NumberOfTests)
	}
}

// The two examples of RFC 5649, section 6.
func TestKeyWrapRFC5649(t *testing.T) {
	kek := unhex(t, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	for key, want := range map[string]string{
		"c37b7e6492584340bed12207808941155068f738": "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
		"466f7250617369": "afbeb0f07dfbf5419200f2ccb50bb24f",
	} {
		if got, err := WrapKey(kek, unhex(t, key)); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s is wrapped to %x, %v", key, got, err)
		}
	}
}

// Only what WrapKey makes unwraps, and back to what it was made from.
func FuzzUnwrapKey(f *testing.F) {
	kek := make([]byte, 32)
	wrapped, _ := WrapKey(kek, []byte("a key of twenty bytes"))
	f.Add(kek, wrapped)
	f.Add(kek[:16], wrapped[:16])
	f.Add([]byte{1}, []byte{})
	f.Fuzz(func(t *testing.T, kek, wrapped []byte) {
		key, err := UnwrapKey(kek, wrapped)
		if err != nil {
			if !errors.Is(err, ErrWrapped) || key != nil {
				t.Fatalf("%x, %v", key, err)
			}
			return
		}
		if again, err := WrapKey(kek, key); err != nil || !bytes.Equal(again, wrapped) {
			t.Fatalf("%x unwraps to %x, which wraps to %x, %v", wrapped, key, again, err)
		}
	})
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
