package kms_test

//lint:file-ignore SA1019 CustomerMasterKeySpec is deprecated, but AWS KMS answers with it still.

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/kms/keycrypt"
)

// specTable is the KMS developer guide's "Key spec reference": what keys of each spec and usage can be used with.
var specTable = []struct {
	spec       types.KeySpec
	usage      types.KeyUsageType
	algorithms string
}{
	{"RSA_2048", "ENCRYPT_DECRYPT", "RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256"},
	{"RSA_3072", "ENCRYPT_DECRYPT", "RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256"},
	{"RSA_2048", "SIGN_VERIFY", "RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 " +
		"RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512"},
	{"RSA_4096", "SIGN_VERIFY", "RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 " +
		"RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512"},
	{"ECC_NIST_P256", "SIGN_VERIFY", "ECDSA_SHA_256"},
	{"ECC_NIST_P384", "SIGN_VERIFY", "ECDSA_SHA_384"},
	{"ECC_NIST_P521", "SIGN_VERIFY", "ECDSA_SHA_512"},
	{"ECC_NIST_P256", "KEY_AGREEMENT", "ECDH"},
	{"ECC_NIST_P384", "KEY_AGREEMENT", "ECDH"},
	{"ECC_NIST_P521", "KEY_AGREEMENT", "ECDH"},
	{"ECC_SECG_P256K1", "SIGN_VERIFY", "ECDSA_SHA_256"},
	{"ECC_NIST_EDWARDS25519", "SIGN_VERIFY", "ED25519_PH_SHA_512 ED25519_SHA_512"},
	{"SM2", "ENCRYPT_DECRYPT", "SM2PKE"},
	{"SM2", "SIGN_VERIFY", "SM2DSA"},
	{"SM2", "KEY_AGREEMENT", "ECDH"},
	{"ML_DSA_44", "SIGN_VERIFY", "ML_DSA_SHAKE_256"},
	{"ML_DSA_65", "SIGN_VERIFY", "ML_DSA_SHAKE_256"},
	{"ML_DSA_87", "SIGN_VERIFY", "ML_DSA_SHAKE_256"},
	{"ML_KEM_512", "ENCAPSULATE_DECAPSULATE", "ML_KEM"},
	{"ML_KEM_768", "ENCAPSULATE_DECAPSULATE", "ML_KEM"},
	{"ML_KEM_1024", "ENCAPSULATE_DECAPSULATE", "ML_KEM"},
}

// Of every spec and usage a key is made, described, shown and used, with each of its algorithms.
func TestEverySpec(t *testing.T) {
	h := open(t)
	for _, row := range specTable {
		t.Run(fmt.Sprint(row.spec, " ", row.usage), func(t *testing.T) {
			m := h.pair(t, alice, row.spec, row.usage)
			if m.KeySpec != row.spec || m.KeyUsage != row.usage || string(m.CustomerMasterKeySpec) != string(row.spec) ||
				m.CurrentKeyMaterialId != nil || m.MacAlgorithms != nil || m.Origin != "AWS_KMS" {
				t.Errorf("KeyMetadata %s", asJSON(t, m))
			}
			names := fmt.Sprint(m.EncapsulationAlgorithms, m.EncryptionAlgorithms, m.KeyAgreementAlgorithms, m.SigningAlgorithms)
			if want := tables(row.usage, row.algorithms); names != want {
				t.Errorf("algorithms %s, want %s", names, want)
			}
			if g, w := asJSON(t, h.describe(t, alice, *m.KeyId)), asJSON(t, m); g != w {
				t.Errorf("DescribeKey\n%s\nwant\n%s", g, w)
			}
			pub := must[awskms.GetPublicKeyOutput](t, h, alice, "GetPublicKey", &awskms.GetPublicKeyInput{KeyId: m.KeyId})
			shown := fmt.Sprint(pub.EncapsulationAlgorithms, pub.EncryptionAlgorithms, pub.KeyAgreementAlgorithms, pub.SigningAlgorithms)
			if shown != names || *pub.KeyId != *m.Arn || pub.KeySpec != row.spec || pub.KeyUsage != row.usage ||
				string(pub.CustomerMasterKeySpec) != string(row.spec) || len(pub.PublicKey) == 0 {
				t.Errorf("GetPublicKey %s", asJSON(t, pub))
			}
			switch row.usage {
			case "SIGN_VERIFY":
				for _, a := range m.SigningAlgorithms {
					h.signs(t, m, a)
				}
			case "ENCRYPT_DECRYPT":
				for _, a := range m.EncryptionAlgorithms {
					h.encryptsPublic(t, m, a)
				}
			case "KEY_AGREEMENT":
				h.agrees(t, m)
			case "ENCAPSULATE_DECAPSULATE":
				h.encapsulates(t, m)
			}
		})
	}
}

