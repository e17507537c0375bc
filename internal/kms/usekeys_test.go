package kms_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/kms"
)

func TestGenerateDataKey(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	context := map[string]string{"Project": "Alpha"}
	for _, v := range []struct {
		spec  types.DataKeySpec
		bytes *int32
		size  int
	}{{"AES_128", nil, 16}, {"AES_256", nil, 32}, {"", new(int32(1)), 1}, {"", new(int32(1024)), 1024}} {
		got, c, err := h.call(alice, "GenerateDataKey",
			&awskms.GenerateDataKeyInput{KeyId: m.KeyId, KeySpec: v.spec, NumberOfBytes: v.bytes, EncryptionContext: context})
		if err != nil {
			t.Fatal(err)
		}
		out := got.(*awskms.GenerateDataKeyOutput)
		if len(out.Plaintext) != v.size || *out.KeyId != *m.Arn || *out.KeyMaterialId != *m.CurrentKeyMaterialId {
			t.Errorf("%s", asJSON(t, out))
		}
		noted(t, c, `{"keyMaterialId":"`+*m.CurrentKeyMaterialId+`"}`)
		dec := must[awskms.DecryptOutput](t, h, alice, "Decrypt",
			&awskms.DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: context})
		if !bytes.Equal(dec.Plaintext, out.Plaintext) {
			t.Error("the encrypted data key is another one")
		}

		without := must[awskms.GenerateDataKeyWithoutPlaintextOutput](t, h, alice, "GenerateDataKeyWithoutPlaintext",
			&awskms.GenerateDataKeyWithoutPlaintextInput{KeyId: m.KeyId, KeySpec: v.spec, NumberOfBytes: v.bytes, EncryptionContext: context})
		dec = must[awskms.DecryptOutput](t, h, alice, "Decrypt",
			&awskms.DecryptInput{CiphertextBlob: without.CiphertextBlob, EncryptionContext: context})
		if len(dec.Plaintext) != v.size || v.size > 1 && bytes.Equal(dec.Plaintext, make([]byte, v.size)) || *without.KeyId != *m.Arn ||
			*without.KeyMaterialId != *m.CurrentKeyMaterialId {
			t.Errorf("%s", asJSON(t, without))
		}
	}
}

func TestGenerateDataKeyRefuses(t *testing.T) {
	h := open(t)
	m, mac, off := h.symmetric(t, alice), h.hmac(t, alice, "HMAC_256"), h.symmetric(t, alice)
	h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: off.KeyId})
	const either = "Please specify either number of bytes or key spec."
	for _, op := range []string{"GenerateDataKey", "GenerateDataKeyWithoutPlaintext"} {
		for _, v := range []struct {
			name, code, message string
			in                  awskms.GenerateDataKeyInput
		}{
			{"neither", "ValidationException", either, awskms.GenerateDataKeyInput{KeyId: m.KeyId}},
			{"both", "ValidationException", either,
				awskms.GenerateDataKeyInput{KeyId: m.KeyId, KeySpec: "AES_256", NumberOfBytes: new(int32(32))}},
			{"neither, and disabled", "ValidationException", either, awskms.GenerateDataKeyInput{KeyId: off.KeyId}},
			{"disabled", "DisabledException", *off.Arn + " is disabled.", awskms.GenerateDataKeyInput{KeyId: off.KeyId, KeySpec: "AES_256"}},
			{"HMAC key", "InvalidKeyUsageException", *mac.Arn + " key usage is GENERATE_VERIFY_MAC which is not valid for " + op + ".",
				awskms.GenerateDataKeyInput{KeyId: mac.KeyId, KeySpec: "AES_256"}},
			{"dry run", "DryRunOperationException", wouldSucceed,
				awskms.GenerateDataKeyInput{KeyId: m.KeyId, KeySpec: "AES_256", DryRun: new(true)}},
			{"grant token", "InvalidGrantTokenException", "The grant token is not valid.",
				awskms.GenerateDataKeyInput{KeyId: m.KeyId, KeySpec: "AES_256", GrantTokens: []string{"token"}}},
		} {
			in := any(&v.in)
			if op == "GenerateDataKeyWithoutPlaintext" {
				in = &awskms.GenerateDataKeyWithoutPlaintextInput{
					KeyId: v.in.KeyId, KeySpec: v.in.KeySpec, NumberOfBytes: v.in.NumberOfBytes,
					DryRun: v.in.DryRun, GrantTokens: v.in.GrantTokens,
				}
			}
			_, _, err := h.call(alice, op, in)
			refused(t, op+", "+v.name, err, v.code, v.message)
		}
	}
	err := h.try(alice, "GenerateDataKey",
		&awskms.GenerateDataKeyInput{KeyId: m.KeyId, KeySpec: "AES_256", Recipient: &types.RecipientInfo{}})
	refused(t, "recipient", err, "UnsupportedOperationException",
		"Recipient, which encrypts the data key for an attested environment, is not supported by this server: its operator has not said whose attestation it trusts.")
}

