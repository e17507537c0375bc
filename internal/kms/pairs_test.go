package kms_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/clock"
	"vigil/internal/kms/keycrypt"
)

func TestKeyPairOperationsRefuse(t *testing.T) {
	h := open(t)
	mac, sym := h.hmac(t, alice, "HMAC_256"), h.symmetric(t, alice)
	sign, agree := h.pair(t, alice, "ECC_NIST_P256", "SIGN_VERIFY"), h.pair(t, alice, "ECC_NIST_P256", "KEY_AGREEMENT")
	rsaKey, kem := h.pair(t, alice, "RSA_2048", "ENCRYPT_DECRYPT"), h.pair(t, alice, "ML_KEM_512", "ENCAPSULATE_DECAPSULATE")
	p384 := h.publicKey(t, alice, *h.pair(t, alice, "ECC_NIST_P384", "KEY_AGREEMENT").KeyId)
	own := h.publicKey(t, alice, *agree.KeyId)
	off := bytes.Clone(own)
	off[len(off)-1] ^= 1
	const notSymmetric = "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."
	for _, v := range []struct {
		op, name, code, message string
		in                      any
	}{
		{"GetPublicKey", "symmetric", "UnsupportedOperationException",
			*sym.Arn + " key spec is SYMMETRIC_DEFAULT which is not valid for this operation.", &awskms.GetPublicKeyInput{KeyId: sym.KeyId}},
		{"GetPublicKey", "HMAC", "UnsupportedOperationException",
			*mac.Arn + " key spec is HMAC_256 which is not valid for this operation.", &awskms.GetPublicKeyInput{KeyId: mac.KeyId}},
		{"DeriveSharedSecret", "signing key", "InvalidKeyUsageException",
			*sign.Arn + " key usage is SIGN_VERIFY which is not valid for DeriveSharedSecret.",
			&awskms.DeriveSharedSecretInput{KeyId: sign.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: own}},
		{"DeriveSharedSecret", "no key", "ValidationException", "",
			&awskms.DeriveSharedSecretInput{KeyId: agree.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: []byte("x")}},
		{"DeriveSharedSecret", "another curve", "ValidationException", "",
			&awskms.DeriveSharedSecretInput{KeyId: agree.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: p384}},
		{"DeriveSharedSecret", "off the curve", "ValidationException", "",
			&awskms.DeriveSharedSecretInput{KeyId: agree.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: off}},
		{"DeriveSharedSecret", "dry run of what fails", "ValidationException", "",
			&awskms.DeriveSharedSecretInput{KeyId: agree.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: off, DryRun: new(true)}},
		{"DeriveSharedSecret", "recipient", "UnsupportedOperationException",
			"Recipient, which encrypts the shared secret for an attested environment, is not supported by this server: its operator has not said whose attestation it trusts.",
			&awskms.DeriveSharedSecretInput{KeyId: agree.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: own, Recipient: &types.RecipientInfo{}}},
		{"Encapsulate", "RSA key", "InvalidKeyUsageException",
			*rsaKey.Arn + " key usage is ENCRYPT_DECRYPT which is not valid for Encapsulate.",
			&awskms.EncapsulateInput{KeyId: rsaKey.KeyId, EncapsulationAlgorithm: "ML_KEM"}},
		{"Decapsulate", "RSA key", "InvalidKeyUsageException",
			*rsaKey.Arn + " key usage is ENCRYPT_DECRYPT which is not valid for Decapsulate.",
			&awskms.DecapsulateInput{KeyId: rsaKey.KeyId, EncapsulationAlgorithm: "ML_KEM", SharedSecretCiphertextBlob: []byte("x")}},
		{"Encrypt", "ML-KEM key", "InvalidKeyUsageException",
			*kem.Arn + " key usage is ENCAPSULATE_DECAPSULATE which is not valid for Encrypt.",
			&awskms.EncryptInput{KeyId: kem.KeyId, Plaintext: []byte("x")}},
		{"Encrypt", "RSA key, no algorithm", "InvalidKeyUsageException", notSymmetric,
			&awskms.EncryptInput{KeyId: rsaKey.KeyId, Plaintext: []byte("x")}},
		{"Encrypt", "RSA key, SM2 algorithm", "InvalidKeyUsageException", "Algorithm SM2PKE is incompatible with key spec RSA_2048.",
			&awskms.EncryptInput{KeyId: rsaKey.KeyId, Plaintext: []byte("x"), EncryptionAlgorithm: "SM2PKE"}},
		{"Encrypt", "RSA key with context", "ValidationException", "An encryption context is supported only with symmetric encryption KMS keys.",
			&awskms.EncryptInput{KeyId: rsaKey.KeyId, Plaintext: []byte("x"), EncryptionAlgorithm: "RSAES_OAEP_SHA_1",
				EncryptionContext: map[string]string{"a": "b"}}},
		{"Decrypt", "RSA ciphertext without key", "ValidationException",
			"1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null",
			&awskms.DecryptInput{CiphertextBlob: make([]byte, 256), EncryptionAlgorithm: "RSAES_OAEP_SHA_1"}},
		{"GenerateDataKey", "RSA key", "InvalidKeyUsageException", notSymmetric,
			&awskms.GenerateDataKeyInput{KeyId: rsaKey.KeyId, KeySpec: "AES_256"}},
		{"GenerateDataKeyPair", "RSA key", "InvalidKeyUsageException", notSymmetric,
			&awskms.GenerateDataKeyPairInput{KeyId: rsaKey.KeyId, KeyPairSpec: "RSA_2048"}},
		{"GenerateDataKeyPairWithoutPlaintext", "HMAC key", "InvalidKeyUsageException",
			*mac.Arn + " key usage is GENERATE_VERIFY_MAC which is not valid for GenerateDataKeyPairWithoutPlaintext.",
			&awskms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: mac.KeyId, KeyPairSpec: "RSA_2048"}},
		{"GenerateDataKeyPair", "dry run", "DryRunOperationException", wouldSucceed,
			&awskms.GenerateDataKeyPairInput{KeyId: sym.KeyId, KeyPairSpec: "RSA_4096", DryRun: new(true)}},
		{"GenerateDataKeyPairWithoutPlaintext", "dry run", "DryRunOperationException", wouldSucceed,
			&awskms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: sym.KeyId, KeyPairSpec: "RSA_4096", DryRun: new(true)}},
		{"GenerateDataKeyPair", "recipient", "UnsupportedOperationException",
			"Recipient, which encrypts the private key for an attested environment, is not supported by this server: its operator has not said whose attestation it trusts.",
			&awskms.GenerateDataKeyPairInput{KeyId: sym.KeyId, KeyPairSpec: "RSA_2048", Recipient: &types.RecipientInfo{}}},
	} {
		refused(t, v.op+", "+v.name, h.try(alice, v.op, v.in), v.code, v.message)
	}
}

