package kms_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/kms"
)

// Each condition key decides: with the one value the call is allowed, and with the other it is not.
func TestConditionKeys(t *testing.T) {
	h := open(t)
	h.lastUse = func(string) (kms.Usage, bool, error) {
		return kms.Usage{Time: h.clock.Now().Add(-50 * time.Hour)}, true, nil
	}
	m := h.create(t, alice, awskms.CreateKeyInput{Tags: []types.Tag{{TagKey: new("Team"), TagValue: new("red")}}})
	mac := h.hmac(t, alice, types.KeySpecHmac256)
	h.alias(t, alice, "alias/app", *m.KeyId)
	context := map[string]string{"App": "pay", "Env": "test"}
	blob := h.encrypt(t, alice, *m.KeyId, "x", context)
	tags := []types.Tag{{TagKey: new("Team"), TagValue: new("blue")}}
	encrypt := func() any {
		return &awskms.EncryptInput{KeyId: new("alias/app"), Plaintext: []byte("x"), EncryptionContext: context}
	}
	reEncrypt := func() any {
		return &awskms.ReEncryptInput{CiphertextBlob: blob, SourceEncryptionContext: context, DestinationKeyId: m.KeyId, DestinationEncryptionContext: context}
	}
	createKey := func() any { return &awskms.CreateKeyInput{Tags: tags, BypassPolicyLockoutSafetyCheck: true} }
	createGrant := func() any {
		return &awskms.CreateGrantInput{KeyId: m.KeyId, GranteePrincipal: new("arn:aws:iam::111122223333:user/ann"),
			RetiringPrincipal: new("arn:aws:iam::111122223333:user/ben"), Operations: []types.GrantOperation{"Encrypt"},
			Constraints: &types.GrantConstraints{EncryptionContextSubset: context, SourceArn: new("arn:aws:s3:::b")}}
	}
	for _, test := range []struct {
		op       string
		in       func() any
		operator string
		key      string
		yes, no  string
	}{
		{"Encrypt", encrypt, "StringEquals", "kms:CallerAccount", "111122223333", "444455556666"},
		{"Encrypt", encrypt, "StringEquals", "kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1"},
		{"Encrypt", encrypt, "StringEquals", "kms:EncryptionContext:app", "pay", "Pay"},
		{"Encrypt", encrypt, "ForAnyValue:StringEquals", "kms:EncryptionContextKeys", "App", "app"},
		{"Encrypt", encrypt, "StringEquals", "kms:KeySpec", "SYMMETRIC_DEFAULT", "RSA_2048"},
		{"Encrypt", encrypt, "StringEquals", "kms:CustomerMasterKeySpec", "SYMMETRIC_DEFAULT", "RSA_2048"},
		{"Encrypt", encrypt, "StringEquals", "kms:KeyUsage", "ENCRYPT_DECRYPT", "SIGN_VERIFY"},
		{"Encrypt", encrypt, "StringEquals", "kms:KeyOrigin", "AWS_KMS", "EXTERNAL"},
		{"Encrypt", encrypt, "Bool", "kms:MultiRegion", "false", "true"},
		{"Encrypt", encrypt, "Null", "kms:MultiRegionKeyType", "true", "false"},
		{"Encrypt", encrypt, "Null", "kms:ViaService", "true", "false"},
		{"Encrypt", encrypt, "StringEquals", "kms:RequestAlias", "alias/app", "alias/web"},
		{"Encrypt", encrypt, "ForAnyValue:StringEquals", "kms:ResourceAliases", "alias/app", "alias/web"},
		{"Encrypt", encrypt, "StringEquals", "aws:ResourceTag/team", "red", "blue"},
		{"ReEncrypt", reEncrypt, "Bool", "kms:ReEncryptOnSameKey", "true", "false"},
		{"GenerateMac", func() any {
			return &awskms.GenerateMacInput{KeyId: mac.KeyId, Message: []byte("x"), MacAlgorithm: "HMAC_SHA_256"}
		}, "StringEquals", "kms:MacAlgorithm", "HMAC_SHA_256", "HMAC_SHA_512"},
		{"CreateKey", createKey, "StringEquals", "kms:KeySpec", "SYMMETRIC_DEFAULT", "RSA_2048"},
		{"CreateKey", createKey, "Bool", "kms:MultiRegion", "false", "true"},
		{"CreateKey", createKey, "Bool", "kms:BypassPolicyLockoutSafetyCheck", "true", "false"},
		{"CreateKey", createKey, "StringEquals", "aws:RequestTag/Team", "blue", "red"},
		{"CreateKey", createKey, "ForAllValues:StringEquals", "aws:TagKeys", "Team", "Cost"},
		{"UntagResource", func() any { return &awskms.UntagResourceInput{KeyId: mac.KeyId, TagKeys: []string{"Cost"}} },
			"ForAnyValue:StringEquals", "aws:TagKeys", "Cost", "Team"},
		{"DisableKey", func() any { return &awskms.DisableKeyInput{KeyId: mac.KeyId} },
			"NumericEquals", "kms:TrailingDaysWithoutKeyUsage", "2", "3"},
		{"ScheduleKeyDeletion", func() any {
			return &awskms.ScheduleKeyDeletionInput{KeyId: h.symmetric(t, alice).KeyId, PendingWindowInDays: new(int32(9))}
		},
			"NumericGreaterThan", "kms:ScheduleKeyDeletionPendingWindowInDays", "8", "9"},
		{"EnableKeyRotation", func() any {
			return &awskms.EnableKeyRotationInput{KeyId: m.KeyId, RotationPeriodInDays: new(int32(100))}
		},
			"NumericEquals", "kms:RotationPeriodInDays", "100", "90"},
		{"CreateGrant", createGrant, "StringEquals", "kms:GrantConstraintType", "EncryptionContextSubset", "EncryptionContextEquals"},
		{"CreateGrant", createGrant, "ForAllValues:StringEquals", "kms:GrantOperations", "Encrypt", "Decrypt"},
		{"CreateGrant", createGrant, "StringLike", "kms:GranteePrincipal", "*:user/ann", "*:user/ben"},
		{"CreateGrant", createGrant, "StringLike", "kms:RetiringPrincipal", "*:user/ben", "*:user/ann"},
		{"CreateGrant", createGrant, "Bool", "kms:GrantIsForAWSResource", "false", "true"},
		{"CreateGrant", createGrant, "ArnEquals", "kms:GrantConstraintSourceArn", "arn:aws:s3:::b", "arn:aws:s3:::c"},
		{"CreateGrant", createGrant, "StringEquals", "kms:EncryptionContext:App", "pay", "web"},
	} {
		for value, want := range map[string]string{test.yes: "", test.no: accessDenied} {
			statement := fmt.Sprintf(`{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{%q:{%q:%q}}}}`,
				test.operator, test.key, value)
			if _, _, err := h.as(user(alice.account, "ann", statement), test.op, test.in()); code(err) != want {
				t.Errorf("%s, %s %s %s: %v", test.op, test.operator, test.key, value, err)
			}
			deny := strings.Replace(statement, "Allow", "Deny", 1)
			all := `{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}`
			wantDeny := accessDenied
			if want == accessDenied {
				wantDeny = ""
			}
			h.do(t, alice, "EnableKey", &awskms.EnableKeyInput{KeyId: mac.KeyId})
			if _, _, err := h.as(user(alice.account, "ann", all, deny), test.op, test.in()); code(err) != wantDeny {
				t.Errorf("%s, Deny when %s %s %s: %v", test.op, test.operator, test.key, value, err)
			}
			h.do(t, alice, "EnableKey", &awskms.EnableKeyInput{KeyId: mac.KeyId})
		}
	}
}
