package kms_test

import (
	"strings"
	"sync"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// The KMS developer guide's table "Key states of AWS KMS keys", for the states that keys have here.
func TestKeyStates(t *testing.T) {
	const (
		disabled   = "DisabledException: KEY is disabled."
		pending    = "KMSInvalidStateException: KEY is pending deletion."
		notPending = "KMSInvalidStateException: KEY is not pending deletion."
		generated  = "UnsupportedOperationException: KEY origin is AWS_KMS which is not valid for this operation."
	)
	matrix := map[string][3]string{ // Enabled, Disabled, PendingDeletion
		"CancelKeyDeletion":                   {notPending, notPending, ""},
		"CreateAlias":                         {"", "", pending},
		"CreateGrant":                         {"", disabled, pending},
		"Decapsulate":                         {"", disabled, pending},
		"Decrypt":                             {"", disabled, pending},
		"DeleteAlias":                         {"", "", ""},
		"DeleteImportedKeyMaterial":           {generated, generated, generated},
		"DeriveSharedSecret":                  {"", disabled, pending},
		"DescribeKey":                         {"", "", ""},
		"DisableKey":                          {"", "", pending},
		"DisableKeyRotation":                  {"", disabled, pending},
		"EnableKey":                           {"", "", pending},
		"EnableKeyRotation":                   {"", disabled, pending},
		"Encapsulate":                         {"", disabled, pending},
		"Encrypt":                             {"", disabled, pending},
		"GenerateDataKey":                     {"", disabled, pending},
		"GenerateDataKeyPair":                 {"", disabled, pending},
		"GenerateDataKeyPairWithoutPlaintext": {"", disabled, pending},
		"GenerateDataKeyWithoutPlaintext":     {"", disabled, pending},
		"GenerateMac":                         {"", disabled, pending},
		"GetKeyLastUsage":                     {"", "", ""},
		"GetKeyPolicy":                        {"", "", ""},
		"GetKeyRotationStatus":                {"", "", ""},
		"GetParametersForImport":              {generated, generated, generated},
		"GetPublicKey":                        {"", disabled, pending},
		"ImportKeyMaterial":                   {generated, generated, generated},
		"ListAliases":                         {"", "", ""},
		"ListGrants":                          {"", "", ""},
		"ListKeyPolicies":                     {"", "", ""},
		"ListKeyRotations":                    {"", "", ""},
		"ListResourceTags":                    {"", "", ""},
		"PutKeyPolicy":                        {"", "", ""},
		"ReEncrypt":                           {"", disabled, pending},
		"ReplicateKey":                        {"", disabled, pending},
		"RetireGrant":                         {"", "", ""},
		"RevokeGrant":                         {"", "", ""},
		"RotateKeyOnDemand":                   {"", disabled, pending},
		"ScheduleKeyDeletion":                 {"", "", pending},
		"Sign":                                {"", disabled, pending},
		"TagResource":                         {"", "", pending},
		"UntagResource":                       {"", "", pending},
		"UpdateAlias":                         {"", "", pending},
		"UpdateKeyDescription":                {"", "", pending},
		"Verify":                              {"", disabled, pending},
		"VerifyMac":                           {"", disabled, pending},
	}
	h := open(t)
	h.lastUse = neverUsed
	states := []types.KeyState{"Enabled", "Disabled", "PendingDeletion"}
	for op, row := range matrix {
		for i, state := range states {
			m, in := prepare(t, h, op)
			switch state {
			case "Disabled":
				h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: m.KeyId})
			case "PendingDeletion":
				h.do(t, alice, "ScheduleKeyDeletion", &awskms.ScheduleKeyDeletionInput{KeyId: m.KeyId})
			}
			if got := h.describe(t, alice, *m.KeyId); got.KeyState != state || got.Enabled != (state == "Enabled") {
				t.Fatalf("KeyState %s, Enabled %v", got.KeyState, got.Enabled)
			}
			_, c, err := h.call(alice, op, in)
			expect(t, op+" "+string(state), err, row[i], *m.Arn)
			if err != nil && len(c.Resources()) == 0 {
				t.Errorf("%s %s: the refused call touches nothing", op, state)
			}
		}
	}
	for op := range h.ops {
		if _, ok := matrix[op]; !ok && op != "CreateKey" && op != "ListKeys" && op != "GenerateRandom" && op != "UpdatePrimaryRegion" && op != "ListRetirableGrants" && !strings.Contains(op, "CustomKeyStore") {
			t.Errorf("%s is not in the table", op)
		}
	}
}