// A symmetric key's ciphertext and a key pair's are re-encrypted into each other.
func TestReEncryptBetweenKinds(t *testing.T) {
	h := open(t)
	keys := map[types.EncryptionAlgorithmSpec]*types.KeyMetadata{
		"SYMMETRIC_DEFAULT": h.symmetric(t, alice), "RSAES_OAEP_SHA_256": h.pair(t, alice, "RSA_2048", "ENCRYPT_DECRYPT"),
		"SM2PKE": h.pair(t, alice, "SM2", "ENCRYPT_DECRYPT"),
	}
	for fromAlgorithm, from := range keys {
		for toAlgorithm, to := range keys {
			blob := must[awskms.EncryptOutput](t, h, alice, "Encrypt",
				&awskms.EncryptInput{KeyId: from.KeyId, EncryptionAlgorithm: fromAlgorithm, Plaintext: []byte("plain")}).CiphertextBlob
			got, c, err := h.call(alice, "ReEncrypt", &awskms.ReEncryptInput{
				CiphertextBlob: blob, SourceKeyId: from.KeyId, SourceEncryptionAlgorithm: fromAlgorithm,
				DestinationKeyId: to.KeyId, DestinationEncryptionAlgorithm: toAlgorithm,
			})
			if err != nil {
				t.Fatalf("%s to %s: %v", fromAlgorithm, toAlgorithm, err)
			}
			out := got.(*awskms.ReEncryptOutput)
			if (out.SourceKeyMaterialId != nil) != (fromAlgorithm == "SYMMETRIC_DEFAULT") ||
				(out.DestinationKeyMaterialId != nil) != (toAlgorithm == "SYMMETRIC_DEFAULT") ||
				out.SourceEncryptionAlgorithm != fromAlgorithm || out.DestinationEncryptionAlgorithm != toAlgorithm {
				t.Errorf("%s to %s: %s", fromAlgorithm, toAlgorithm, asJSON(t, out))
			}
			if from != to && len(c.Resources()) != 2 {
				t.Errorf("resources %v", touched(c))
			}
			dec := must[awskms.DecryptOutput](t, h, alice, "Decrypt",
				&awskms.DecryptInput{CiphertextBlob: out.CiphertextBlob, KeyId: to.KeyId, EncryptionAlgorithm: toAlgorithm})
			if string(dec.Plaintext) != "plain" {
				t.Errorf("%s to %s: %q", fromAlgorithm, toAlgorithm, dec.Plaintext)
			}
		}
	}
	long := h.encrypt(t, alice, *keys["SYMMETRIC_DEFAULT"].KeyId, string(make([]byte, 191)), nil)
	err := h.try(alice, "ReEncrypt", &awskms.ReEncryptInput{
		CiphertextBlob: long, DestinationKeyId: keys["RSAES_OAEP_SHA_256"].KeyId, DestinationEncryptionAlgorithm: "RSAES_OAEP_SHA_256",
	})
	refused(t, "too long", err, "ValidationException", "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes.")
}

