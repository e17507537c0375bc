package kms_test

import (
	"context"
	"fmt"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
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

// Encrypt under a policy of ten statements, of a key with a hundred grants, by a root user whom the policy lets in.
func BenchmarkEncryptWithGrants(b *testing.B) {
	h := open(b)
	m := h.symmetric(b, alice)
	for i := range 100 {
		h.grant(b, awskms.CreateGrantInput{KeyId: m.KeyId, Operations: []types.GrantOperation{"Encrypt"},
			GranteePrincipal: new(fmt.Sprintf("arn:aws:iam::111122223333:user/u%d", i))})
	}
	statements := ""
	for i := range 9 {
		statements += fmt.Sprintf(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/u%d"},"Action":"kms:Encrypt","Resource":"*"},`, i)
	}
	h.do(b, alice, "PutKeyPolicy", &awskms.PutKeyPolicyInput{KeyId: m.KeyId, Policy: new(`{"Statement":[` + statements +
		`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}`)})
	for _, who := range []call.Principal{alice.begin(h.clock.Now(), "Encrypt").Principal, user(alice.account, "u50")} {
		b.Run(who.Type, func(b *testing.B) {
			b.ReportAllocs()
			begun := alice.begin(h.clock.Now(), "Encrypt")
			begun.Principal = who
			for b.Loop() {
				c := *begun
				in := &awskms.EncryptInput{KeyId: m.KeyId, Plaintext: make([]byte, 256)}
				if _, err := h.ops["Encrypt"].Do(context.Background(), &c, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Encrypt by a principal whom two thousand grants let in, each with an encryption context of its own.
func BenchmarkEncryptByOneOfManyGrants(b *testing.B) {
	h := open(b)
	m := h.symmetric(b, alice)
	bob := user("111122223333", "bob")
	for i := range 2000 {
		h.grant(b, awskms.CreateGrantInput{KeyId: m.KeyId, GranteePrincipal: &bob.ARN, Operations: []types.GrantOperation{"Encrypt"},
			Constraints: &types.GrantConstraints{EncryptionContextSubset: map[string]string{"service": "disks", "disk": fmt.Sprint(i)}}})
	}
	for b.Loop() {
		if _, _, err := h.as(bob, "Encrypt", &awskms.EncryptInput{KeyId: m.Arn, Plaintext: []byte("x"),
			EncryptionContext: map[string]string{"service": "disks", "disk": "1999"}}); err != nil {
			b.Fatal(err)
		}
	}
}
