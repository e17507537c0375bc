package kms_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/kms/attestation/attestationtest"
)

// What is asked for with an attestation document comes encrypted for its public key, and in no other form.
func TestRecipient(t *testing.T) {
	e := attestationtest.New(t, time.Now())
	h := openTrusting(t, e)
	m := h.symmetric(t, alice)
	blob := h.encrypt(t, alice, *m.KeyId, "attack at dawn", nil)
	to := func() *types.RecipientInfo { return recipientOf(e.Document(t, h.clock.Now())) }

	decrypted := must[awskms.DecryptOutput](t, h, alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob, Recipient: to()})
	if got := unseal(t, e, decrypted.CiphertextForRecipient); string(got) != "attack at dawn" || decrypted.Plaintext != nil || *decrypted.KeyId != *m.Arn {
		t.Errorf("Decrypt: %q, %+v", got, decrypted)
	}

	data := must[awskms.GenerateDataKeyOutput](t, h, alice, "GenerateDataKey", &awskms.GenerateDataKeyInput{KeyId: m.KeyId, KeySpec: "AES_256", Recipient: to()})
	same := must[awskms.DecryptOutput](t, h, alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: data.CiphertextBlob}).Plaintext
	if got := unseal(t, e, data.CiphertextForRecipient); !bytes.Equal(got, same) || data.Plaintext != nil || bytes.Equal(got, make([]byte, 32)) {
		t.Errorf("GenerateDataKey: %+v", data)
	}

	pair := must[awskms.GenerateDataKeyPairOutput](t, h, alice, "GenerateDataKeyPair",
		&awskms.GenerateDataKeyPairInput{KeyId: m.KeyId, KeyPairSpec: "ECC_NIST_P256", Recipient: to()})
	same = must[awskms.DecryptOutput](t, h, alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: pair.PrivateKeyCiphertextBlob}).Plaintext
	got := unseal(t, e, pair.CiphertextForRecipient)
	if _, err := x509.ParsePKCS8PrivateKey(got); err != nil || !bytes.Equal(got, same) || pair.PrivateKeyPlaintext != nil || pair.PublicKey == nil {
		t.Errorf("GenerateDataKeyPair: %v, %+v", err, pair)
	}

	agree := h.pair(t, alice, "ECC_NIST_P256", "KEY_AGREEMENT")
	derive := awskms.DeriveSharedSecretInput{KeyId: agree.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: pair.PublicKey}
	plain := must[awskms.DeriveSharedSecretOutput](t, h, alice, "DeriveSharedSecret", &derive)
	derive.Recipient = to()
	derived := must[awskms.DeriveSharedSecretOutput](t, h, alice, "DeriveSharedSecret", &derive)
	if got := unseal(t, e, derived.CiphertextForRecipient); !bytes.Equal(got, plain.SharedSecret) || derived.SharedSecret != nil || plain.CiphertextForRecipient != nil {
		t.Errorf("DeriveSharedSecret: %+v", derived)
	}

	random := must[awskms.GenerateRandomOutput](t, h, alice, "GenerateRandom", &awskms.GenerateRandomInput{NumberOfBytes: new(int32(7)), Recipient: to()})
	if got := unseal(t, e, random.CiphertextForRecipient); len(got) != 7 || random.Plaintext != nil {
		t.Errorf("GenerateRandom: %+v", random)
	}
}

// An environment is trusted by its document or not at all, and the call says why.
func TestRefusedRecipients(t *testing.T) {
	e := attestationtest.New(t, time.Now())
	h := openTrusting(t, e)
	now := h.clock.Now()
	m := h.symmetric(t, alice)
	blob := h.encrypt(t, alice, *m.KeyId, "x", nil)
	untagged := func(change func(e *attestationtest.Enclave)) []byte {
		other := attestationtest.New(t, now)
		other.Root, other.Path = e.Root, e.Path
		change(other)
		return other.Document(t, now)
	}
	const null = "1 validation error detected: Value null at 'recipient.%s' failed to satisfy constraint: Member must not be null"
	made := func(at time.Time) string { return at.UTC().Format(time.RFC3339) }
	for _, test := range []struct {
		name    string
		info    *types.RecipientInfo
		message string
	}{
		{"nothing", &types.RecipientInfo{}, fmt.Sprintf(null, "attestationDocument")},
		{"no algorithm", &types.RecipientInfo{AttestationDocument: e.Document(t, now)}, fmt.Sprintf(null, "keyEncryptionAlgorithm")},
		{"junk", recipientOf([]byte("document")), "KMS cannot parse the attestation document: it is malformed: it is not a COSE_Sign1."},
		{"no enclave", recipientOf(untagged(func(e *attestationtest.Enclave) { e.Content["module_id"] = "" })),
			"KMS cannot parse the attestation document: it is malformed: it has no module_id."},
		{"another root", recipientOf(attestationtest.New(t, now).Document(t, now)),
			"The attestation document is not valid: its signature is not to be trusted: its root certificate is not one that this server trusts."},
		{"old", recipientOf(e.Document(t, now.Add(-6*time.Minute))),
			"The attestation document has exceeded the five-minute age limit: it was not made in the last five minutes: it was made at " + made(now.Add(-6*time.Minute)) + "."},
		{"no key", recipientOf(untagged(func(e *attestationtest.Enclave) { e.Content["public_key"] = nil })),
			"The attestation document is not valid: it has no RSA public key of 2048 bits or more."},
	} {
		_, c, err := h.call(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob, Recipient: test.info})
		refused(t, test.name, err, "ValidationException", test.message)
		if noted := c.AdditionalEventData(); noted != nil {
			t.Errorf("%s: the record has %s", test.name, noted)
		}
	}
	err := h.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob, Recipient: recipientOf(e.Document(t, now)), DryRun: new(true)})
	if code(err) != "DryRunOperationException" {
		t.Errorf("a dry run: %v", err)
	}
}

