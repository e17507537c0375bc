package keycrypt_test

import (
	"testing"

	"vigil/internal/kms/keycrypt"
)

func BenchmarkEncrypt256(b *testing.B) {
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	plaintext := make([]byte, 256)
	for _, c := range []struct {
		name    string
		context map[string]string
	}{{"NoContext", nil}, {"Context", map[string]string{"Department": "Engineering", "Project": "Alpha"}}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Encrypt(keyARN, plaintext, c.context); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecrypt256(b *testing.B) {
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	blob, err := m.Encrypt(keyARN, make([]byte, 256), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Decrypt(blob, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseBlob(b *testing.B) {
	m := keycrypt.Generate(keyID, keycrypt.SizeSymmetric)
	blob, err := m.Encrypt(keyARN, make([]byte, 256), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keycrypt.ParseBlob(blob); err != nil {
			b.Fatal(err)
		}
	}
}

const (
	keyID  = "1234abcd-12ab-34cd-56ef-1234567890ab"
	keyARN = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
)
