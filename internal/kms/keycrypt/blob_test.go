package keycrypt_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"vigil/internal/kms/keycrypt"
)

// Blobs that a released version has written decrypt for ever. Lines are added to the file, never changed.
func TestFrozenBlobs(t *testing.T) {
	for _, v := range frozen(t) {
		m := keycrypt.New(v.KeyID, v.Material)
		if m.ID() != v.MaterialID {
			t.Errorf("%s: material id %s, want %s", v.Comment, m.ID(), v.MaterialID)
		}
		header, err := keycrypt.ParseBlob(v.Blob)
		if err != nil || header.KeyARN != v.KeyARN || header.MaterialID != v.MaterialID {
			t.Errorf("%s: ParseBlob = %+v, %v", v.Comment, header, err)
		}
		plaintext, err := m.Decrypt(v.Blob, v.Context)
		if err != nil || string(plaintext) != v.Plaintext {
			t.Errorf("%s: Decrypt = %q, %v; want %q", v.Comment, plaintext, err, v.Plaintext)
		}
	}
}

type vector struct {
	Comment    string            `json:"comment"`
	KeyID      string            `json:"keyId"`
	KeyARN     string            `json:"keyArn"`
	Material   []byte            `json:"material"`
	MaterialID string            `json:"materialId"`
	Context    map[string]string `json:"context"`
	Plaintext  string            `json:"plaintext"`
	Blob       []byte            `json:"blob"`
}

func frozen(t testing.TB) (vectors []vector) {
	t.Helper()
	data, err := os.ReadFile("testdata/blobs_v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("no frozen blobs")
	}
	return vectors
}

func TestRoundTrip(t *testing.T) {
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	contexts := []map[string]string{
		nil,
		{"Department": "Engineering"},
		{"": ""},
		{"a": "b", "c": "d", "ключ": "値", "long": strings.Repeat("x", 9000)},
	}
	for _, size := range []int{0, 1, 15, 16, 17, 256, 4096} {
		plaintext := bytes.Repeat([]byte{0xa5}, size)
		for _, context := range contexts {
			blob, err := m.Encrypt(keyARN, plaintext, context)
			if err != nil {
				t.Fatal(err)
			}
			if want := len(keyARN) + size + keycrypt.Overhead; len(blob) != want {
				t.Errorf("%d bytes of plaintext give a blob of %d, want %d", size, len(blob), want)
			}
			got, err := m.Decrypt(blob, context)
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("size %d, %d pairs of context: %v", size, len(context), err)
			}
		}
	}
}

