package kms_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
)

const (
	incorrectKey = "The key ID in the request does not identify a CMK that can perform this operation."
	noSuchCMK    = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are " +
		"not allowed to access."
	wouldSucceed = "The request would have succeeded, but the DryRun option is set."
)

// By whatever name the key is called, and also by none for Decrypt, what is encrypted decrypts.
func TestEncryptAndDecrypt(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	h.alias(t, alice, "alias/ExampleAlias", *m.KeyId)
	context := map[string]string{"Department": "Engineering"}
	for _, name := range []string{*m.KeyId, *m.Arn, "alias/ExampleAlias", alice.arn("alias/ExampleAlias")} {
		in := &awskms.EncryptInput{KeyId: &name, Plaintext: []byte("plain"), EncryptionContext: context}
		out, c, err := h.call(alice, "Encrypt", in)
		if err != nil {
			t.Fatal(err)
		}
		enc := out.(*awskms.EncryptOutput)
		if *enc.KeyId != *m.Arn || enc.EncryptionAlgorithm != "SYMMETRIC_DEFAULT" || in.EncryptionAlgorithm != "SYMMETRIC_DEFAULT" {
			t.Errorf("Encrypt with %s: %s", name, asJSON(t, enc))
		}
		noted(t, c, `{"keyMaterialId":"`+*m.CurrentKeyMaterialId+`"}`)

		for _, keyID := range []*string{&name, nil} {
			in := &awskms.DecryptInput{CiphertextBlob: enc.CiphertextBlob, KeyId: keyID, EncryptionContext: context}
			out, c, err := h.call(alice, "Decrypt", in)
			if err != nil {
				t.Fatal(err)
			}
			dec := out.(*awskms.DecryptOutput)
			if string(dec.Plaintext) != "plain" || *dec.KeyId != *m.Arn || *dec.KeyMaterialId != *m.CurrentKeyMaterialId ||
				dec.EncryptionAlgorithm != "SYMMETRIC_DEFAULT" || in.EncryptionAlgorithm != "SYMMETRIC_DEFAULT" {
				t.Errorf("Decrypt with %s: %s", name, asJSON(t, dec))
			}
			noted(t, c, `{"keyMaterialId":"`+*m.CurrentKeyMaterialId+`"}`)
		}
	}
}

// noted checks a record's additionalEventData.
func noted(t *testing.T, c *call.Call, notes string) {
	t.Helper()
	if got := string(c.AdditionalEventData()); got != notes {
		t.Errorf("additionalEventData %s, want %s", got, notes)
	}
}

func TestReEncrypt(t *testing.T) {
	h := open(t)
	from, to := h.symmetric(t, alice), h.symmetric(t, alice)
	was, is := map[string]string{"Project": "Alpha"}, map[string]string{"Level": "3A"}
	blob := h.encrypt(t, alice, *from.KeyId, "plain", was)
	for _, source := range []*string{nil, from.KeyId, from.Arn} {
		in := &awskms.ReEncryptInput{
			CiphertextBlob: blob, SourceKeyId: source, SourceEncryptionContext: was,
			DestinationKeyId: to.KeyId, DestinationEncryptionContext: is,
		}
		got, c, err := h.call(alice, "ReEncrypt", in)
		if err != nil {
			t.Fatal(err)
		}
		out := got.(*awskms.ReEncryptOutput)
		if *out.KeyId != *to.Arn || *out.SourceKeyId != *from.Arn || *out.SourceKeyMaterialId != *from.CurrentKeyMaterialId ||
			*out.DestinationKeyMaterialId != *to.CurrentKeyMaterialId || out.SourceEncryptionAlgorithm != "SYMMETRIC_DEFAULT" ||
			out.DestinationEncryptionAlgorithm != "SYMMETRIC_DEFAULT" {
			t.Errorf("%s", asJSON(t, out))
		}
		if in.SourceEncryptionAlgorithm != "SYMMETRIC_DEFAULT" || in.DestinationEncryptionAlgorithm != "SYMMETRIC_DEFAULT" {
			t.Error("the algorithms are not in the recorded request")
		}
		noted(t, c, fmt.Sprintf(`{"destinationKeyMaterialId":"%s","sourceKeyMaterialId":"%s"}`,
			*to.CurrentKeyMaterialId, *from.CurrentKeyMaterialId))
		keys := fmt.Sprintf("[111122223333 AWS::KMS::Key %s 111122223333 AWS::KMS::Key %s]", *from.Arn, *to.Arn)
		if got := fmt.Sprint(touched(c)); got != keys {
			t.Errorf("resources %s, want source then destination %s", got, keys)
		}
		dec := must[awskms.DecryptOutput](t, h, alice, "Decrypt",
			&awskms.DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: is})
		if string(dec.Plaintext) != "plain" || *dec.KeyId != *to.Arn {
			t.Errorf("%s", asJSON(t, dec))
		}
	}
	// The same key with another context is one resource.
	c := h.do(t, alice, "ReEncrypt",
		&awskms.ReEncryptInput{CiphertextBlob: blob, SourceEncryptionContext: was, DestinationKeyId: from.KeyId})
	if len(c.Resources()) != 1 {
		t.Errorf("resources %s", touched(c))
	}
}

