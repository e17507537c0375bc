package kms_test

import (
	"context"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// The handlers of each family of keys, to hold against the bare algorithms of keycrypt's benchmarks.
func BenchmarkFamilies(b *testing.B) {
	h := open(b)
	message := []byte("twenty bytes to sign")
	run := func(name, op string, in func() any) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			do, c := h.ops[op].Do, *alice.begin(h.clock.Now(), op)
			for b.Loop() {
				c := c
				if _, err := do(context.Background(), &c, in()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, v := range []struct {
		spec      types.KeySpec
		algorithm types.SigningAlgorithmSpec
	}{
		{"RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256"}, {"ECC_NIST_P256", "ECDSA_SHA_256"}, {"ECC_SECG_P256K1", "ECDSA_SHA_256"},
		{"ECC_NIST_EDWARDS25519", "ED25519_SHA_512"}, {"SM2", "SM2DSA"}, {"ML_DSA_65", "ML_DSA_SHAKE_256"},
	} {
		m := h.pair(b, alice, v.spec, "SIGN_VERIFY")
		run("Sign/"+string(v.spec), "Sign", func() any {
			return &awskms.SignInput{KeyId: m.KeyId, SigningAlgorithm: v.algorithm, Message: message}
		})
	}
	mac := h.hmac(b, alice, "HMAC_256")
	run("GenerateMac/HMAC_256", "GenerateMac", func() any {
		return &awskms.GenerateMacInput{KeyId: mac.KeyId, MacAlgorithm: "HMAC_SHA_256", Message: message}
	})
	rsa := h.pair(b, alice, "RSA_2048", "ENCRYPT_DECRYPT")
	run("Encrypt/RSA_2048", "Encrypt", func() any {
		return &awskms.EncryptInput{KeyId: rsa.KeyId, EncryptionAlgorithm: "RSAES_OAEP_SHA_256", Plaintext: message}
	})
	agree := h.pair(b, alice, "ECC_NIST_P256", "KEY_AGREEMENT")
	public := h.publicKey(b, alice, *agree.KeyId)
	run("DeriveSharedSecret/ECC_NIST_P256", "DeriveSharedSecret", func() any {
		return &awskms.DeriveSharedSecretInput{KeyId: agree.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: public}
	})
	kem := h.pair(b, alice, "ML_KEM_768", "ENCAPSULATE_DECAPSULATE")
	blob := must[awskms.EncapsulateOutput](b, h, alice, "Encapsulate",
		&awskms.EncapsulateInput{KeyId: kem.KeyId, EncapsulationAlgorithm: "ML_KEM"}).SharedSecretCiphertextBlob
	run("Decapsulate/ML_KEM_768", "Decapsulate", func() any {
		return &awskms.DecapsulateInput{KeyId: kem.KeyId, EncapsulationAlgorithm: "ML_KEM", SharedSecretCiphertextBlob: blob}
	})
}