// What somebody encrypts with the public key alone decrypts, and what is agreed on or encapsulated outside is the same.
func TestPublicKeysOutside(t *testing.T) {
	h := open(t)
	m := h.pair(t, alice, "RSA_2048", "ENCRYPT_DECRYPT")
	parsed, err := x509.ParsePKIXPublicKey(h.publicKey(t, alice, *m.KeyId))
	if err != nil {
		t.Fatal(err)
	}
	blob, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, parsed.(*rsa.PublicKey), []byte("outside"), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := &awskms.DecryptInput{KeyId: m.KeyId, CiphertextBlob: blob, EncryptionAlgorithm: "RSAES_OAEP_SHA_256"}
	if got := must[awskms.DecryptOutput](t, h, alice, "Decrypt", in).Plaintext; string(got) != "outside" {
		t.Errorf("decrypted %q", got)
	}

	m = h.pair(t, alice, "ECC_NIST_P256", "KEY_AGREEMENT")
	parsed, err = x509.ParsePKIXPublicKey(h.publicKey(t, alice, *m.KeyId))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := parsed.(*ecdsa.PublicKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	outside, err := ours.ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(ours.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	got := must[awskms.DeriveSharedSecretOutput](t, h, alice, "DeriveSharedSecret",
		&awskms.DeriveSharedSecretInput{KeyId: m.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: der}).SharedSecret
	if !bytes.Equal(got, outside) {
		t.Errorf("the key says %x, the outside %x", got, outside)
	}

	m = h.pair(t, alice, "ML_KEM_768", "ENCAPSULATE_DECAPSULATE")
	var key struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(h.publicKey(t, alice, *m.KeyId), &key); err != nil {
		t.Fatal(err)
	}
	encapsulationKey, err := mlkem.NewEncapsulationKey768(key.Key.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	secret, ciphertext := encapsulationKey.Encapsulate()
	got = must[awskms.DecapsulateOutput](t, h, alice, "Decapsulate",
		&awskms.DecapsulateInput{KeyId: m.KeyId, EncapsulationAlgorithm: "ML_KEM", SharedSecretCiphertextBlob: ciphertext}).SharedSecret
	if !bytes.Equal(got, secret) {
		t.Errorf("the key says %x, the outside %x", got, secret)
	}
}

func TestGenerateDataKeyPair(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	context := map[string]string{"Project": "Alpha"}
	for _, spec := range []types.DataKeyPairSpec{
		"RSA_2048", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519", "SM2",
		"ML_KEM_512", "ML_KEM_768", "ML_KEM_1024",
	} {
		got, c, err := h.call(alice, "GenerateDataKeyPair",
			&awskms.GenerateDataKeyPairInput{KeyId: m.KeyId, KeyPairSpec: spec, EncryptionContext: context})
		if err != nil {
			t.Fatal(err)
		}
		out := got.(*awskms.GenerateDataKeyPairOutput)
		noted(t, c, `{"keyMaterialId":"`+*m.CurrentKeyMaterialId+`"}`)
		if *out.KeyId != *m.Arn || *out.KeyMaterialId != *m.CurrentKeyMaterialId || out.KeyPairSpec != spec {
			t.Errorf("%s: key %s, material %s, spec %s", spec, *out.KeyId, *out.KeyMaterialId, out.KeyPairSpec)
		}
		h.isPair(t, m, spec, out.PrivateKeyCiphertextBlob, out.PublicKey, context, out.PrivateKeyPlaintext)

		without := must[awskms.GenerateDataKeyPairWithoutPlaintextOutput](t, h, alice, "GenerateDataKeyPairWithoutPlaintext",
			&awskms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: m.KeyId, KeyPairSpec: spec, EncryptionContext: context})
		if *without.KeyId != *m.Arn || *without.KeyMaterialId != *m.CurrentKeyMaterialId || without.KeyPairSpec != spec {
			t.Errorf("%s: %s", spec, asJSON(t, without))
		}
		h.isPair(t, m, spec, without.PrivateKeyCiphertextBlob, without.PublicKey, context, nil)
	}
}

// isPair checks that a data key pair's encrypted private key is the public key's, and the plaintext's if there is one.
func (h *house) isPair(t *testing.T, m *types.KeyMetadata, spec types.DataKeyPairSpec, encrypted, public []byte, context map[string]string,
	plaintext []byte) {
	t.Helper()
	private := must[awskms.DecryptOutput](t, h, alice, "Decrypt",
		&awskms.DecryptInput{CiphertextBlob: encrypted, EncryptionContext: context}).Plaintext
	if plaintext != nil && !bytes.Equal(private, plaintext) {
		t.Errorf("%s: the encrypted private key is another one", spec)
	}
	material, err := keycrypt.Import(*m.KeyId, keycrypt.Spec(spec), private)
	if err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	if of, err := material.PublicKey(); err != nil || !bytes.Equal(of, public) {
		t.Errorf("%s: the public key is not the private one's: %v", spec, err)
	}
	if err := h.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: encrypted}); err == nil {
		t.Errorf("%s: it decrypts without its context", spec)
	}
}