// Policies decide by what a document says, and one that is not to be trusted says nothing.
func TestAttestationConditions(t *testing.T) {
	e := attestationtest.New(t, time.Now())
	stranger := attestationtest.New(t, time.Now())
	h := openTrusting(t, e)
	m := h.symmetric(t, alice)
	blob := h.encrypt(t, alice, *m.KeyId, "x", nil)
	enclave := func() *types.RecipientInfo { return recipientOf(e.Document(t, h.clock.Now())) }
	tpm := func() *types.RecipientInfo {
		other := *e
		other.Content = map[string]any{"module_id": "i-1-tpm0000000000000000", "digest": "SHA384", "public_key": e.Content["public_key"], "nitrotpm_pcrs": e.Content["pcrs"]}
		return recipientOf(other.Document(t, h.clock.Now()))
	}
	untrusted := func() *types.RecipientInfo { return recipientOf(stranger.Document(t, h.clock.Now())) }
	nobody := func() *types.RecipientInfo { return nil }
	pcr := func(i int) string { return hex.EncodeToString(attestationtest.PCR(i)) }
	for _, test := range []struct {
		to            func() *types.RecipientInfo
		operator, key string
		value         string
		allowed       bool
	}{
		{enclave, "StringEqualsIgnoreCase", "ImageSha384", pcr(0), true},
		{enclave, "StringEquals", "PCR0", pcr(0), true},
		{enclave, "StringEquals", "PCR8", pcr(8), true},
		{enclave, "StringEquals", "PCR15", pcr(15), true},
		{enclave, "StringEquals", "PCR8", pcr(7), false},
		{enclave, "StringEquals", "PCR08", pcr(8), false},
		{enclave, "Null", "PCR16", "true", true},
		{enclave, "StringEquals", "NitroTPMPCR4", pcr(4), false},
		{tpm, "StringEquals", "NitroTPMPCR4", pcr(4), true},
		{tpm, "StringEquals", "PCR4", pcr(4), false},
		{tpm, "StringEquals", "ImageSha384", pcr(0), false},
		{untrusted, "StringEquals", "PCR0", pcr(0), false},
		{nobody, "StringEquals", "PCR0", pcr(0), false},
	} {
		statement := fmt.Sprintf(`{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{%q:{%q:%q}}}}`,
			test.operator, "kms:RecipientAttestation:"+test.key, test.value)
		for op, in := range map[string]any{
			"Decrypt":        &awskms.DecryptInput{CiphertextBlob: blob, Recipient: test.to()},
			"GenerateRandom": &awskms.GenerateRandomInput{NumberOfBytes: new(int32(1)), Recipient: test.to()},
		} {
			want := accessDenied
			if test.allowed {
				want = ""
			}
			if _, _, err := h.as(user(alice.account, "ann", statement), op, in); code(err) != want {
				t.Errorf("%s when %s %s %s: %v", op, test.operator, test.key, test.value, err)
			}
		}
	}
}

// The record says which enclave it was, as AWS documents it.
func TestRecordOfARecipient(t *testing.T) {
	e := attestationtest.New(t, time.Now())
	h := openTrusting(t, e)
	want := map[string]string{"attestationDocumentModuleId": attestationtest.ModuleID, "attestationDocumentEnclaveImageDigest": hex.EncodeToString(attestationtest.PCR(0))}
	for _, i := range []int{1, 2, 3, 4, 8} {
		want[fmt.Sprintf("attestationDocumentEnclavePCR%d", i)] = hex.EncodeToString(attestationtest.PCR(i))
	}
	ask := func() map[string]string {
		c := h.do(t, alice, "GenerateRandom", &awskms.GenerateRandomInput{NumberOfBytes: new(int32(1)), Recipient: recipientOf(e.Document(t, h.clock.Now()))})
		var noted struct{ Recipient map[string]string }
		if err := json.Unmarshal(c.AdditionalEventData(), &noted); err != nil {
			t.Fatal(err)
		}
		return noted.Recipient
	}
	if got := ask(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}

	e.Content["nitrotpm_pcrs"], e.Content["pcrs"] = map[uint64]any{4: attestationtest.PCR(4), 5: attestationtest.PCR(5)}, attestationtest.Absent
	want = map[string]string{"attestationDocumentModuleId": attestationtest.ModuleID, "attestationDocumentNitroTPMPCR4": hex.EncodeToString(attestationtest.PCR(4))}
	if got := ask(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func recipientOf(document []byte) *types.RecipientInfo {
	return &types.RecipientInfo{AttestationDocument: document, KeyEncryptionAlgorithm: types.KeyEncryptionMechanismRsaesOaepSha256}
}

// unseal opens an envelope with what is behind the fixed parts of its form, which is tested where it is made.
func unseal(t *testing.T, e *attestationtest.Enclave, envelope []byte) []byte {
	t.Helper()
	_, rest, ok := bytes.Cut(envelope, []byte{0x04, 0x82, 0x01, 0x00})
	_, content, okContent := bytes.Cut(envelope, []byte{0x03, 0x04, 0x01, 0x2a, 0x04, 0x10})
	if !ok || !okContent {
		t.Fatalf("%x is no envelope", envelope)
	}
	key, err := rsa.DecryptOAEP(sha256.New(), nil, e.Key, rest[:256], nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	iv, content := content[:16], bytes.TrimSuffix(content[18:], make([]byte, 10)) // between them the head of what follows
	switch {
	case content[1] < 0x80:
		content = content[2:]
	case content[1] == 0x81:
		content = content[3:]
	default:
		content = content[4:]
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(content, content)
	return content[:len(content)-int(content[len(content)-1])]
}
