package kms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// A digest signed is its message signed, and who has only the public key can verify either.
func TestDigests(t *testing.T) {
	h := open(t)
	message := []byte("message")
	keys := make(map[types.KeySpec]*types.KeyMetadata)
	sum256, sum384, sum512 := sha256.Sum256(message), sha512.Sum384(message), sha512.Sum512(message)
	for _, v := range []struct {
		spec      types.KeySpec
		algorithm types.SigningAlgorithmSpec
		digest    []byte
		hash      crypto.Hash
	}{
		{"RSA_2048", "RSASSA_PSS_SHA_256", sum256[:], crypto.SHA256},
		{"RSA_2048", "RSASSA_PSS_SHA_384", sum384[:], crypto.SHA384},
		{"RSA_2048", "RSASSA_PSS_SHA_512", sum512[:], crypto.SHA512},
		{"RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", sum256[:], crypto.SHA256},
		{"RSA_2048", "RSASSA_PKCS1_V1_5_SHA_384", sum384[:], crypto.SHA384},
		{"RSA_2048", "RSASSA_PKCS1_V1_5_SHA_512", sum512[:], crypto.SHA512},
		{"ECC_NIST_P256", "ECDSA_SHA_256", sum256[:], 0},
		{"ECC_NIST_P384", "ECDSA_SHA_384", sum384[:], 0},
		{"ECC_NIST_P521", "ECDSA_SHA_512", sum512[:], 0},
		{"ECC_SECG_P256K1", "ECDSA_SHA_256", sum256[:], 0},
	} {
		m := keys[v.spec]
		if m == nil {
			m = h.pair(t, alice, v.spec, "SIGN_VERIFY")
			keys[v.spec] = m
		}
		raw := awskms.SignInput{KeyId: m.KeyId, SigningAlgorithm: v.algorithm, Message: message, MessageType: "RAW"}
		digest := awskms.SignInput{KeyId: m.KeyId, SigningAlgorithm: v.algorithm, Message: v.digest, MessageType: "DIGEST"}
		for _, pair := range [][2]awskms.SignInput{{raw, digest}, {digest, raw}} {
			signature := must[awskms.SignOutput](t, h, alice, "Sign", &pair[0]).Signature
			h.do(t, alice, "Verify", &awskms.VerifyInput{
				KeyId: m.KeyId, SigningAlgorithm: v.algorithm, Message: pair[1].Message, MessageType: pair[1].MessageType, Signature: signature,
			})
			if v.spec == "ECC_SECG_P256K1" { // the standard library does not have it
				continue
			}
			public, err := x509.ParsePKIXPublicKey(h.publicKey(t, alice, *m.KeyId))
			if err != nil {
				t.Fatal(err)
			}
			valid := false
			switch public := public.(type) {
			case *ecdsa.PublicKey:
				valid = ecdsa.VerifyASN1(public, v.digest, signature)
			case *rsa.PublicKey:
				if v.algorithm[7] == 'P' && v.algorithm[8] == 'S' {
					valid = rsa.VerifyPSS(public, v.hash, v.digest, signature, &rsa.PSSOptions{SaltLength: v.hash.Size()}) == nil
				} else {
					valid = rsa.VerifyPKCS1v15(public, v.hash, v.digest, signature) == nil
				}
			}
			if !valid {
				t.Errorf("%s: the public key does not verify", v.algorithm)
			}
		}
		digest.Message = v.digest[1:]
		refused(t, string(v.algorithm), h.try(alice, "Sign", &digest), "ValidationException",
			fmt.Sprintf("Digest is invalid length for algorithm %s.", v.algorithm))
	}
}

