package kms_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/clock"
	"vigil/internal/kms"
	"vigil/internal/kms/xks"
	"vigil/internal/kms/xks/xkstest"
)

func TestAKeyInAnExternalKeyStore(t *testing.T) {
	o := openOutside(t)
	store, key := o.bound(t)
	if key.KeyState != "Enabled" || key.Origin != "EXTERNAL_KEY_STORE" || *key.CustomKeyStoreId != store || *key.XksKeyConfiguration.Id != "hsm-key-1" ||
		key.CurrentKeyMaterialId != nil || *key.MultiRegion {
		t.Errorf("%s", asJSON(t, key))
	}
	if got := o.describe(t, alice, *key.KeyId); asJSON(t, got) != asJSON(t, key) {
		t.Errorf("DescribeKey: %s", asJSON(t, got))
	}
	context := map[string]string{"Project": "Nile", "Department": "Marketing"}
	out, c, err := o.call(alice, "Encrypt", &awskms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("the plaintext"), EncryptionContext: context})
	if err != nil {
		t.Fatal(err)
	}
	blob := out.(*awskms.EncryptOutput).CiphertextBlob
	if got, want := string(c.AdditionalEventData()), `{"customKeyStoreId":"`+store+`","xksKeyId":"hsm-key-1"}`; got != want {
		t.Errorf("the record has %s, want %s", got, want)
	}
	asked := o.proxy.Requests(xks.OpEncrypt)[0]
	want := xks.Caller{PrincipalARN: "arn:aws:iam::111122223333:root", KeyARN: *key.Arn, Operation: "Encrypt", RequestID: c.RequestID}
	if asked.Caller != want || asked.KeyID != "hsm-key-1" || string(asked.Additional) != "Department=Marketing,Project=Nile" {
		t.Errorf("the proxy was asked %+v", asked)
	}
	if bytes.Contains(asked.Plaintext, []byte("the plaintext")) {
		t.Error("the proxy sees the plaintext")
	}
	plain := must[awskms.DecryptOutput](t, o.house, alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context})
	if string(plain.Plaintext) != "the plaintext" || *plain.KeyId != *key.Arn || plain.KeyMaterialId != nil {
		t.Errorf("%s", asJSON(t, plain))
	}

	// The longest plaintext makes a ciphertext that the API takes.
	long := strings.Repeat("x", 4096)
	if blob := o.encrypt(t, alice, *key.KeyId, long, nil); len(blob) > 6144 {
		t.Errorf("%d bytes", len(blob))
	}

	data := must[awskms.GenerateDataKeyOutput](t, o.house, alice, "GenerateDataKey", &awskms.GenerateDataKeyInput{KeyId: key.KeyId, KeySpec: "AES_256"})
	without := must[awskms.GenerateDataKeyWithoutPlaintextOutput](t, o.house, alice, "GenerateDataKeyWithoutPlaintext",
		&awskms.GenerateDataKeyWithoutPlaintextInput{KeyId: key.KeyId, KeySpec: "AES_256"})
	got := must[awskms.DecryptOutput](t, o.house, alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: data.CiphertextBlob})
	if !bytes.Equal(got.Plaintext, data.Plaintext) || data.KeyMaterialId != nil || without.KeyMaterialId != nil {
		t.Errorf("the data key comes back as %x", got.Plaintext)
	}
	if asked := o.proxy.Requests(xks.OpEncrypt); asked[2].Caller.Operation != "GenerateDataKey" || asked[2].Additional != nil {
		t.Errorf("the proxy was asked %+v", asked[2])
	}

	// From one key store's key to another of it, to an ordinary key, and back.
	o.proxy.Add("hsm-key-2")
	second := o.create(t, alice, external(store, "hsm-key-2"))
	ordinary := o.symmetric(t, alice)
	for _, to := range []*types.KeyMetadata{second, ordinary, key} {
		out, c, err := o.call(alice, "ReEncrypt", &awskms.ReEncryptInput{CiphertextBlob: blob, SourceEncryptionContext: context, DestinationKeyId: to.KeyId, DestinationEncryptionContext: context})
		if err != nil {
			t.Fatal(err)
		}
		blob = out.(*awskms.ReEncryptOutput).CiphertextBlob
		if notes := string(c.AdditionalEventData()); to == second && notes != fmt.Sprintf(
			`{"sourceCustomKeyStoreId":%q,"sourceXksKeyId":"hsm-key-1","destinationCustomKeyStoreId":%q,"destinationXksKeyId":"hsm-key-2"}`, store, store) {
			t.Errorf("the record has %s", notes)
		}
	}
	o.restart(t)
	plain = must[awskms.DecryptOutput](t, o.house, alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context})
	if string(plain.Plaintext) != "the plaintext" {
		t.Errorf("after a restart: %q", plain.Plaintext)
	}
}