// prepare makes a key, and a request of the operation that succeeds while the key is enabled, if any does.
func prepare(t *testing.T, h *house, op string) (*types.KeyMetadata, any) {
	t.Helper()
	switch op {
	case "GenerateMac", "VerifyMac":
		m := h.hmac(t, alice, "HMAC_256")
		gen := &awskms.GenerateMacInput{KeyId: m.KeyId, MacAlgorithm: "HMAC_SHA_256", Message: []byte("x")}
		if op == "GenerateMac" {
			return m, gen
		}
		mac := must[awskms.GenerateMacOutput](t, h, alice, "GenerateMac", gen).Mac
		return m, &awskms.VerifyMacInput{KeyId: m.KeyId, MacAlgorithm: "HMAC_SHA_256", Message: []byte("x"), Mac: mac}
	}
	if m, in := preparePair(t, h, op); m != nil {
		return m, in
	}
	if op == "ReplicateKey" {
		m := h.create(t, alice, awskms.CreateKeyInput{MultiRegion: new(true)})
		return m, requests(*m.KeyId)[op]
	}
	m := h.symmetric(t, alice)
	alias := "alias/" + *m.KeyId
	switch op {
	case "Decrypt":
		return m, &awskms.DecryptInput{CiphertextBlob: h.encrypt(t, alice, *m.KeyId, "x", nil)}
	case "ReEncrypt":
		blob := h.encrypt(t, alice, *m.KeyId, "x", nil)
		return m, &awskms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: h.symmetric(t, alice).KeyId}
	case "CreateAlias":
		return m, &awskms.CreateAliasInput{AliasName: &alias, TargetKeyId: m.KeyId}
	case "CreateGrant", "RetireGrant", "RevokeGrant":
		in := awskms.CreateGrantInput{KeyId: m.KeyId, GranteePrincipal: new("arn:aws:iam::111122223333:root"), Operations: []types.GrantOperation{"Encrypt"}}
		if op == "CreateGrant" {
			return m, &in
		}
		g := h.grant(t, in)
		if op == "RetireGrant" {
			return m, &awskms.RetireGrantInput{GrantToken: g.GrantToken}
		}
		return m, &awskms.RevokeGrantInput{KeyId: m.KeyId, GrantId: g.GrantId}
	case "ListGrants":
		return m, &awskms.ListGrantsInput{KeyId: m.KeyId}
	case "DeleteAlias":
		h.alias(t, alice, alias, *m.KeyId)
		return m, &awskms.DeleteAliasInput{AliasName: &alias}
	case "UpdateAlias":
		h.alias(t, alice, alias, *h.symmetric(t, alice).KeyId)
		return m, &awskms.UpdateAliasInput{AliasName: &alias, TargetKeyId: m.KeyId}
	case "ListAliases":
		return m, &awskms.ListAliasesInput{KeyId: m.KeyId}
	}
	return m, requests(*m.KeyId)[op]
}