// Ed25519ph is of the SHA-512 of what the caller gives, which is a SHA-512 itself.
func TestEd25519(t *testing.T) {
	h := open(t)
	m := h.pair(t, alice, "ECC_NIST_EDWARDS25519", "SIGN_VERIFY")
	parsed, err := x509.ParsePKIXPublicKey(h.publicKey(t, alice, *m.KeyId))
	if err != nil {
		t.Fatal(err)
	}
	public := parsed.(ed25519.PublicKey)
	message := []byte("message")
	pure := must[awskms.SignOutput](t, h, alice, "Sign",
		&awskms.SignInput{KeyId: m.KeyId, SigningAlgorithm: "ED25519_SHA_512", Message: message}).Signature
	if !ed25519.Verify(public, message, pure) {
		t.Error("the public key does not verify Ed25519")
	}
	digest := sha512.Sum512(message)
	hashed := must[awskms.SignOutput](t, h, alice, "Sign",
		&awskms.SignInput{KeyId: m.KeyId, SigningAlgorithm: "ED25519_PH_SHA_512", Message: digest[:], MessageType: "DIGEST"}).Signature
	again := sha512.Sum512(digest[:])
	if err := ed25519.VerifyWithOptions(public, again[:], hashed, &ed25519.Options{Hash: crypto.SHA512}); err != nil {
		t.Error("the public key does not verify Ed25519ph:", err)
	}
}

// The signature of μ is the message's.
func TestExternalMu(t *testing.T) {
	h := open(t)
	for _, spec := range []types.KeySpec{"ML_DSA_44", "ML_DSA_65", "ML_DSA_87"} {
		m := h.pair(t, alice, spec, "SIGN_VERIFY")
		var key struct {
			Algorithm asn1.RawValue
			Key       asn1.BitString
		}
		if _, err := asn1.Unmarshal(h.publicKey(t, alice, *m.KeyId), &key); err != nil {
			t.Fatal(err)
		}
		tr := sha3.SumSHAKE256(key.Key.Bytes, 64)
		message := bytes.Repeat([]byte("m"), 4096)
		mu := sha3.SumSHAKE256(slices.Concat(tr, []byte{0, 0}, message), 64)
		types := map[types.MessageType][]byte{"RAW": message, "EXTERNAL_MU": mu}
		for signed := range types {
			signature := must[awskms.SignOutput](t, h, alice, "Sign", &awskms.SignInput{
				KeyId: m.KeyId, SigningAlgorithm: "ML_DSA_SHAKE_256", Message: types[signed], MessageType: signed,
			}).Signature
			for verified := range types {
				in := &awskms.VerifyInput{
					KeyId: m.KeyId, SigningAlgorithm: "ML_DSA_SHAKE_256", Message: types[verified], MessageType: verified, Signature: signature,
				}
				h.do(t, alice, "Verify", in)
				in.Signature = bytes.Clone(signature)
				in.Signature[len(signature)/2] ^= 1
				refused(t, "changed", h.try(alice, "Verify", in), "KMSInvalidSignatureException", "")
			}
		}
	}
}