func TestCreateKeyInAKeyStoreRefuses(t *testing.T) {
	o := openOutside(t)
	store, _ := o.bound(t)
	o.proxy.Add("short").Spec = "AES_128"
	o.proxy.Add("off").Status = "DISABLED"
	o.proxy.Add("signing").Usage = []string{"SIGN", "ENCRYPT"}
	o.proxy.Add("good")
	config := "XksKeyInvalidConfigurationException: "
	for _, test := range []struct {
		key  string
		want string
	}{
		{"short", config + "The key spec of the external key must be AES_256. The key spec of specified external key is AES_128."},
		{"off", config + "The status of the external key must be ENABLED. The status of specified external key is DISABLED."},
		{"signing", config + "The key usage of the external key must include ENCRYPT and DECRYPT. The key use of specified external key is SIGN, ENCRYPT."},
		{"missing", "XksKeyNotFoundException: The external key store proxy rejected the request because it could not find the external key."},
		{"hsm-key-1", "XksKeyAlreadyInUseException: The external key hsm-key-1 is already associated with a KMS key in the custom key store " + store + "."},
	} {
		in := external(store, test.key)
		says(t, test.key, o.try(alice, "CreateKey", &in), test.want)
	}
	for _, test := range []struct {
		change func(*awskms.CreateKeyInput)
		want   string
	}{
		{func(in *awskms.CreateKeyInput) { in.XksKeyId = nil }, "ValidationException: XksKeyId is required when Origin is EXTERNAL_KEY_STORE."},
		{func(in *awskms.CreateKeyInput) { in.CustomKeyStoreId = nil }, "ValidationException: CustomKeyStoreId is required when Origin is EXTERNAL_KEY_STORE."},
		{func(in *awskms.CreateKeyInput) { in.Origin = "AWS_KMS" }, "ValidationException: CustomKeyStoreId is not valid when Origin is AWS_KMS."},
		{func(in *awskms.CreateKeyInput) { in.MultiRegion = new(true) }, "UnsupportedOperationException: Multi-Region keys are not supported in a custom key store."},
		{func(in *awskms.CreateKeyInput) { in.KeySpec, in.KeyUsage = "RSA_2048", "SIGN_VERIFY" }, "UnsupportedOperationException: KeySpec RSA_2048 is not supported in a custom key store."},
		{func(in *awskms.CreateKeyInput) { in.CustomKeyStoreId = new("cks-0") }, "CustomKeyStoreNotFoundException: The custom key store cks-0 does not exist."},
		{func(in *awskms.CreateKeyInput) { in.Origin, in.XksKeyId = "AWS_CLOUDHSM", nil },
			"UnsupportedOperationException: Origin AWS_CLOUDHSM is not valid for the custom key store " + store + ", whose type is EXTERNAL_KEY_STORE."},
	} {
		in := external(store, "good")
		test.change(&in)
		says(t, test.want, o.try(alice, "CreateKey", &in), test.want)
	}
	in := external(store, "good")
	refused(t, "another account's", o.try(bob, "CreateKey", &in), "CustomKeyStoreNotFoundException", "The custom key store "+store+" does not exist.")
	o.disconnect(t, store)
	in = external(store, "good")
	refused(t, "disconnected", o.try(alice, "CreateKey", &in), "CustomKeyStoreInvalidStateException",
		"The connection state of the custom key store "+store+" is DISCONNECTED. This operation requires the connection state CONNECTED.")
	if n := o.count(t, "kms_key"); n != 1 {
		t.Errorf("%d keys, of which all but one were refused", n)
	}
}