// Key pairs are the same after a restart.
func TestKeyPairsSurviveARestart(t *testing.T) {
	at := place(t)
	h := openIn(t, at, clock.NewMovable(0))
	signing, kem := h.pair(t, alice, "ML_DSA_65", "SIGN_VERIFY"), h.pair(t, alice, "ECC_NIST_P256", "SIGN_VERIFY")
	dsa, ec := h.publicKey(t, alice, *signing.KeyId), h.publicKey(t, alice, *kem.KeyId)
	signature := must[awskms.SignOutput](t, h, alice, "Sign",
		&awskms.SignInput{KeyId: signing.KeyId, SigningAlgorithm: "ML_DSA_SHAKE_256", Message: []byte("x")}).Signature
	h.close()

	h = openIn(t, at, clock.NewMovable(0))
	if !bytes.Equal(h.publicKey(t, alice, *signing.KeyId), dsa) || !bytes.Equal(h.publicKey(t, alice, *kem.KeyId), ec) {
		t.Error("a public key has changed")
	}
	err := h.try(alice, "Verify",
		&awskms.VerifyInput{KeyId: signing.KeyId, SigningAlgorithm: "ML_DSA_SHAKE_256", Message: []byte("x"), Signature: signature})
	if err != nil {
		t.Error(errors.New("a signature of before the restart"), err)
	}
}
