package kms_test

import (
	"fmt"
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/policy"
)

const missingID = "0987dcba-09fe-87dc-65ba-ab0987654321"

func TestNamesOfMissingKeys(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	arn := alice.arn("key/")
	for name, message := range map[string]string{
		missingID:                                    "Key '" + arn + missingID + "' does not exist",
		strings.ToUpper(missingID):                   "Key '" + arn + strings.ToUpper(missingID) + "' does not exist",
		"mrk-1234567812341234123412345678901a":       "Key '" + arn + "mrk-1234567812341234123412345678901a' does not exist",
		arn + missingID:                              "Key '" + arn + missingID + "' does not exist",
		"foo":                                        "Invalid keyId 'foo'",
		"0987dcba09fe87dc65baab0987654321":           "Invalid keyId '0987dcba09fe87dc65baab0987654321'",
		"mrk-1234":                                   "Invalid keyId 'mrk-1234'",
		"0987dcba-09fe-87dc-65ba-ab098765432g":       "Invalid keyId '0987dcba-09fe-87dc-65ba-ab098765432g'",
		missingID + "0":                              "Invalid keyId '" + missingID + "0'",
		arn + "foo":                                  "Invalid keyId foo",
		"arn:aws:kms:us-west-2":                      "Invalid keyId 'arn:aws:kms:us-west-2'",
		"arn:aws:s3:::bucket":                        "Invalid keyId 'arn:aws:s3:::bucket'",
		alice.arn("grant/x"):                         "Invalid keyId '" + alice.arn("grant/x") + "'",
		strings.Replace(*m.Arn, "aws", "aws-cn", 1):  "Invalid keyId '" + strings.Replace(*m.Arn, "aws", "aws-cn", 1) + "'",
		alice.in("us-east-1").arn("key/" + *m.KeyId): "Invalid arn us-east-1",
		alice.in("us-east-1").arn("alias/x"):         "Invalid arn us-east-1",
		"alias/missing":                              "Alias " + alice.arn("alias/missing") + " is not found.",
		alice.arn("alias/missing"):                   "Alias " + alice.arn("alias/missing") + " is not found.",
		"alias/a\x00b":                               "Alias " + alice.arn("alias/a\x00b") + " is not found.",
		"arn:aws:kms:us-west-2:x:key/" + missingID:   "Invalid keyId 'arn:aws:kms:us-west-2:x:key/" + missingID + "'",
		"alias/aws/s3":                               "Alias " + alice.arn("alias/aws/s3") + " is not found.",
	} {
		err := h.try(alice, "DescribeKey", &awskms.DescribeKeyInput{KeyId: &name})
		refused(t, name, err, "NotFoundException", message)
		_, c, err := h.call(alice, "Encrypt", &awskms.EncryptInput{KeyId: &name, Plaintext: []byte("x")})
		refused(t, name, err, "NotFoundException", message)
		if len(c.Resources()) != 0 {
			t.Errorf("%s: a key that does not exist is touched", name)
		}
	}
}