func TestMacs(t *testing.T) {
	h := open(t)
	message := []byte("message")
	for spec, v := range map[types.KeySpec]struct {
		algorithm types.MacAlgorithmSpec
		size      int
	}{
		"HMAC_224": {"HMAC_SHA_224", 28}, "HMAC_256": {"HMAC_SHA_256", 32},
		"HMAC_384": {"HMAC_SHA_384", 48}, "HMAC_512": {"HMAC_SHA_512", 64},
	} {
		m := h.hmac(t, alice, spec)
		gen := must[awskms.GenerateMacOutput](t, h, alice, "GenerateMac",
			&awskms.GenerateMacInput{KeyId: m.KeyId, MacAlgorithm: v.algorithm, Message: message})
		if len(gen.Mac) != v.size || *gen.KeyId != *m.Arn || gen.MacAlgorithm != v.algorithm {
			t.Errorf("%s: %s", spec, asJSON(t, gen))
		}
		verify := &awskms.VerifyMacInput{KeyId: m.Arn, MacAlgorithm: v.algorithm, Message: message, Mac: gen.Mac}
		ver := must[awskms.VerifyMacOutput](t, h, alice, "VerifyMac", verify)
		if !ver.MacValid || *ver.KeyId != *m.Arn || ver.MacAlgorithm != v.algorithm {
			t.Errorf("%s: %s", spec, asJSON(t, ver))
		}
		verify.Message = []byte("massage")
		err := h.try(alice, "VerifyMac", verify)
		refused(t, string(spec), err, "KMSInvalidMacException", "")
	}
}

func TestMacsRefuse(t *testing.T) {
	h := open(t)
	m, sym := h.hmac(t, alice, "HMAC_224"), h.symmetric(t, alice)
	mac := must[awskms.GenerateMacOutput](t, h, alice, "GenerateMac",
		&awskms.GenerateMacInput{KeyId: m.KeyId, MacAlgorithm: "HMAC_SHA_224", Message: []byte("x")}).Mac
	for _, op := range []string{"GenerateMac", "VerifyMac"} {
		for _, v := range []struct {
			name, code, message string
			in                  awskms.VerifyMacInput
		}{
			{"other algorithm", "InvalidKeyUsageException", "Algorithm HMAC_SHA_256 is incompatible with key spec HMAC_224.",
				awskms.VerifyMacInput{KeyId: m.KeyId, MacAlgorithm: "HMAC_SHA_256"}},
			{"symmetric key", "InvalidKeyUsageException", *sym.Arn + " key usage is ENCRYPT_DECRYPT which is not valid for " + op + ".",
				awskms.VerifyMacInput{KeyId: sym.KeyId, MacAlgorithm: "HMAC_SHA_256"}},
			{"bad key id", "NotFoundException", "Invalid keyId 'key_id'",
				awskms.VerifyMacInput{KeyId: new("key_id"), MacAlgorithm: "HMAC_SHA_256"}},
			{"dry run", "DryRunOperationException", wouldSucceed,
				awskms.VerifyMacInput{KeyId: m.KeyId, MacAlgorithm: "HMAC_SHA_224", DryRun: new(true)}},
			{"grant token", "InvalidGrantTokenException", "The grant token is not valid.",
				awskms.VerifyMacInput{KeyId: m.KeyId, MacAlgorithm: "HMAC_SHA_224", GrantTokens: []string{"token"}}},
		} {
			v.in.Message, v.in.Mac = []byte("x"), mac
			in := any(&v.in)
			if op == "GenerateMac" {
				in = &awskms.GenerateMacInput{
					KeyId: v.in.KeyId, MacAlgorithm: v.in.MacAlgorithm, Message: v.in.Message,
					DryRun: v.in.DryRun, GrantTokens: v.in.GrantTokens,
				}
			}
			_, _, err := h.call(alice, op, in)
			refused(t, op+", "+v.name, err, v.code, v.message)
		}
	}
}

