package kms_test

import (
	"context"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
)

// The handlers alone, of cached keys: without the door and the journal.
func BenchmarkHandlers(b *testing.B) {
	h := open(b)
	m := h.symmetric(b, alice)
	h.alias(b, alice, "alias/bench", *m.KeyId)
	plaintext := make([]byte, 256)
	encContext := map[string]string{"Department": "Engineering"}
	blob := h.encrypt(b, alice, *m.KeyId, string(plaintext), encContext)
	for _, bench := range []struct {
		name, op string
		in       func() any
	}{
		{"EncryptByID", "Encrypt", func() any {
			return &awskms.EncryptInput{KeyId: m.KeyId, Plaintext: plaintext, EncryptionContext: encContext}
		}},
		{"EncryptByARN", "Encrypt", func() any {
			return &awskms.EncryptInput{KeyId: m.Arn, Plaintext: plaintext, EncryptionContext: encContext}
		}},
		{"EncryptByAlias", "Encrypt", func() any {
			return &awskms.EncryptInput{KeyId: new("alias/bench"), Plaintext: plaintext, EncryptionContext: encContext}
		}},
		{"Decrypt", "Decrypt", func() any {
			return &awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: encContext}
		}},
		{"GenerateDataKey", "GenerateDataKey", func() any {
			return &awskms.GenerateDataKeyInput{KeyId: m.KeyId, KeySpec: "AES_256"}
		}},
		{"DescribeKey", "DescribeKey", func() any { return &awskms.DescribeKeyInput{KeyId: m.KeyId} }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			op, now := h.ops[bench.op], h.clock.Now()
			c := *alice.begin(now, bench.op)
			for b.Loop() {
				c := c
				if _, err := op.Do(context.Background(), &c, bench.in()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
