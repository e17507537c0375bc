package kms_test

//lint:file-ignore SA1019 CustomerMasterKeySpec is deprecated, but AWS KMS takes it and answers with it still.

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/policy"
	"vigil/internal/store"
)

func TestCreateKeyDefaults(t *testing.T) {
	h := open(t)
	in := &awskms.CreateKeyInput{}
	out, c, err := h.call(alice, "CreateKey", in)
	if err != nil {
		t.Fatal(err)
	}
	m := out.(*awskms.CreateKeyOutput).KeyMetadata
	if want := alice.arn("key/" + *m.KeyId); *m.Arn != want {
		t.Errorf("Arn = %s, want %s", *m.Arn, want)
	}
	if len(*m.CurrentKeyMaterialId) != 64 {
		t.Errorf("CurrentKeyMaterialId = %q", *m.CurrentKeyMaterialId)
	}
	if !m.CreationDate.Equal(c.Time.Truncate(time.Millisecond)) {
		t.Errorf("CreationDate = %v, the call was at %v", m.CreationDate, c.Time)
	}
	got := *m
	got.KeyId, got.Arn, got.CurrentKeyMaterialId, got.CreationDate = nil, nil, nil, nil
	want := types.KeyMetadata{
		AWSAccountId: new("111122223333"), CustomerMasterKeySpec: "SYMMETRIC_DEFAULT", Description: new(""), Enabled: true,
		EncryptionAlgorithms: []types.EncryptionAlgorithmSpec{"SYMMETRIC_DEFAULT"}, KeyManager: "CUSTOMER", KeySpec: "SYMMETRIC_DEFAULT",
		KeyState: "Enabled", KeyUsage: "ENCRYPT_DECRYPT", MultiRegion: new(false), Origin: "AWS_KMS",
	}
	if g, w := asJSON(t, got), asJSON(t, want); g != w {
		t.Errorf("KeyMetadata\n%s\nwant\n%s", g, w)
	}
	filled := awskms.CreateKeyInput{
		CustomerMasterKeySpec: "SYMMETRIC_DEFAULT", Description: new(""), KeySpec: "SYMMETRIC_DEFAULT", KeyUsage: "ENCRYPT_DECRYPT",
		MultiRegion: new(false), Origin: "AWS_KMS", Tags: []types.Tag{},
	}
	if g, w := asJSON(t, in), asJSON(t, filled); g != w {
		t.Errorf("the request is recorded as\n%s\nwant\n%s", g, w)
	}
	if g, w := fmt.Sprint(touched(c)), fmt.Sprintf("[111122223333 AWS::KMS::Key %s]", *m.Arn); g != w {
		t.Errorf("resources %s, want %s", g, w)
	}
	if g, w := asJSON(t, h.describe(t, alice, *m.KeyId)), asJSON(t, m); g != w {
		t.Errorf("DescribeKey\n%s\nwant\n%s", g, w)
	}
}

func TestCreateHMACKeys(t *testing.T) {
	h := open(t)
	for spec, algorithm := range map[types.KeySpec]types.MacAlgorithmSpec{
		"HMAC_224": "HMAC_SHA_224", "HMAC_256": "HMAC_SHA_256", "HMAC_384": "HMAC_SHA_384", "HMAC_512": "HMAC_SHA_512",
	} {
		// The old name of KeySpec does as well.
		m := h.create(t, alice, awskms.CreateKeyInput{
			CustomerMasterKeySpec: types.CustomerMasterKeySpec(spec), KeyUsage: "GENERATE_VERIFY_MAC", Description: new("macs"),
		})
		if m.KeySpec != spec || string(m.CustomerMasterKeySpec) != string(spec) || m.KeyUsage != "GENERATE_VERIFY_MAC" ||
			fmt.Sprint(m.MacAlgorithms) != fmt.Sprintf("[%s]", algorithm) || m.EncryptionAlgorithms != nil ||
			m.CurrentKeyMaterialId != nil || *m.Description != "macs" {
			t.Errorf("%s: %s", spec, asJSON(t, m))
		}
	}
}