// The longest plaintext of Encrypt and the longest ARN give a blob that Decrypt's own limit lets in.
func TestBlobFitsTheAPI(t *testing.T) {
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	blob, err := m.Encrypt(strings.Repeat("a", keycrypt.MaxKeyARN), make([]byte, 4096), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(blob) > 6144 {
		t.Errorf("the blob has %d bytes; CiphertextBlob may have 6144", len(blob))
	}
	for _, arn := range []string{"", strings.Repeat("a", keycrypt.MaxKeyARN+1)} {
		if _, err := m.Encrypt(arn, nil, nil); err == nil {
			t.Errorf("an ARN of %d bytes is accepted", len(arn))
		}
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	context := map[string]string{"Project": "Alpha"}
	blob, err := m.Encrypt(keyARN, []byte("the plaintext"), context)
	if err != nil {
		t.Fatal(err)
	}
	for i := range blob {
		for bit := range 8 {
			changed := bytes.Clone(blob)
			changed[i] ^= 1 << bit
			if plaintext, err := m.Decrypt(changed, context); !errors.Is(err, keycrypt.ErrCiphertext) || plaintext != nil {
				t.Fatalf("byte %d, bit %d: Decrypt = %q, %v", i, bit, plaintext, err)
			}
		}
	}
	for n := range blob {
		if _, err := m.Decrypt(blob[:n], context); !errors.Is(err, keycrypt.ErrCiphertext) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
	if _, err := m.Decrypt(append(bytes.Clone(blob), 0), context); !errors.Is(err, keycrypt.ErrCiphertext) {
		t.Errorf("a byte appended: %v", err)
	}
}

func TestOnlyTheSameContextDecrypts(t *testing.T) {
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	for _, c := range []struct {
		with  map[string]string
		other []map[string]string
	}{
		{nil, []map[string]string{{"a": "b"}, {"": ""}}},
		{map[string]string{"a": "b"}, []map[string]string{
			nil, {"a": "c"}, {"A": "b"}, {"b": "a"}, {"ab": ""}, {"": "ab"}, {"a": "b", "c": "d"},
		}},
		{map[string]string{"a": "b", "c": "d"}, []map[string]string{
			{"a": "b"}, {"a": "d", "c": "b"}, {"a": "bc", "d": ""}, {"ab": "cd"}, {"a": "", "bc": "d"},
		}},
	} {
		blob, err := m.Encrypt(keyARN, []byte("x"), c.with)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range c.other {
			if _, err := m.Decrypt(blob, other); !errors.Is(err, keycrypt.ErrCiphertext) {
				t.Errorf("encrypted with %q, decrypts with %q: %v", c.with, other, err)
			}
		}
	}
	blob, err := m.Encrypt(keyARN, []byte("x"), map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Decrypt(blob, nil); err != nil {
		t.Errorf("an empty context is not the same as none: %v", err)
	}
}

// A ciphertext cannot be moved to another key: neither by decrypting it with that key's material, nor by rewriting the
// ARN.
func TestCiphertextBelongsToItsKey(t *testing.T) {
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	blob, err := m.Encrypt(keyARN, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	other := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	if _, err := other.Decrypt(blob, nil); !errors.Is(err, keycrypt.ErrCiphertext) {
		t.Errorf("another material decrypts it: %v", err)
	}
	twin := keycrypt.New("0987dcba-09fe-87dc-65ba-ab0987654321", m.Secret())
	if _, err := twin.Decrypt(blob, nil); !errors.Is(err, keycrypt.ErrCiphertext) {
		t.Errorf("the same secret as another key's material decrypts it: %v", err)
	}
	moved := bytes.Replace(blob, []byte(":111122223333:"), []byte(":444455556666:"), 1)
	if header, err := keycrypt.ParseBlob(moved); err != nil || !strings.Contains(header.KeyARN, "444455556666") {
		t.Fatalf("ParseBlob = %+v, %v", header, err)
	}
	if _, err := m.Decrypt(moved, nil); !errors.Is(err, keycrypt.ErrCiphertext) {
		t.Errorf("a rewritten ARN decrypts: %v", err)
	}
}

func TestTheSamePlaintextNeverGivesTheSameBlob(t *testing.T) {
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	seen := make(map[string]bool)
	for range 1000 {
		blob, err := m.Encrypt(keyARN, []byte("x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(blob)] {
			t.Fatal("a blob came twice")
		}
		seen[string(blob)] = true
	}
}

func TestOnlySymmetricMaterialEncrypts(t *testing.T) {
	m := keycrypt.Generate(keyID, keycrypt.SizeHMAC224)
	if _, err := m.Encrypt(keyARN, []byte("x"), nil); err == nil {
		t.Error("material of 28 bytes encrypts")
	}
}

func FuzzParseBlob(f *testing.F) {
	for _, v := range frozen(f) {
		f.Add(v.Blob)
	}
	f.Add([]byte{})
	f.Add([]byte("VG\x01\xff\xff"))
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	f.Fuzz(func(t *testing.T, blob []byte) {
		header, err := keycrypt.ParseBlob(blob)
		if _, decryptErr := m.Decrypt(blob, nil); decryptErr == nil {
			t.Fatal("a blob that the material never made decrypts")
		}
		if err != nil {
			if !errors.Is(err, keycrypt.ErrCiphertext) || header != (keycrypt.Header{}) {
				t.Fatalf("ParseBlob = %+v, %v", header, err)
			}
			return
		}
		if n := len(header.KeyARN); n < 1 || n > keycrypt.MaxKeyARN || len(header.MaterialID) != 2*keycrypt.IDSize {
			t.Fatalf("ParseBlob = %+v", header)
		}
		if got := int(binary.BigEndian.Uint16(blob[3:])); got != len(header.KeyARN) {
			t.Fatalf("the ARN has %d bytes, the blob says %d", len(header.KeyARN), got)
		}
	})
}

// base64 of a blob begins like this, which tells a Vigil ciphertext from others at sight.
func TestBlobsAreRecognisable(t *testing.T) {
	blob, err := keycrypt.Generate(keyID, keycrypt.SizeSymmetric).Encrypt(keyARN, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := base64.StdEncoding.EncodeToString(blob); !strings.HasPrefix(text, "VkcB") {
		t.Errorf("a blob begins with %.8s", text)
	}
}