// preparePair is prepare for the operations of key pairs.
func preparePair(t *testing.T, h *house, op string) (*types.KeyMetadata, any) {
	t.Helper()
	switch op {
	case "Sign", "Verify", "GetPublicKey":
		m := h.pair(t, alice, "ECC_NIST_P256", "SIGN_VERIFY")
		in := &awskms.SignInput{KeyId: m.KeyId, SigningAlgorithm: "ECDSA_SHA_256", Message: []byte("x")}
		switch op {
		case "Sign":
			return m, in
		case "GetPublicKey":
			return m, &awskms.GetPublicKeyInput{KeyId: m.KeyId}
		}
		signature := must[awskms.SignOutput](t, h, alice, "Sign", in).Signature
		return m, &awskms.VerifyInput{KeyId: m.KeyId, SigningAlgorithm: "ECDSA_SHA_256", Message: []byte("x"), Signature: signature}
	case "DeriveSharedSecret":
		m := h.pair(t, alice, "ECC_NIST_P256", "KEY_AGREEMENT")
		return m, &awskms.DeriveSharedSecretInput{KeyId: m.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: h.publicKey(t, alice, *m.KeyId)}
	case "Encapsulate", "Decapsulate":
		m := h.pair(t, alice, "ML_KEM_768", "ENCAPSULATE_DECAPSULATE")
		in := &awskms.EncapsulateInput{KeyId: m.KeyId, EncapsulationAlgorithm: "ML_KEM"}
		if op == "Encapsulate" {
			return m, in
		}
		blob := must[awskms.EncapsulateOutput](t, h, alice, "Encapsulate", in).SharedSecretCiphertextBlob
		return m, &awskms.DecapsulateInput{KeyId: m.KeyId, EncapsulationAlgorithm: "ML_KEM", SharedSecretCiphertextBlob: blob}
	}
	return nil, nil
}

// The destination of ReEncrypt has the same row as the source.
func TestReEncryptToADisabledKey(t *testing.T) {
	h := open(t)
	from, to := h.symmetric(t, alice), h.symmetric(t, alice)
	blob := h.encrypt(t, alice, *from.KeyId, "x", nil)
	h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: to.KeyId})
	err := h.try(alice, "ReEncrypt", &awskms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: to.KeyId})
	refused(t, "ReEncrypt", err, "DisabledException", *to.Arn+" is disabled.")
}

// A key's usage is looked at before its state.
func TestUsageComesBeforeState(t *testing.T) {
	h := open(t)
	m := h.hmac(t, alice, "HMAC_256")
	h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: m.KeyId})
	err := h.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: m.KeyId, Plaintext: []byte("x")})
	refused(t, "Encrypt", err, "InvalidKeyUsageException", *m.Arn+" key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt.")
}

func TestOperationsWithoutOutputRespondWithTheKey(t *testing.T) {
	h := open(t)
	for _, op := range []string{
		"CreateAlias", "DeleteAlias", "DisableKey", "DisableKeyRotation", "EnableKey", "EnableKeyRotation", "PutKeyPolicy", "TagResource",
		"UntagResource", "UpdateAlias", "UpdateKeyDescription",
	} {
		m, in := prepare(t, h, op)
		c := h.do(t, alice, op, in)
		if g, w := string(c.ResponseElements()), `{"keyId":"`+*m.Arn+`"}`; g != w {
			t.Errorf("%s: responseElements %s, want %s", op, g, w)
		}
	}
}

func TestUpdateKeyDescription(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	for _, text := range []string{"a key", ""} {
		h.do(t, alice, "UpdateKeyDescription", &awskms.UpdateKeyDescriptionInput{KeyId: m.KeyId, Description: &text})
		if got := *h.describe(t, alice, *m.KeyId).Description; got != text {
			t.Errorf("Description = %q, want %q", got, text)
		}
	}
}

// An answered EnableKey or DisableKey holds for every call that begins after it, however many use the key at the time.
func TestDisableHoldsAtOnce(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	stop := make(chan struct{})
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := h.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: m.KeyId, Plaintext: []byte("x")})
				if err != nil {
					expect(t, "Encrypt", err, "DisabledException: KEY is disabled.", *m.Arn)
				}
			}
		})
	}
	for range 20 {
		h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: m.KeyId})
		err := h.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: m.KeyId, Plaintext: []byte("x")})
		expect(t, "after DisableKey", err, "DisabledException: KEY is disabled.", *m.Arn)
		h.do(t, alice, "EnableKey", &awskms.EnableKeyInput{KeyId: m.KeyId})
		h.encrypt(t, alice, *m.KeyId, "x", nil)
	}
	close(stop)
	users.Wait()
}
