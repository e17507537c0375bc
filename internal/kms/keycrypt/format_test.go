package keycrypt_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sort"
	"testing"

	"vigil/internal/kms/keycrypt"
)

// The functions of this file are a second implementation of docs/formats/ciphertext.md, of primitives that are checked
// against published vectors first. Each side reads what the other writes.

func TestPublishedVectors(t *testing.T) {
	// RFC 5869, A.1: the first block of the output.
	got := hkdfExpand32(unhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"), unhex("f0f1f2f3f4f5f6f7f8f9"))
	if want := unhex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"); !bytes.Equal(got, want) {
		t.Errorf("HKDF-Expand = %x, want %x", got, want)
	}
	// McGrew and Viega, The Galois/Counter Mode of Operation (GCM), test case 16: AES-256.
	got = gcmSeal(unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"), unhex("cafebabefacedbaddecaf888"),
		unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"),
		unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"))
	want := unhex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" +
		"76fc6ece0f4e1768cddf8853bb2d551b")
	if !bytes.Equal(got, want) {
		t.Errorf("AES-256-GCM = %x, want %x", got, want)
	}
}

func TestBlobsFollowTheWrittenFormat(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	context := map[string]string{"Project": "Alpha", "Department": "Engineering", "empty": ""}
	m := keycrypt.New(keyID, secret)

	salt, nonce := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 12)
	written := writeBlob(secret, keyID, keyARN, salt, nonce, []byte("by the document"), context)
	if plaintext, err := m.Decrypt(written, context); err != nil || string(plaintext) != "by the document" {
		t.Errorf("a blob made after the document: %q, %v", plaintext, err)
	}

	blob, err := m.Encrypt(keyARN, []byte("by the package"), context)
	if err != nil {
		t.Fatal(err)
	}
	at := 5 + len(keyARN) + 32
	again := writeBlob(secret, keyID, keyARN, blob[at:at+16], blob[at+16:at+28], []byte("by the package"), context)
	if !bytes.Equal(again, blob) {
		t.Errorf("the document gives\n%x\nthe package\n%x", again, blob)
	}
}

func writeBlob(secret []byte, keyID, keyARN string, salt, nonce, plaintext []byte, context map[string]string) []byte {
	blob := []byte{'V', 'G', 1}
	blob = binary.BigEndian.AppendUint16(blob, uint16(len(keyARN)))
	blob = append(blob, keyARN...)
	id := sha256.New()
	id.Write([]byte("vigil key material id v1"))
	binary.Write(id, binary.BigEndian, uint32(len(keyID)))
	id.Write([]byte(keyID))
	id.Write(secret)
	blob = id.Sum(blob)
	blob = append(blob, salt...)

	data := binary.BigEndian.AppendUint32(bytes.Clone(blob), uint32(len(context)))
	keys := make([]string, 0)
	for key := range context {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		for _, s := range []string{key, context[key]} {
			data = binary.BigEndian.AppendUint32(data, uint32(len(s)))
			data = append(data, s...)
		}
	}
	blob = append(blob, nonce...)
	return append(blob, gcmSeal(hkdfExpand32(secret, append([]byte("vigil message key v1"), salt...)), nonce, plaintext, data)...)
}

// hkdfExpand32 is HKDF-Expand of RFC 5869, 2.3, for 32 bytes of output: T(1).
func hkdfExpand32(prk, info []byte) []byte {
	mac := hmac.New(sha256.New, prk)
	mac.Write(info)
	mac.Write([]byte{1})
	return mac.Sum(nil)
}

// gcmSeal is AES-GCM with a given nonce, which a strict FIPS 140-3 mode allows nobody but a test to give.
func gcmSeal(key, nonce, plaintext, data []byte) (sealed []byte) {
	fips140.WithoutEnforcement(func() {
		block, err := aes.NewCipher(key)
		if err != nil {
			panic(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			panic(err)
		}
		sealed = aead.Seal(nil, nonce, plaintext, data)
	})
	return sealed
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