// The MAC is the plain HMAC of RFC 2104 under the key's material: a MAC of the wrong key does not verify.
func TestMacsBelongToTheirKey(t *testing.T) {
	h := open(t)
	a, b := h.hmac(t, alice, "HMAC_256"), h.hmac(t, alice, "HMAC_256")
	gen := must[awskms.GenerateMacOutput](t, h, alice, "GenerateMac",
		&awskms.GenerateMacInput{KeyId: a.KeyId, MacAlgorithm: "HMAC_SHA_256", Message: []byte("x")})
	guess := hmac.New(sha256.New, make([]byte, 32)).Sum(nil)
	for _, mac := range [][]byte{gen.Mac, guess} {
		err := h.try(alice, "VerifyMac",
			&awskms.VerifyMacInput{KeyId: b.KeyId, MacAlgorithm: "HMAC_SHA_256", Message: []byte("x"), Mac: mac})
		refused(t, "another key", err, "KMSInvalidMacException", "")
	}
}

func TestGenerateRandom(t *testing.T) {
	h := open(t)
	for _, n := range []int32{1, 32, 1024} {
		got, c, err := h.call(alice, "GenerateRandom", &awskms.GenerateRandomInput{NumberOfBytes: &n})
		if err != nil {
			t.Fatal(err)
		}
		if out := got.(*awskms.GenerateRandomOutput); len(out.Plaintext) != int(n) {
			t.Errorf("%d bytes, want %d", len(out.Plaintext), n)
		}
		if len(c.Resources()) != 0 {
			t.Errorf("GenerateRandom touches %v", touched(c))
		}
	}
	if got := h.ops["GenerateRandom"].Unrecorded; fmt.Sprint(got) != "[NumberOfBytes Recipient]" {
		t.Errorf("left out of the record: %v", got)
	}
	for _, v := range []struct {
		code, message string
		in            awskms.GenerateRandomInput
	}{
		{"ValidationException", "NumberOfBytes is required.", awskms.GenerateRandomInput{}},
		{"CustomKeyStoreNotFoundException", "The custom key store cks-1234567890abcdef0 does not exist.",
			awskms.GenerateRandomInput{NumberOfBytes: new(int32(1)), CustomKeyStoreId: new("cks-1234567890abcdef0")}},
		{"UnsupportedOperationException",
			"Recipient, which encrypts the bytes for an attested environment, is not supported by this server: its operator has not said whose attestation it trusts.",
			awskms.GenerateRandomInput{NumberOfBytes: new(int32(1)), Recipient: &types.RecipientInfo{}}},
	} {
		err := h.try(alice, "GenerateRandom", &v.in)
		refused(t, v.message, err, v.code, v.message)
	}
}

func TestGetKeyLastUsage(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	var asked string
	h.lastUse = func(keyARN string) (kms.Usage, bool, error) {
		asked = keyARN
		return kms.Usage{Operation: "Encrypt", Time: at, RequestID: "request", EventID: "event"}, true, nil
	}
	got, c, err := h.call(alice, "GetKeyLastUsage", &awskms.GetKeyLastUsageInput{KeyId: m.Arn})
	if err != nil {
		t.Fatal(err)
	}
	out := got.(*awskms.GetKeyLastUsageOutput)
	want := &awskms.GetKeyLastUsageOutput{
		KeyCreationDate: m.CreationDate, KeyId: m.KeyId, TrackingStartDate: m.CreationDate,
		KeyLastUsage: &types.KeyLastUsageData{
			CloudTrailEventId: new("event"), KmsRequestId: new("request"), Operation: "Encrypt", Timestamp: &at,
		},
	}
	if g, w := asJSON(t, out), asJSON(t, want); g != w || asked != *m.Arn {
		t.Errorf("%s\nwant\n%s", g, w)
	}
	if len(c.Resources()) != 1 {
		t.Errorf("resources %v", touched(c))
	}
	h.lastUse = func(string) (kms.Usage, bool, error) { return kms.Usage{}, false, nil }
	out = must[awskms.GetKeyLastUsageOutput](t, h, alice, "GetKeyLastUsage", &awskms.GetKeyLastUsageInput{KeyId: m.KeyId})
	if out.KeyLastUsage == nil || *out.KeyLastUsage != (types.KeyLastUsageData{}) {
		t.Errorf("an unused key's last usage is %s", asJSON(t, out.KeyLastUsage))
	}
}