// requests has a request of every operation that takes a key, but for those of aliases.
func requests(key string) map[string]any {
	blob := []byte("x")
	return map[string]any{
		"Decapsulate":                         &awskms.DecapsulateInput{KeyId: &key, EncapsulationAlgorithm: "ML_KEM", SharedSecretCiphertextBlob: blob},
		"DeriveSharedSecret":                  &awskms.DeriveSharedSecretInput{KeyId: &key, KeyAgreementAlgorithm: "ECDH", PublicKey: blob},
		"Encapsulate":                         &awskms.EncapsulateInput{KeyId: &key, EncapsulationAlgorithm: "ML_KEM"},
		"GenerateDataKeyPair":                 &awskms.GenerateDataKeyPairInput{KeyId: &key, KeyPairSpec: "ECC_NIST_P256"},
		"GenerateDataKeyPairWithoutPlaintext": &awskms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: &key, KeyPairSpec: "ECC_NIST_P256"},
		"GetPublicKey":                        &awskms.GetPublicKeyInput{KeyId: &key},
		"Sign":                                &awskms.SignInput{KeyId: &key, SigningAlgorithm: "ECDSA_SHA_256", Message: []byte("x")},
		"Verify":                              &awskms.VerifyInput{KeyId: &key, SigningAlgorithm: "ECDSA_SHA_256", Message: []byte("x"), Signature: []byte("x")},
		"CancelKeyDeletion":                   &awskms.CancelKeyDeletionInput{KeyId: &key},
		"Decrypt":                             &awskms.DecryptInput{KeyId: &key, CiphertextBlob: blob},
		"DescribeKey":                         &awskms.DescribeKeyInput{KeyId: &key},
		"DisableKey":                          &awskms.DisableKeyInput{KeyId: &key},
		"EnableKey":                           &awskms.EnableKeyInput{KeyId: &key},
		"Encrypt":                             &awskms.EncryptInput{KeyId: &key, Plaintext: []byte("x")},
		"GenerateDataKey":                     &awskms.GenerateDataKeyInput{KeyId: &key, KeySpec: "AES_256"},
		"GenerateDataKeyWithoutPlaintext":     &awskms.GenerateDataKeyWithoutPlaintextInput{KeyId: &key, KeySpec: "AES_256"},
		"GenerateMac":                         &awskms.GenerateMacInput{KeyId: &key, MacAlgorithm: "HMAC_SHA_256", Message: []byte("x")},
		"GetKeyLastUsage":                     &awskms.GetKeyLastUsageInput{KeyId: &key},
		"GetKeyPolicy":                        &awskms.GetKeyPolicyInput{KeyId: &key},
		"ListKeyPolicies":                     &awskms.ListKeyPoliciesInput{KeyId: &key},
		"ListResourceTags":                    &awskms.ListResourceTagsInput{KeyId: &key},
		"PutKeyPolicy": &awskms.PutKeyPolicyInput{
			KeyId: &key, Policy: new(policy.DefaultKeyPolicy("aws", alice.account)),
		},
		"ReEncrypt":                 &awskms.ReEncryptInput{SourceKeyId: &key, DestinationKeyId: &key, CiphertextBlob: blob},
		"ScheduleKeyDeletion":       &awskms.ScheduleKeyDeletionInput{KeyId: &key},
		"TagResource":               &awskms.TagResourceInput{KeyId: &key, Tags: []types.Tag{{TagKey: new("a"), TagValue: new("b")}}},
		"UntagResource":             &awskms.UntagResourceInput{KeyId: &key, TagKeys: []string{"a"}},
		"UpdateKeyDescription":      &awskms.UpdateKeyDescriptionInput{KeyId: &key, Description: new("d")},
		"VerifyMac":                 &awskms.VerifyMacInput{KeyId: &key, MacAlgorithm: "HMAC_SHA_256", Message: []byte("x"), Mac: []byte("x")},
		"DeleteImportedKeyMaterial": &awskms.DeleteImportedKeyMaterialInput{KeyId: &key},
		"DisableKeyRotation":        &awskms.DisableKeyRotationInput{KeyId: &key},
		"EnableKeyRotation":         &awskms.EnableKeyRotationInput{KeyId: &key},
		"GetKeyRotationStatus":      &awskms.GetKeyRotationStatusInput{KeyId: &key},
		"GetParametersForImport": &awskms.GetParametersForImportInput{
			KeyId: &key, WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048"},
		"ImportKeyMaterial": &awskms.ImportKeyMaterialInput{
			KeyId: &key, ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE", EncryptedKeyMaterial: []byte("x"), ImportToken: []byte("x")},
		"ListKeyRotations":    &awskms.ListKeyRotationsInput{KeyId: &key},
		"ReplicateKey":        &awskms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: new("eu-west-1")},
		"RotateKeyOnDemand":   &awskms.RotateKeyOnDemandInput{KeyId: &key},
		"UpdatePrimaryRegion": &awskms.UpdatePrimaryRegionInput{KeyId: &key, PrimaryRegion: new("eu-west-1")},
	}
}