// tables is how the four lists of algorithms print when one of them has these.
func tables(usage types.KeyUsageType, algorithms string) string {
	lists := []string{"[]", "[]", "[]", "[]"}
	usages := []types.KeyUsageType{"ENCAPSULATE_DECAPSULATE", "ENCRYPT_DECRYPT", "KEY_AGREEMENT", "SIGN_VERIFY"}
	lists[slices.Index(usages, usage)] = "[" + algorithms + "]"
	return fmt.Sprintf("%s %s %s %s", lists[0], lists[1], lists[2], lists[3])
}

// messageOf is a message that the algorithm signs, and its type.
func messageOf(a types.SigningAlgorithmSpec) ([]byte, types.MessageType) {
	if a == "ED25519_PH_SHA_512" {
		return make([]byte, 64), "DIGEST"
	}
	return []byte("message"), "" // RAW is the default
}

// signs checks that what the key signs it verifies, and nothing else.
func (h *house) signs(t *testing.T, m *types.KeyMetadata, a types.SigningAlgorithmSpec) {
	t.Helper()
	message, typ := messageOf(a)
	in := &awskms.SignInput{KeyId: m.KeyId, SigningAlgorithm: a, Message: message, MessageType: typ}
	got, c, err := h.call(alice, "Sign", in)
	if err != nil {
		t.Fatal(err)
	}
	out := got.(*awskms.SignOutput)
	if *out.KeyId != *m.Arn || out.SigningAlgorithm != a || in.MessageType == "" {
		t.Errorf("%s: %s", a, asJSON(t, out))
	}
	if len(c.Resources()) != 1 || c.AdditionalEventData() != nil {
		t.Errorf("%s: recorded resources %v, additionalEventData %s", a, touched(c), c.AdditionalEventData())
	}
	verify := awskms.VerifyInput{KeyId: m.Arn, SigningAlgorithm: a, Message: message, MessageType: typ, Signature: out.Signature}
	ver := must[awskms.VerifyOutput](t, h, alice, "Verify", &verify)
	if !ver.SignatureValid || *ver.KeyId != *m.Arn || ver.SigningAlgorithm != a {
		t.Errorf("%s: %s", a, asJSON(t, ver))
	}
	changed := bytes.Clone(message)
	changed[0] ^= 1
	for what, change := range map[string]func(in *awskms.VerifyInput){
		"another message": func(in *awskms.VerifyInput) { in.Message = changed },
		"a changed signature": func(in *awskms.VerifyInput) {
			in.Signature = slices.Concat(out.Signature[:20], []byte{out.Signature[20] ^ 1}, out.Signature[21:])
		},
		"a shortened signature":   func(in *awskms.VerifyInput) { in.Signature = out.Signature[:len(out.Signature)-1] },
		"one byte":                func(in *awskms.VerifyInput) { in.Signature = []byte{1} },
		"the changed, as dry run": func(in *awskms.VerifyInput) { in.Message, in.DryRun = changed, new(true) },
	} {
		in := verify
		change(&in)
		refused(t, fmt.Sprint(a, ", ", what), h.try(alice, "Verify", &in), "KMSInvalidSignatureException", "")
	}
	in.DryRun, verify.DryRun = new(true), new(true)
	refused(t, "Sign", h.try(alice, "Sign", in), "DryRunOperationException", wouldSucceed)
	refused(t, "Verify", h.try(alice, "Verify", &verify), "DryRunOperationException", wouldSucceed)
}

// encryptsPublic checks that what the key encrypts it decrypts, that no changed ciphertext decrypts, and the largest plaintext.
func (h *house) encryptsPublic(t *testing.T, m *types.KeyMetadata, a types.EncryptionAlgorithmSpec) {
	t.Helper()
	most := keycrypt.EncryptionAlgorithm(a).MaxPlaintext(keycrypt.Spec(m.KeySpec))
	plaintext := bytes.Repeat([]byte{'p'}, most)
	in := &awskms.EncryptInput{KeyId: m.KeyId, EncryptionAlgorithm: a, Plaintext: plaintext}
	got, c, err := h.call(alice, "Encrypt", in)
	if err != nil {
		t.Fatal(err)
	}
	out := got.(*awskms.EncryptOutput)
	if *out.KeyId != *m.Arn || out.EncryptionAlgorithm != a || c.AdditionalEventData() != nil {
		t.Errorf("%s: %s, additionalEventData %s", a, asJSON(t, out), c.AdditionalEventData())
	}
	decrypt := awskms.DecryptInput{KeyId: m.KeyId, EncryptionAlgorithm: a, CiphertextBlob: out.CiphertextBlob}
	got, c, err = h.call(alice, "Decrypt", &decrypt)
	if err != nil {
		t.Fatal(err)
	}
	dec := got.(*awskms.DecryptOutput)
	if !bytes.Equal(dec.Plaintext, plaintext) || *dec.KeyId != *m.Arn || dec.KeyMaterialId != nil || dec.EncryptionAlgorithm != a ||
		c.AdditionalEventData() != nil {
		t.Errorf("%s: %s, additionalEventData %s", a, asJSON(t, dec), c.AdditionalEventData())
	}
	for i := 0; i < len(out.CiphertextBlob); i += 7 {
		changed := decrypt
		changed.CiphertextBlob = bytes.Clone(out.CiphertextBlob)
		changed.CiphertextBlob[i] ^= 1
		refused(t, fmt.Sprintf("%s, byte %d changed", a, i), h.try(alice, "Decrypt", &changed), "InvalidCiphertextException", "")
	}
	in.Plaintext = append(plaintext, 'p')
	refused(t, "one byte more", h.try(alice, "Encrypt", in), "ValidationException",
		fmt.Sprintf("Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.", a, m.KeySpec, most))
	in.Plaintext, in.DryRun, decrypt.DryRun = plaintext, new(true), new(true)
	refused(t, "Encrypt", h.try(alice, "Encrypt", in), "DryRunOperationException", wouldSucceed)
	refused(t, "Decrypt", h.try(alice, "Decrypt", &decrypt), "DryRunOperationException", wouldSucceed)
}