func TestSignRefuses(t *testing.T) {
	h := open(t)
	rsa, ed, dsa := h.pair(t, alice, "RSA_2048", "SIGN_VERIFY"), h.pair(t, alice, "ECC_NIST_EDWARDS25519", "SIGN_VERIFY"), h.pair(t, alice, "ML_DSA_44", "SIGN_VERIFY")
	mac, sym, agree := h.hmac(t, alice, "HMAC_256"), h.symmetric(t, alice), h.pair(t, alice, "ECC_NIST_P256", "KEY_AGREEMENT")
	off := h.pair(t, alice, "ECC_NIST_P256", "SIGN_VERIFY")
	h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: off.KeyId})
	size64 := make([]byte, 64)
	for _, op := range []string{"Sign", "Verify"} {
		for _, v := range []struct {
			name, code, message string
			in                  awskms.SignInput
		}{
			{"HMAC key", "InvalidKeyUsageException", *mac.Arn + " key usage is GENERATE_VERIFY_MAC which is not valid for " + op + ".",
				awskms.SignInput{KeyId: mac.KeyId, SigningAlgorithm: "RSASSA_PSS_SHA_256"}},
			{"symmetric key", "InvalidKeyUsageException", *sym.Arn + " key usage is ENCRYPT_DECRYPT which is not valid for " + op + ".",
				awskms.SignInput{KeyId: sym.KeyId, SigningAlgorithm: "RSASSA_PSS_SHA_256"}},
			{"agreement key", "InvalidKeyUsageException", *agree.Arn + " key usage is KEY_AGREEMENT which is not valid for " + op + ".",
				awskms.SignInput{KeyId: agree.KeyId, SigningAlgorithm: "ECDSA_SHA_256"}},
			{"another kind's algorithm", "InvalidKeyUsageException", "Algorithm ECDSA_SHA_256 is incompatible with key spec RSA_2048.",
				awskms.SignInput{KeyId: rsa.KeyId, SigningAlgorithm: "ECDSA_SHA_256"}},
			{"disabled, and another kind's algorithm", "DisabledException", *off.Arn + " is disabled.",
				awskms.SignInput{KeyId: off.KeyId, SigningAlgorithm: "ECDSA_SHA_512"}},
			{"digest too long", "ValidationException", "Digest is invalid length for algorithm RSASSA_PSS_SHA_256.",
				awskms.SignInput{KeyId: rsa.KeyId, SigningAlgorithm: "RSASSA_PSS_SHA_256", MessageType: "DIGEST", Message: size64}},
			{"μ of RSA", "ValidationException", "Message type EXTERNAL_MU is incompatible with algorithm RSASSA_PSS_SHA_512.",
				awskms.SignInput{KeyId: rsa.KeyId, SigningAlgorithm: "RSASSA_PSS_SHA_512", MessageType: "EXTERNAL_MU", Message: size64}},
			{"Ed25519 of a digest", "ValidationException", "Message type DIGEST is incompatible with algorithm ED25519_SHA_512.",
				awskms.SignInput{KeyId: ed.KeyId, SigningAlgorithm: "ED25519_SHA_512", MessageType: "DIGEST", Message: size64}},
			{"Ed25519ph of a message", "ValidationException", "Message type RAW is incompatible with algorithm ED25519_PH_SHA_512.",
				awskms.SignInput{KeyId: ed.KeyId, SigningAlgorithm: "ED25519_PH_SHA_512", Message: size64}},
			{"ML-DSA of a digest", "ValidationException", "Message type DIGEST is incompatible with algorithm ML_DSA_SHAKE_256.",
				awskms.SignInput{KeyId: dsa.KeyId, SigningAlgorithm: "ML_DSA_SHAKE_256", MessageType: "DIGEST", Message: size64}},
			{"μ of 63 bytes", "ValidationException", "Digest is invalid length for algorithm ML_DSA_SHAKE_256.",
				awskms.SignInput{KeyId: dsa.KeyId, SigningAlgorithm: "ML_DSA_SHAKE_256", MessageType: "EXTERNAL_MU", Message: size64[1:]}},
			{"grant token", "InvalidGrantTokenException", "The grant token is not valid.",
				awskms.SignInput{KeyId: rsa.KeyId, SigningAlgorithm: "RSASSA_PSS_SHA_256", GrantTokens: []string{"token"}}},
		} {
			if v.in.Message == nil {
				v.in.Message = []byte("x")
			}
			in := any(&v.in)
			if op == "Verify" {
				in = &awskms.VerifyInput{
					KeyId: v.in.KeyId, SigningAlgorithm: v.in.SigningAlgorithm, MessageType: v.in.MessageType, Message: v.in.Message,
					Signature: []byte("x"), GrantTokens: v.in.GrantTokens,
				}
			}
			_, c, err := h.call(alice, op, in)
			refused(t, op+", "+v.name, err, v.code, v.message)
			if len(c.Resources()) != 1 {
				t.Errorf("%s, %s: the refused call's record names %v", op, v.name, touched(c))
			}
		}
	}
}