// crossAccount are the operations that can be used with another account's key, which are those that take aliases.
var crossAccount = map[string]string{
	"Decapsulate":                         "kms:Decapsulate",
	"DeriveSharedSecret":                  "kms:DeriveSharedSecret",
	"Encapsulate":                         "kms:Encapsulate",
	"GenerateDataKeyPair":                 "kms:GenerateDataKeyPair",
	"GenerateDataKeyPairWithoutPlaintext": "kms:GenerateDataKeyPairWithoutPlaintext",
	"GetPublicKey":                        "kms:GetPublicKey",
	"Sign":                                "kms:Sign",
	"Verify":                              "kms:Verify",
	"Decrypt":                             "kms:Decrypt",
	"DescribeKey":                         "kms:DescribeKey",
	"Encrypt":                             "kms:Encrypt",
	"GenerateDataKey":                     "kms:GenerateDataKey",
	"GenerateDataKeyWithoutPlaintext":     "kms:GenerateDataKeyWithoutPlaintext",
	"GenerateMac":                         "kms:GenerateMac",
	"ReEncrypt":                           "kms:ReEncryptFrom",
	"VerifyMac":                           "kms:VerifyMac",
}

func TestOperationsThatTakeNoAlias(t *testing.T) {
	h := open(t)
	for _, name := range []string{"alias/missing", alice.arn("alias/missing"), bob.arn("alias/missing")} {
		for op, in := range requests(name) {
			if _, ok := crossAccount[op]; ok {
				continue
			}
			_, _, err := h.call(alice, op, in)
			refused(t, op, err, "InvalidArnException", "Key Aliases are not supported for this operation.")
		}
	}
}

// What another account may not use looks the same whether it exists or not, by whatever name.
func TestAnotherAccountsKeyIsHidden(t *testing.T) {
	h := open(t)
	theirs := h.symmetric(t, bob)
	h.alias(t, bob, "alias/theirs", *theirs.KeyId)
	names := []string{*theirs.Arn, bob.arn("key/" + missingID), bob.arn("alias/theirs"), bob.arn("alias/missing")}
	for i, name := range names {
		for op, in := range requests(name) {
			action, ok := crossAccount[op]
			if !ok {
				action = "kms:" + op
				if i >= 2 {
					continue // it takes no alias
				}
			}
			_, c, err := h.call(alice, op, in)
			refused(t, op+" "+name, err, "AccessDeniedException", denied(alice, action, "this resource"))
			if exists := i%2 == 0; exists != (len(c.Resources()) == 1) {
				t.Errorf("%s %s: resources %v", op, name, touched(c))
			}
		}
	}
	blob := h.encrypt(t, bob, *theirs.KeyId, "x", nil)
	err := h.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob})
	refused(t, "Decrypt without KeyId", err, "AccessDeniedException",
		denied(alice, "kms:Decrypt", "the resource associated with this ciphertext"))
}