// agrees checks that two keys agree on a secret.
func (h *house) agrees(t *testing.T, m *types.KeyMetadata) {
	t.Helper()
	other := h.pair(t, alice, m.KeySpec, m.KeyUsage)
	in := &awskms.DeriveSharedSecretInput{KeyId: m.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: h.publicKey(t, alice, *other.KeyId)}
	one := must[awskms.DeriveSharedSecretOutput](t, h, alice, "DeriveSharedSecret", in)
	two := must[awskms.DeriveSharedSecretOutput](t, h, alice, "DeriveSharedSecret", &awskms.DeriveSharedSecretInput{
		KeyId: other.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: h.publicKey(t, alice, *m.KeyId),
	})
	if len(one.SharedSecret) < 32 || !bytes.Equal(one.SharedSecret, two.SharedSecret) || *one.KeyId != *m.Arn ||
		one.KeyAgreementAlgorithm != "ECDH" || one.KeyOrigin != "AWS_KMS" {
		t.Errorf("%s and %s", asJSON(t, one), asJSON(t, two))
	}
	in.DryRun = new(true)
	refused(t, "dry run", h.try(alice, "DeriveSharedSecret", in), "DryRunOperationException", wouldSucceed)
}

func (h *house) encapsulates(t *testing.T, m *types.KeyMetadata) {
	t.Helper()
	in := &awskms.EncapsulateInput{KeyId: m.KeyId, EncapsulationAlgorithm: "ML_KEM"}
	enc := must[awskms.EncapsulateOutput](t, h, alice, "Encapsulate", in)
	decapsulate := awskms.DecapsulateInput{
		KeyId: m.KeyId, EncapsulationAlgorithm: "ML_KEM", SharedSecretCiphertextBlob: enc.SharedSecretCiphertextBlob,
	}
	dec := must[awskms.DecapsulateOutput](t, h, alice, "Decapsulate", &decapsulate)
	size := map[types.KeySpec]int{"ML_KEM_512": 768, "ML_KEM_768": 1088, "ML_KEM_1024": 1568}[m.KeySpec]
	if len(enc.SharedSecret) != 32 || len(enc.SharedSecretCiphertextBlob) != size || *enc.KeyId != *m.Arn ||
		!bytes.Equal(dec.SharedSecret, enc.SharedSecret) || *dec.KeyId != *m.Arn || dec.EncapsulationAlgorithm != "ML_KEM" {
		t.Errorf("%s\n%s", asJSON(t, enc), asJSON(t, dec))
	}
	// A changed ciphertext gives another secret, always the same, and one of another size is refused.
	changed := decapsulate
	changed.SharedSecretCiphertextBlob = bytes.Clone(enc.SharedSecretCiphertextBlob)
	changed.SharedSecretCiphertextBlob[0] ^= 1
	one := must[awskms.DecapsulateOutput](t, h, alice, "Decapsulate", &changed).SharedSecret
	two := must[awskms.DecapsulateOutput](t, h, alice, "Decapsulate", &changed).SharedSecret
	if len(one) != 32 || bytes.Equal(one, enc.SharedSecret) || !bytes.Equal(one, two) {
		t.Errorf("a changed ciphertext gives %x, and %x", one, two)
	}
	changed.SharedSecretCiphertextBlob = enc.SharedSecretCiphertextBlob[1:]
	refused(t, "a shortened ciphertext", h.try(alice, "Decapsulate", &changed), "InvalidCiphertextException", "")
	in.DryRun, decapsulate.DryRun = new(true), new(true)
	refused(t, "Encapsulate", h.try(alice, "Encapsulate", in), "DryRunOperationException", wouldSucceed)
	refused(t, "Decapsulate", h.try(alice, "Decapsulate", &decapsulate), "DryRunOperationException", wouldSucceed)
}