func TestCreateKeyRefuses(t *testing.T) {
	h := open(t)
	const usageRequired = "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
	tags := func(names ...string) (tags []types.Tag) {
		for _, name := range names {
			tags = append(tags, types.Tag{TagKey: &name, TagValue: new("v")})
		}
		return tags
	}
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprint("tag", i))
	}
	for _, v := range []struct {
		name, code, message string
		in                  awskms.CreateKeyInput
	}{
		{"no usage", "ValidationException", usageRequired, awskms.CreateKeyInput{KeySpec: "HMAC_256"}},
		{"no usage, RSA", "ValidationException", usageRequired, awskms.CreateKeyInput{KeySpec: "RSA_2048"}},
		{"usage does not fit", "ValidationException", "KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048",
			awskms.CreateKeyInput{KeySpec: "RSA_2048", KeyUsage: "KEY_AGREEMENT"}},
		{"usage does not fit, symmetric", "ValidationException", "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT",
			awskms.CreateKeyInput{KeyUsage: "SIGN_VERIFY"}},
		{"usage does not fit, HMAC", "ValidationException", "KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec HMAC_512",
			awskms.CreateKeyInput{KeySpec: "HMAC_512", KeyUsage: "ENCRYPT_DECRYPT"}},
		{"two specs", "ValidationException", "KeySpec HMAC_256 and CustomerMasterKeySpec HMAC_512 differ. Specify only KeySpec.",
			awskms.CreateKeyInput{KeySpec: "HMAC_256", CustomerMasterKeySpec: "HMAC_512", KeyUsage: "GENERATE_VERIFY_MAC"}},
		{"tag twice", "TagException", "Duplicate tag keys", awskms.CreateKeyInput{Tags: tags("a", "b", "a")}},
		{"reserved tag", "TagException", "Tags beginning with aws: are reserved", awskms.CreateKeyInput{Tags: tags("AwS:x")}},
		{"51 tags", "TagException", "Too many tags", awskms.CreateKeyInput{Tags: tags(many...)}},
		{"policy is not JSON", "MalformedPolicyDocumentException", malformed(t, "{"), awskms.CreateKeyInput{Policy: new("{")}},
		{"lockout", "MalformedPolicyDocumentException",
			"The new key policy will not allow you to update the key policy in the future.",
			awskms.CreateKeyInput{Policy: new(policy.DefaultKeyPolicy("aws", bob.account))}},
		{"policy too long", "LimitExceededException", "The key policy has 32769 bytes. The limit is 32768.",
			awskms.CreateKeyInput{Policy: new(strings.Repeat(" ", 32769))}},
		{"usage does not fit, Ed25519", "ValidationException", "KeyUsage KEY_AGREEMENT is not compatible with KeySpec ECC_NIST_EDWARDS25519",
			awskms.CreateKeyInput{KeySpec: "ECC_NIST_EDWARDS25519", KeyUsage: "KEY_AGREEMENT"}},
		{"import of a kind that has none", "UnsupportedOperationException", "Origin EXTERNAL is not compatible with KeySpec ML_DSA_44",
			awskms.CreateKeyInput{Origin: "EXTERNAL", KeySpec: "ML_DSA_44", KeyUsage: "SIGN_VERIFY"}},
		{"key store", "CustomKeyStoreNotFoundException", "The custom key store cks-1234567890abcdef0 does not exist.",
			awskms.CreateKeyInput{Origin: "AWS_CLOUDHSM", CustomKeyStoreId: new("cks-1234567890abcdef0")}},
		{"key store without origin", "ValidationException", "CustomKeyStoreId is not valid when Origin is AWS_KMS.",
			awskms.CreateKeyInput{CustomKeyStoreId: new("cks-1234567890abcdef0")}},
	} {
		err := h.try(alice, "CreateKey", &v.in)
		refused(t, v.name, err, v.code, v.message)
	}
	if keys := must[awskms.ListKeysOutput](t, h, alice, "ListKeys", &awskms.ListKeysInput{}).Keys; len(keys) != 0 {
		t.Errorf("the refused calls made %d keys", len(keys))
	}
}

// malformed is what the policy package says of a text.
func malformed(t *testing.T, text string) string {
	t.Helper()
	_, err := policy.ParseKeyPolicy(text)
	if err == nil {
		t.Fatalf("%q parses", text)
	}
	return err.Error()
}

func TestKeysLivePerAccountAndRegion(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	for _, who := range []caller{bob, alice.in("eu-central-1"), alice.in("us-east-1")} {
		err := h.try(who, "DescribeKey", &awskms.DescribeKeyInput{KeyId: m.KeyId})
		refused(t, fmt.Sprint(who), err, "NotFoundException", fmt.Sprintf("Key '%s' does not exist", who.arn("key/"+*m.KeyId)))
		if keys := must[awskms.ListKeysOutput](t, h, who, "ListKeys", &awskms.ListKeysInput{}).Keys; len(keys) != 0 {
			t.Errorf("%v sees %d keys", who, len(keys))
		}
	}
	china := h.symmetric(t, alice.in("cn-north-1"))
	if !strings.HasPrefix(*china.Arn, "arn:aws-cn:kms:cn-north-1:111122223333:key/") {
		t.Errorf("Arn = %s", *china.Arn)
	}
}

// Material is in the database in its wrapped form only, and what is wrapped unwraps for its own key alone.
func TestMaterialIsStoredWrapped(t *testing.T) {
	h := open(t)
	a, b := h.symmetric(t, alice), h.symmetric(t, alice)
	blob := h.encrypt(t, alice, *a.KeyId, "x", nil)
	err := h.db.Update(context.Background(), func(tx store.Tx) error {
		var wrapped []byte
		if err := tx.QueryRow(`SELECT wrapped FROM kms_material WHERE key_id = $1`, *a.KeyId).Scan(&wrapped); err != nil {
			return err
		}
		if len(wrapped) != 32+12+16 {
			t.Errorf("%d bytes are stored", len(wrapped))
		}
		_, err := tx.Exec(`UPDATE kms_material SET wrapped = $1 WHERE key_id = $2`, wrapped, *b.KeyId)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: b.KeyId, Plaintext: []byte("x")}); err == nil {
		t.Error("a key encrypts with the material of another")
	}
	if err := h.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob}); err != nil {
		t.Error(err)
	}
}