func TestDecryptRefuses(t *testing.T) {
	h := open(t)
	m, other, mac := h.symmetric(t, alice), h.symmetric(t, alice), h.hmac(t, alice, "HMAC_256")
	context := map[string]string{"a": "b"}
	blob := h.encrypt(t, alice, *m.KeyId, "x", context)
	tampered := bytes.Clone(blob)
	tampered[len(tampered)-1] ^= 1
	elsewhere := h.symmetric(t, alice.in("eu-west-1"))
	far := h.encrypt(t, alice.in("eu-west-1"), *elsewhere.KeyId, "x", context)
	gone := blobOf(t, alice.arn("key/0987dcba-09fe-87dc-65ba-ab0987654321"))
	foreign := blobOf(t, bob.arn("key/0987dcba-09fe-87dc-65ba-ab0987654321"))
	h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: other.KeyId})
	const null = "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null"

	for _, v := range []struct {
		name, code, message string
		in                  awskms.DecryptInput
	}{
		{"no ciphertext", "ValidationException", fmt.Sprintf(null, "ciphertextBlob"), awskms.DecryptInput{}},
		{"garbage", "InvalidCiphertextException", "", awskms.DecryptInput{CiphertextBlob: []byte("garbage")}},
		{"garbage, key named", "InvalidCiphertextException", "", awskms.DecryptInput{CiphertextBlob: []byte("garbage"), KeyId: m.KeyId}},
		{"garbage with a key ARN", "InvalidCiphertextException", "", awskms.DecryptInput{CiphertextBlob: blobOf(t, "arn:aws:s3:::bucket")}},
		{"tampered", "InvalidCiphertextException", "", awskms.DecryptInput{CiphertextBlob: tampered, EncryptionContext: context}},
		{"no context", "InvalidCiphertextException", "", awskms.DecryptInput{CiphertextBlob: blob}},
		{"other context", "InvalidCiphertextException", "",
			awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"a": "B"}}},
		{"unknown material", "InvalidCiphertextException", "", awskms.DecryptInput{CiphertextBlob: blobOf(t, *m.Arn)}},
		// Which key encrypted is looked at before what the named key can do.
		{"other key", "IncorrectKeyException", incorrectKey,
			awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context, KeyId: other.KeyId}},
		{"a key that cannot decrypt", "IncorrectKeyException", incorrectKey,
			awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context, KeyId: mac.Arn}},
		{"key is gone", "AccessDeniedException", noSuchCMK, awskms.DecryptInput{CiphertextBlob: gone}},
		{"key of another region", "AccessDeniedException", noSuchCMK,
			awskms.DecryptInput{CiphertextBlob: far, EncryptionContext: context}},
		{"key of another account is gone", "AccessDeniedException",
			denied(alice, "kms:Decrypt", "the resource associated with this ciphertext"),
			awskms.DecryptInput{CiphertextBlob: foreign}},
		{"asymmetric algorithm", "InvalidKeyUsageException", "Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT.",
			awskms.DecryptInput{CiphertextBlob: blob, KeyId: m.KeyId, EncryptionAlgorithm: "RSAES_OAEP_SHA_256"}},
		{"grant token", "InvalidGrantTokenException", "The grant token is not valid.",
			awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context, GrantTokens: []string{"token"}}},
		{"recipient", "UnsupportedOperationException",
			"Recipient, which encrypts the plaintext for an attested environment, is not supported by this server: its operator has not said whose attestation it trusts.",
			awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context, Recipient: &types.RecipientInfo{}}},
		{"dry run", "DryRunOperationException", wouldSucceed,
			awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context, DryRun: new(true)}},
		{"dry run of what fails", "InvalidCiphertextException", "", awskms.DecryptInput{CiphertextBlob: blob, DryRun: new(true)}},
		{"dry run without ciphertext", "DryRunOperationException", wouldSucceed,
			awskms.DecryptInput{KeyId: m.KeyId, DryRun: new(true), DryRunModifiers: []types.DryRunModifierType{"IGNORE_CIPHERTEXT"}}},
		{"dry run without ciphertext and key", "ValidationException", fmt.Sprintf(null, "keyId"),
			awskms.DecryptInput{DryRun: new(true), DryRunModifiers: []types.DryRunModifierType{"IGNORE_CIPHERTEXT"}}},
		{"modifiers without dry run", "ValidationException", "DryRunModifiers can only be specified when DryRun is true.",
			awskms.DecryptInput{KeyId: m.KeyId, DryRunModifiers: []types.DryRunModifierType{"IGNORE_CIPHERTEXT"}}},
	} {
		err := h.try(alice, "Decrypt", &v.in)
		refused(t, v.name, err, v.code, v.message)
	}
	if string(must[awskms.DecryptOutput](t, h, alice, "Decrypt",
		&awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context, DryRun: new(false)}).Plaintext) != "x" {
		t.Error("DryRun false does not decrypt")
	}
}

