package sigv4

import "testing"

// What the door does for each request of KMS once it has the key: eight signed headers, the hash of the body given.
func BenchmarkParseVerify(b *testing.B) {
	r := kmsRequest(b)
	r.URL.RawQuery, r.RequestURI = "", "/"
	key, payloadHash := kmsKey(), hashOf(testBody)
	token := "IQoJb3JpZ2luX2VjEBQaCXVzLWVhc3QtMSJHMEUCIQC7" + payloadHash + payloadHash + payloadHash
	if err := Sign(r, payloadHash, "AKIDEXAMPLE", token, key, "eu-west-1", "kms", signedAt); err != nil {
		b.Fatal(err)
	}
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Parse(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	s, err := Parse(r)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Verify(r, payloadHash, key, signedAt); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDeriveKey(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		kmsKey()
	}
}
