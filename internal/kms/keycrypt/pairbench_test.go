package keycrypt_test

import (
	"testing"

	"vigil/internal/kms/keycrypt"
)

// The bare algorithms: the handlers' benchmarks in package kms are these and what a handler adds.
func BenchmarkSign(b *testing.B) {
	for _, f := range frozenPairs(b) {
		m := keycrypt.New(keyID, f.PKCS8)
		for _, s := range f.Signatures {
			if s.Type == keycrypt.Digest && s.Algorithm != keycrypt.Ed25519ph {
				continue
			}
			b.Run(string(f.Spec)+"/"+string(s.Algorithm), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := m.Sign(s.Algorithm, s.Type, s.Message); err != nil {
						b.Fatal(err)
					}
				}
			})
			break
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, f := range frozenPairs(b) {
		m := keycrypt.New(keyID, f.PKCS8)
		for _, s := range f.Signatures {
			if s.Type == keycrypt.Digest {
				continue
			}
			b.Run(string(f.Spec)+"/"+string(s.Algorithm)+"/"+string(s.Type), func(b *testing.B) {
				for b.Loop() {
					if ok, err := m.Verify(s.Algorithm, s.Type, s.Message, s.Signature); !ok {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkPairs(b *testing.B) {
	for _, f := range frozenPairs(b) {
		m := keycrypt.New(keyID, f.PKCS8)
		for _, c := range f.Ciphertexts {
			b.Run("Decrypt/"+string(f.Spec)+"/"+string(c.Algorithm), func(b *testing.B) {
				for b.Loop() {
					if _, err := m.DecryptPrivate(c.Algorithm, c.Ciphertext); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		for _, a := range f.Agreements {
			b.Run("Agree/"+string(f.Spec), func(b *testing.B) {
				for b.Loop() {
					if _, err := m.Agree(a.Peer); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		for _, e := range f.Encapsulations {
			b.Run("Decapsulate/"+string(f.Spec), func(b *testing.B) {
				for b.Loop() {
					if _, err := m.Decapsulate(e.Ciphertext); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