// While its key store is not connected, a key can be looked after but not used, and it comes back as what it is.
func TestKeysAreUnavailableWhileTheirStoreIsNotConnected(t *testing.T) {
	o := openOutside(t)
	store, key := o.bound(t)
	blob := o.encrypt(t, alice, *key.KeyId, "x", nil)
	o.disconnect(t, store)
	if got := o.describe(t, alice, *key.KeyId); got.KeyState != "Unavailable" || got.Enabled {
		t.Errorf("%s", asJSON(t, got))
	}
	for op, in := range map[string]any{
		"Encrypt":         &awskms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("x")},
		"Decrypt":         &awskms.DecryptInput{CiphertextBlob: blob},
		"GenerateDataKey": &awskms.GenerateDataKeyInput{KeyId: key.KeyId, KeySpec: "AES_256"},
		"ReEncrypt":       &awskms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: key.KeyId},
	} {
		expect(t, op, o.try(alice, op, in), "KMSInvalidStateException: KEY is unavailable.", *key.Arn)
	}
	expect(t, "cancel", o.try(alice, "CancelKeyDeletion", &awskms.CancelKeyDeletionInput{KeyId: key.KeyId}), "KMSInvalidStateException: KEY is not pending deletion.", *key.Arn)
	o.do(t, alice, "CreateGrant", &awskms.CreateGrantInput{KeyId: key.KeyId, GranteePrincipal: new("arn:aws:iam::111122223333:root"),
		Operations: []types.GrantOperation{"Decrypt"}})
	o.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: key.KeyId})
	o.alias(t, alice, "alias/away", *key.KeyId)
	says(t, "rotate", o.try(alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: key.KeyId}), "UnsupportedOperationException")
	if got := o.describe(t, alice, *key.KeyId).KeyState; got != "Unavailable" {
		t.Errorf("disabled while disconnected: %s", got)
	}
	o.connect(t, store, "CONNECTED")
	if got := o.describe(t, alice, *key.KeyId).KeyState; got != "Disabled" {
		t.Errorf("connected again: %s", got)
	}
	o.do(t, alice, "EnableKey", &awskms.EnableKeyInput{KeyId: key.KeyId})
	must[awskms.DecryptOutput](t, o.house, alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob})
	o.do(t, alice, "ScheduleKeyDeletion", &awskms.ScheduleKeyDeletionInput{KeyId: key.KeyId})
	o.disconnect(t, store)
	if got := o.describe(t, alice, *key.KeyId).KeyState; got != "PendingDeletion" {
		t.Errorf("its deletion is scheduled, and it is %s", got)
	}
}

func TestKeysInKeyStoresDoNotDoEverything(t *testing.T) {
	o := openOutside(t)
	_, key := o.bound(t)
	notIn := "UnsupportedOperationException: " + *key.Arn + " is in a custom key store, which is not valid for "
	origin := "UnsupportedOperationException: " + *key.Arn + " origin is EXTERNAL_KEY_STORE which is not valid for this operation."
	for op, test := range map[string]struct {
		in   any
		want string
	}{
		"GenerateDataKeyPair":                 {&awskms.GenerateDataKeyPairInput{KeyId: key.KeyId, KeyPairSpec: "ECC_NIST_P256"}, notIn + "GenerateDataKeyPair."},
		"GenerateDataKeyPairWithoutPlaintext": {&awskms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: key.KeyId, KeyPairSpec: "ECC_NIST_P256"}, notIn + "GenerateDataKeyPairWithoutPlaintext."},
		"EnableKeyRotation":                   {&awskms.EnableKeyRotationInput{KeyId: key.KeyId}, "UnsupportedOperationException"},
		"RotateKeyOnDemand":                   {&awskms.RotateKeyOnDemandInput{KeyId: key.KeyId}, "UnsupportedOperationException"},
		"GetParametersForImport": {&awskms.GetParametersForImportInput{KeyId: key.KeyId, WrappingAlgorithm: "RSAES_OAEP_SHA_256",
			WrappingKeySpec: "RSA_2048"}, origin},
	} {
		says(t, op, o.try(alice, op, test.in), test.want)
	}
}

