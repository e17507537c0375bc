package keycrypt_test

import (
	"bytes"
	"errors"
	"testing"

	"vigil/internal/kms/keycrypt"
)

// outside stands for the external key: what it does to the bytes does not matter here.
func outside(b []byte) []byte {
	flipped := bytes.Clone(b)
	for i := range flipped {
		flipped[i] ^= 0x5a
	}
	return flipped
}

func wrapped(t testing.TB, m *keycrypt.Material, plaintext []byte, context map[string]string) []byte {
	t.Helper()
	blob, err := m.Encrypt(keyARN, plaintext, context)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := keycrypt.Inner(blob)
	if err != nil {
		t.Fatal(err)
	}
	out, err := keycrypt.Wrapped(blob, keycrypt.Outer{
		Ciphertext: outside(inner), IV: make([]byte, 12), Tag: make([]byte, 16), Metadata: []byte("v1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTwoLayers(t *testing.T) {
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	context := map[string]string{"Project": "Alpha"}
	for _, size := range []int{0, 1, 4096} {
		plaintext := bytes.Repeat([]byte{7}, size)
		blob := wrapped(t, m, plaintext, context)
		header, err := keycrypt.ParseBlob(blob)
		if err != nil || header.KeyARN != keyARN || header.MaterialID != m.ID() {
			t.Fatalf("ParseBlob = %+v, %v", header, err)
		}
		if _, err := m.Decrypt(blob, context); !errors.Is(err, keycrypt.ErrCiphertext) {
			t.Errorf("the material alone decrypts it: %v", err)
		}
		outer, rebuild, err := keycrypt.Unwrap(blob)
		if err != nil || string(outer.Metadata) != "v1" || len(outer.IV) != 12 || len(outer.Tag) != 16 {
			t.Fatalf("Unwrap = %+v, %v", outer, err)
		}
		if len(outer.Ciphertext) > 4300 {
			t.Errorf("the external key is given %d bytes, and need not take more than 4300", len(outer.Ciphertext))
		}
		got, err := m.Decrypt(rebuild(outside(outer.Ciphertext)), context)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if _, err := m.Decrypt(rebuild(outer.Ciphertext), context); !errors.Is(err, keycrypt.ErrCiphertext) {
			t.Errorf("it decrypts without the external key: %v", err)
		}
		if _, err := m.Decrypt(rebuild(outside(outer.Ciphertext)), nil); !errors.Is(err, keycrypt.ErrCiphertext) {
			t.Errorf("it decrypts without its context: %v", err)
		}
		moved := bytes.Replace(blob, []byte(":111122223333:"), []byte(":444455556666:"), 1)
		outer, rebuild, _ = keycrypt.Unwrap(moved)
		if _, err := m.Decrypt(rebuild(outside(outer.Ciphertext)), context); !errors.Is(err, keycrypt.ErrCiphertext) {
			t.Errorf("a rewritten ARN decrypts: %v", err)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	f.Add(wrapped(f, m, []byte("x"), nil))
	f.Add([]byte("VG\x02\x00\x01a"))
	f.Fuzz(func(t *testing.T, blob []byte) {
		outer, rebuild, err := keycrypt.Unwrap(blob)
		header, headerErr := keycrypt.ParseBlob(blob)
		if err != nil {
			if !errors.Is(err, keycrypt.ErrCiphertext) {
				t.Fatal(err)
			}
			return
		}
		if headerErr != nil || header.KeyARN == "" || len(outer.Ciphertext) == 0 || len(outer.IV) == 0 || len(outer.Tag) == 0 {
			t.Fatalf("%+v, %+v, %v", outer, header, headerErr)
		}
		if again := rebuild(outer.Ciphertext); len(again) >= len(blob) {
			t.Fatal("what is rebuilt is longer than what it was in")
		}
	})
}