// blobOf is a ciphertext that names a key whose material nobody has.
func blobOf(t *testing.T, keyARN string) []byte {
	t.Helper()
	blob, err := keycrypt.Generate(keyARN[strings.LastIndexByte(keyARN, '/')+1:], keycrypt.SizeSymmetric).Encrypt(keyARN, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// denied is what somebody is told who must not learn whether the resource exists.
func denied(who caller, action, what string) string {
	return fmt.Sprintf("User: arn:aws:iam::%s:root is not authorized to perform: %s on %s because the resource does not exist in this "+
		"Region, no resource-based policies allow access, or a resource-based policy explicitly denies access", who.account, action, what)
}

func TestReEncryptRefuses(t *testing.T) {
	h := open(t)
	m, other, mac := h.symmetric(t, alice), h.symmetric(t, alice), h.hmac(t, alice, "HMAC_256")
	blob := h.encrypt(t, alice, *m.KeyId, "x", nil)
	const missing = "0987dcba-09fe-87dc-65ba-ab0987654321"
	for _, v := range []struct {
		name, code, message string
		in                  awskms.ReEncryptInput
	}{
		{"other source", "IncorrectKeyException", incorrectKey,
			awskms.ReEncryptInput{CiphertextBlob: blob, SourceKeyId: other.KeyId, DestinationKeyId: m.KeyId}},
		{"other context", "InvalidCiphertextException", "",
			awskms.ReEncryptInput{CiphertextBlob: blob, SourceEncryptionContext: map[string]string{"a": "b"}, DestinationKeyId: other.KeyId}},
		{"no ciphertext", "ValidationException",
			"1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null",
			awskms.ReEncryptInput{DestinationKeyId: other.KeyId}},
		{"no destination", "NotFoundException", fmt.Sprintf("Key '%s' does not exist", alice.arn("key/"+missing)),
			awskms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: new(missing)}},
		{"HMAC destination", "InvalidKeyUsageException", *mac.Arn + " key usage is GENERATE_VERIFY_MAC which is not valid for ReEncrypt.",
			awskms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: mac.KeyId}},
		{"asymmetric destination algorithm", "InvalidKeyUsageException",
			"Algorithm RSAES_OAEP_SHA_1 is incompatible with key spec SYMMETRIC_DEFAULT.",
			awskms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: other.KeyId, DestinationEncryptionAlgorithm: "RSAES_OAEP_SHA_1"}},
		{"dry run", "DryRunOperationException", wouldSucceed,
			awskms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: other.KeyId, DryRun: new(true)}},
		{"dry run without ciphertext and key", "ValidationException",
			"1 validation error detected: Value null at 'sourceKeyId' failed to satisfy constraint: Member must not be null",
			awskms.ReEncryptInput{DestinationKeyId: other.KeyId, DryRun: new(true),
				DryRunModifiers: []types.DryRunModifierType{"IGNORE_CIPHERTEXT"}}},
		{"grant token", "InvalidGrantTokenException", "The grant token is not valid.",
			awskms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: other.KeyId, GrantTokens: []string{"token"}}},
	} {
		err := h.try(alice, "ReEncrypt", &v.in)
		refused(t, v.name, err, v.code, v.message)
	}
}

func TestEncryptRefuses(t *testing.T) {
	h := open(t)
	m, mac := h.symmetric(t, alice), h.hmac(t, alice, "HMAC_256")
	for _, v := range []struct {
		name, code, message string
		in                  awskms.EncryptInput
	}{
		{"HMAC key", "InvalidKeyUsageException", *mac.Arn + " key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt.",
			awskms.EncryptInput{KeyId: mac.KeyId}},
		{"asymmetric algorithm", "InvalidKeyUsageException", "Algorithm RSAES_OAEP_SHA_1 is incompatible with key spec SYMMETRIC_DEFAULT.",
			awskms.EncryptInput{KeyId: m.KeyId, EncryptionAlgorithm: "RSAES_OAEP_SHA_1"}},
		{"grant token", "InvalidGrantTokenException", "The grant token is not valid.",
			awskms.EncryptInput{KeyId: m.KeyId, GrantTokens: []string{"token"}}},
		{"dry run", "DryRunOperationException", wouldSucceed, awskms.EncryptInput{KeyId: m.KeyId, DryRun: new(true)}},
	} {
		v.in.Plaintext = []byte("x")
		_, c, err := h.call(alice, "Encrypt", &v.in)
		refused(t, v.name, err, v.code, v.message)
		if len(c.Resources()) != 1 {
			t.Errorf("%s: the refused call's record names %v", v.name, touched(c))
		}
	}
}

func TestTheLargestPlaintextFits(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice.in("us-gov-west-1"))
	blob := h.encrypt(t, alice.in("us-gov-west-1"), *m.KeyId, strings.Repeat("x", 4096), nil)
	if len(blob) > 6144 {
		t.Errorf("the ciphertext has %d bytes; Decrypt takes 6144", len(blob))
	}
}