// Whatever the proxy does wrong, the answer says what to do about it in AWS's words, and no plaintext comes of it.
func TestTheProxyFailsWhileAKeyIsUsed(t *testing.T) {
	o := openOutside(t)
	_, key := o.bound(t)
	blob := o.encrypt(t, alice, *key.KeyId, "x", map[string]string{"a": "b"})
	answer := func(status int, body string) func(*xkstest.Answer) {
		return func(a *xkstest.Answer) { a.Status, a.Body = status, []byte(body) }
	}
	named := func(status int, name string) func(*xkstest.Answer) {
		return answer(status, fmt.Sprintf(`{"errorName":%q,"errorMessage":"secret of the proxy"}`, name))
	}
	decrypt := func() error {
		return o.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"a": "b"}})
	}
	for _, test := range []struct {
		spoil func(*xkstest.Answer)
		want  string
	}{
		{named(400, "InvalidStateException"), "The external key store proxy rejected the request because the external key is not enabled in the external key manager."},
		{named(400, "InvalidKeyUsageException"), "The external key store proxy rejected the request because the external key does not support the requested operation."},
		{named(403, "AccessDeniedException"), "The external key store proxy denied access to the operation. Verify that the user and the external key are both authorized for this operation, and try the request again."},
		{named(404, "KeyNotFoundException"), "The external key store proxy rejected the request because it could not find the external key."},
		{named(503, "DependencyTimeoutException"), "The external key store proxy did not respond to the request in the time allotted. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator."},
		{named(501, "UnsupportedOperationException"), "The external key store proxy rejected the request because it does not support the requested cryptographic operation."},
		{answer(500, "<html>"), "AWS KMS cannot interpret the response from the external key store proxy. If you see this error repeatedly, consult your external key store proxy administrator."},
		{answer(200, "{}"), "AWS KMS cannot interpret the response from the external key store proxy. If you see this error repeatedly, consult your external key store proxy administrator."},
		{answer(200, `{"plaintext":"`+base64.StdEncoding.EncodeToString(make([]byte, 45))+`"}`),
			"The ciphertext that the external key store proxy submitted for decryption, or the encryption context, is corrupted, missing, or otherwise invalid."},
	} {
		o.proxy.Spoil(test.spoil)
		says(t, test.want, decrypt(), "KMSInvalidStateException: "+test.want)
	}
	o.proxy.Spoil(nil)
	invalid := "KMSInvalidStateException: The external key store proxy rejected the request because the specified ciphertext or additional authenticated data is corrupted, missing, or otherwise invalid."
	says(t, "another context", o.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob}), invalid)
	blob[len(blob)-1] ^= 1
	says(t, "a flipped bit", decrypt(), invalid)
	blob[len(blob)-1] ^= 1
	cut := blob[:90]
	says(t, "a short one", o.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: cut}), "InvalidCiphertextException")
	says(t, "in the end", decrypt(), "")
	o.proxy.Close()
	says(t, "no proxy", decrypt(), "KMSInvalidStateException: AWS KMS cannot communicate with the external key store proxy. This might be a transient network issue. "+
		"If you see this error repeatedly, verify that your external key store proxy is active and is connected to the network, and that its endpoint URI is correct in your external key store.")
}

// A slow proxy is not waited for longer than the time limit.
func TestASlowProxy(t *testing.T) {
	o := openOutside(t)
	_, key := o.bound(t)
	o.house.close()
	o.house = openIn(t, o.place, clock.NewMovable(0), o.configure, func(config *kms.Config) { config.Proxies.Timeout = xks.DefaultTimeout })
	never := make(chan struct{})
	defer close(never)
	o.proxy.Spoil(func(a *xkstest.Answer) { a.Wait = never })
	says(t, "slow", o.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("x")}), "KMSInvalidStateException: "+
		"AWS KMS rejected the request because the external key store proxy did not respond in time. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator.")
}