// A key policy that lets another account's root in opens the cryptographic operations to it, by key ARN and alias ARN,
// and nothing else.
func TestCrossAccountUse(t *testing.T) {
	h := open(t)
	both := `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": ["111122223333", "444455556666"]},
		"Action": "kms:*", "Resource": "*"}}`
	sym := h.create(t, bob, awskms.CreateKeyInput{Policy: &both})
	mac := h.create(t, bob, awskms.CreateKeyInput{Policy: &both, KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC"})
	h.alias(t, bob, "alias/shared", *sym.KeyId)

	for _, name := range []string{*sym.Arn, bob.arn("alias/shared")} {
		blob := h.encrypt(t, alice, name, "x", nil)
		for _, keyID := range []*string{nil, &name, sym.KeyId} { // for Decrypt, the key id alone will do
			in := &awskms.DecryptInput{CiphertextBlob: blob, KeyId: keyID}
			got, c, err := h.call(alice, "Decrypt", in)
			if err != nil {
				t.Fatal(err)
			}
			if out := got.(*awskms.DecryptOutput); string(out.Plaintext) != "x" || *out.KeyId != *sym.Arn {
				t.Errorf("%s", asJSON(t, out))
			}
			if g, w := fmt.Sprint(touched(c)), fmt.Sprintf("[444455556666 AWS::KMS::Key %s]", *sym.Arn); g != w {
				t.Errorf("resources %s, want %s", g, w)
			}
		}
		own := h.symmetric(t, alice)
		h.do(t, alice, "ReEncrypt", &awskms.ReEncryptInput{CiphertextBlob: blob, SourceKeyId: sym.KeyId, DestinationKeyId: own.KeyId})
		h.do(t, alice, "ReEncrypt", &awskms.ReEncryptInput{
			CiphertextBlob: h.encrypt(t, alice, *own.KeyId, "x", nil), DestinationKeyId: &name,
		})
	}
	for op, in := range requests(*mac.Arn) {
		if op == "GenerateMac" || op == "DescribeKey" {
			h.do(t, alice, op, in)
		}
	}
	for op, in := range requests(*sym.Arn) {
		if _, ok := crossAccount[op]; !ok && op != "GetKeyRotationStatus" { // which can, but takes no alias
			_, _, err := h.call(alice, op, in)
			refused(t, op, err, "AccessDeniedException", denied(alice, "kms:"+op, "this resource"))
		}
	}
	// Without its ARN, another account's key is not found.
	for _, name := range []string{*sym.KeyId, "alias/shared"} {
		if err := h.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: &name, Plaintext: []byte("x")}); err == nil {
			t.Errorf("%s means another account's key", name)
		}
	}
}

// The owner's root user is held by the key policy like anybody.
func TestTheKeyPolicyDecides(t *testing.T) {
	h := open(t)
	document := `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"},
		{"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}]}`
	m := h.create(t, alice, awskms.CreateKeyInput{Policy: &document})
	blob := h.encrypt(t, alice, *m.KeyId, "x", nil)
	root := "User: arn:aws:iam::111122223333:root is not authorized to perform: kms:Decrypt on "
	_, c, err := h.call(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob, KeyId: m.KeyId})
	refused(t, "named", err, "AccessDeniedException", root+"resource: "+*m.Arn+" with an explicit deny in a resource-based policy")
	if len(c.Resources()) != 1 {
		t.Errorf("the denied call touches %v", touched(c))
	}
	err = h.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob})
	refused(t, "unnamed", err, "AccessDeniedException",
		root+"the resource associated with this ciphertext with an explicit deny in a resource-based policy")
}

func TestEveryListedOperationIsTried(t *testing.T) {
	h := open(t)
	others := map[string]bool{
		"CreateKey": true, "ListKeys": true, "GenerateRandom": true,
		"CreateAlias": true, "UpdateAlias": true, "DeleteAlias": true, "ListAliases": true,
		"CreateGrant": true, "ListGrants": true, "ListRetirableGrants": true, "RetireGrant": true, "RevokeGrant": true,
	}
	tried := requests("x")
	for op := range h.ops {
		if _, ok := tried[op]; !ok && !others[op] && !strings.Contains(op, "CustomKeyStore") {
			t.Errorf("no test has a request of %s", op)
		}
	}
}

// A name is resolved or refused, whatever it is, and never gets past its own account.
func FuzzKeyNames(f *testing.F) {
	h := open(f)
	theirs := h.symmetric(f, bob)
	for _, seed := range []string{
		"", "x", missingID, "alias/", "alias/x", *theirs.Arn, *theirs.KeyId, "arn:", "arn:aws:kms:::key/", "arn:aws:kms:us-west-2:1:alias/x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if _, _, err := h.call(alice, "DescribeKey", &awskms.DescribeKeyInput{KeyId: &name}); err == nil {
			t.Errorf("%q is a key of an account that has none", name)
		}
	})
}
