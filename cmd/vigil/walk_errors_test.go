package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil/internal/kms/xks"
	"vigil/internal/kms/xks/xkstest"
)

// spoilt says what of a call makes it fail with an error: another key, or a further member.
var spoilt = map[string]struct{ key, more string }{
	"NotFoundException":             {"${absent}", ``},
	"InvalidArnException":           {"alias/there", ``},
	"DisabledException":             {"${KIND-disabled}", ``},
	"KMSInvalidStateException":      {"${KIND-pending}", ``},
	"InvalidKeyUsageException":      {"${OTHER}", ``},
	"InvalidGrantTokenException":    {"${KIND}", `"GrantTokens":["x"]`},
	"DryRunOperationException":      {"${KIND}", `"DryRun":true`},
	"InvalidMarkerException":        {"${KIND}", `"Marker":"x"`},
	"UnsupportedOperationException": {"${OTHER}", ``},
}

// kinds are the keys that the failing calls need disabled and pending deletion.
var kinds = map[string]string{
	"sym": `{}`, "ext": `{"Origin":"EXTERNAL"}`, "mrk": `{"MultiRegion":true}`, "mac": `{"KeySpec":"HMAC_256","KeyUsage":"GENERATE_VERIFY_MAC"}`,
	"ecc": `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY"}`, "ecdh": `{"KeySpec":"ECC_NIST_P256","KeyUsage":"KEY_AGREEMENT"}`,
	"kem": `{"KeySpec":"ML_KEM_512","KeyUsage":"ENCAPSULATE_DECAPSULATE"}`,
}

// documentedErrors has each operation on a key fail in each way that its model documents and spoilt knows, and all in further ways.
func (w *walk) documentedErrors() []step {
	documentedFor := documentedCodes(w.T)
	var steps []step
	for kind, in := range kinds {
		for _, state := range []string{"disabled", "pending"} {
			steps = append(steps, step{op: "CreateKey", in: in, save: saved{kind + "-" + state: "KeyMetadata.KeyId"}})
		}
		if kind != "ext" { // whose keys have no material, and so cannot be disabled
			steps = append(steps, step{op: "DisableKey", in: `{"KeyId":"${` + kind + `-disabled}"}`})
		}
		steps = append(steps, step{op: "ScheduleKeyDeletion", in: `{"KeyId":"${` + kind + `-pending}","PendingWindowInDays":7}`})
	}
	steps = append(steps, step{op: "CreateAlias", in: `{"AliasName":"alias/there","TargetKeyId":"${sym}"}`},
		step{op: "CreateGrant", in: `{"KeyId":"${sym}","GranteePrincipal":"arn:aws:iam::${account}:root","Operations":["Encrypt"]}`, save: saved{"revocable": "GrantId"}})
	for _, o := range onKeys {
		for _, documented := range documentedFor[o.op] {
			how, ok := spoilt[documented]
			if !ok || slices.Contains(notThisWay[o.op], documented) {
				continue
			}
			other := "ecc"
			if o.kind == "ecc" || o.op == "UpdatePrimaryRegion" || o.op == "ReplicateKey" {
				other = "sym"
			}
			if o.op == "CancelKeyDeletion" && documented == "KMSInvalidStateException" {
				how.key = "${KIND}"
			}
			key := strings.NewReplacer("KIND", o.kind, "OTHER", other).Replace(how.key)
			members := []string{`"` + o.member + `":"` + key + `"`}
			for _, more := range []string{o.more, how.more} {
				if more != "" {
					members = append(members, more)
				}
			}
			steps = append(steps, step{op: o.op, in: "{" + strings.Join(members, ",") + "}", want: documented})
		}
	}
	return slices.Concat(steps, failures, keyStoreFailures(), limits(), endings)
}

// documentedCodes are the errors of each operation in AWS's model.
func documentedCodes(t *testing.T) map[string][]string {
	var model struct {
		Operations map[string]struct{ Errors []struct{ Shape string } }
	}
	text, err := os.ReadFile("../../internal/front/wire/models/kms.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &model); err != nil {
		t.Fatal(err)
	}
	codes := map[string][]string{}
	for name, operation := range model.Operations {
		for _, e := range operation.Errors {
			codes[name] = append(codes[name], e.Shape)
		}
	}
	// AWS's model of these two is newer than the one that is here. They are taken to fail as the other cryptographic operations do.
	codes["Encapsulate"] = codes["GenerateMac"]
	codes["Decapsulate"] = append(slices.Clone(codes["GenerateMac"]), "InvalidCiphertextException")
	return codes
}

// notThisWay are the errors that an operation does not answer when the usual thing is wrong; failures show some of them.
var notThisWay = map[string][]string{
	"DeleteImportedKeyMaterial":           {"KMSInvalidStateException"}, // a key pending deletion may lose its material
	"GenerateDataKeyPair":                 {"UnsupportedOperationException"},
	"GenerateDataKeyPairWithoutPlaintext": {"UnsupportedOperationException"},
	"GetKeyPolicy":                        {"KMSInvalidStateException"}, // what only reads works in every state
	"GetKeyRotationStatus":                {"KMSInvalidStateException"},
	"DescribeKey":                         {"InvalidArnException"},                             // an alias will do for these two, and what is no ARN is not found
	"GetPublicKey":                        {"InvalidArnException", "InvalidKeyUsageException"}, // and every asymmetric key has a public key
	"ListGrants":                          {"KMSInvalidStateException"},
	"ListKeyPolicies":                     {"KMSInvalidStateException"},
	"ListKeyRotations":                    {"KMSInvalidStateException"},
	"PutKeyPolicy":                        {"KMSInvalidStateException", "UnsupportedOperationException"}, // a policy can be put in every state
	"RevokeGrant":                         {"KMSInvalidStateException"},
	"UpdatePrimaryRegion":                 {"DisabledException", "KMSInvalidStateException"}, // these take a replica, and failures have them
}

// failures are the errors that only some operations have.
var failures = []step{
	{op: "CreateAlias", in: `{"AliasName":"alias/there","TargetKeyId":"${sym}"}`, want: "AlreadyExistsException"},
	{op: "CreateAlias", in: `{"AliasName":"alias/aws/x","TargetKeyId":"${sym}"}`, want: "NotAuthorizedException"},
	{op: "DeleteAlias", in: `{"AliasName":"alias/absent"}`, want: "NotFoundException"},
	{op: "CreateKey", in: `{"Policy":"{}"}`, want: "MalformedPolicyDocumentException"},
	{op: "CreateKey", in: `{"Tags":[{"TagKey":"aws:x","TagValue":""}]}`, want: "TagException"},
	{op: "CreateKey", in: `{"Origin":"EXTERNAL","KeySpec":"ML_DSA_44","KeyUsage":"SIGN_VERIFY"}`, want: "UnsupportedOperationException"},
	{op: "CreateKey", in: `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"cks-1234567890abcdef0","XksKeyId":"x"}`, want: "CustomKeyStoreNotFoundException"},
	{op: "CreateKey", in: `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"${store}","XksKeyId":"absent"}`, want: "XksKeyNotFoundException"},
	{op: "CreateKey", in: `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"${store}","XksKeyId":"hsm-key-1"}`, want: "XksKeyAlreadyInUseException"},
	{op: "PutKeyPolicy", in: `{"KeyId":"${sym}","Policy":"{}"}`, want: "MalformedPolicyDocumentException"},
	{op: "Decrypt", in: `{"CiphertextBlob":"${blobWithContext}"}`, want: "InvalidCiphertextException"},
	{op: "Decrypt", in: `{"CiphertextBlob":"${blob}","KeyId":"${sym2}"}`, want: "IncorrectKeyException"},
	{op: "Decrypt", in: `{"CiphertextBlob":"${blob}","GrantTokens":["x"]}`, want: "InvalidGrantTokenException"},
	{op: "Decrypt", in: `{"CiphertextBlob":"${blob}","DryRun":true}`, want: "DryRunOperationException"},
	{op: "ReEncrypt", in: `{"CiphertextBlob":"${blobWithContext}","DestinationKeyId":"${sym2}"}`, want: "InvalidCiphertextException"},
	{op: "ReEncrypt", in: `{"CiphertextBlob":"${blob}","SourceKeyId":"${sym2}","DestinationKeyId":"${sym2}"}`, want: "IncorrectKeyException"},
	{op: "GenerateRandom", in: `{"NumberOfBytes":32,"CustomKeyStoreId":"cks-1234567890abcdef0"}`, want: "CustomKeyStoreNotFoundException"},
	{op: "GenerateRandom", in: `{"NumberOfBytes":32,"CustomKeyStoreId":"${store}"}`, want: "UnsupportedOperationException"},
	{op: "Verify", in: `{"KeyId":"${ecc}","Message":"eA==","SigningAlgorithm":"ECDSA_SHA_256","Signature":"${signature}"}`, want: "KMSInvalidSignatureException"},
	{op: "VerifyMac", in: `{"KeyId":"${mac}","MacAlgorithm":"HMAC_SHA_256","Message":"eA==","Mac":"${tag}"}`, want: "KMSInvalidMacException"},
	{op: "Decapsulate", in: `{"KeyId":"${kem}","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"eA=="}`, want: "InvalidCiphertextException"},
	{op: "RetireGrant", in: `{"GrantToken":"x"}`, want: "InvalidGrantTokenException"},
	{op: "RetireGrant", in: `{"KeyId":"${symArn}","GrantId":"${absent}"}`, want: "InvalidGrantIdException"},
	{op: "RetireGrant", in: `{"KeyId":"${symArn}","GrantId":"${absentGrant}"}`, want: "NotFoundException"},
	{op: "RetireGrant", in: `{"KeyId":"arn:aws:kms:${region}:${account}:alias/there","GrantId":"${absentGrant}"}`, want: "InvalidArnException"},
	{op: "ListGrants", in: `{"KeyId":"${sym}","GrantId":"x"}`, want: "InvalidGrantIdException"},
	{op: "ListRetirableGrants", in: `{"RetiringPrincipal":"arn:aws:s3:::bucket"}`, want: "InvalidArnException"},
	{op: "CreateAlias", in: `{"AliasName":"alias/","TargetKeyId":"${sym}"}`, want: "InvalidAliasNameException"},
	{op: "UntagResource", in: `{"KeyId":"${sym}","TagKeys":["aws:x"]}`, want: "TagException"},
	{op: "CreateKey", in: `{"MultiRegion":true}`, save: saved{"mrk2": "KeyMetadata.KeyId"}},
	{op: "ReplicateKey", in: `{"KeyId":"${mrk2}","ReplicaRegion":"${replicaRegion}"}`},
	{op: "ScheduleKeyDeletion", in: `{"KeyId":"${mrk2}","PendingWindowInDays":7}`, region: replicaRegion},
	{op: "UpdatePrimaryRegion", in: `{"KeyId":"${mrk2}","PrimaryRegion":"${replicaRegion}"}`, want: "KMSInvalidStateException"},
	{op: "ListKeys", in: `{"Marker":"x"}`, want: "InvalidMarkerException"},
	{op: "ListRetirableGrants", in: `{"RetiringPrincipal":"arn:aws:iam::${account}:root","Marker":"x"}`, want: "InvalidMarkerException"},
	{op: "ImportKeyMaterial", in: `{"KeyId":"${ext}","EncryptedKeyMaterial":"${otherWrapped}","ImportToken":"${token}","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}`, want: "IncorrectKeyMaterialException"},
	{op: "ImportKeyMaterial", in: `{"KeyId":"${ext}","EncryptedKeyMaterial":"eA==","ImportToken":"${token}","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}`, want: "InvalidCiphertextException"},
	{op: "ImportKeyMaterial", in: `{"KeyId":"${ext}","EncryptedKeyMaterial":"${wrapped}","ImportToken":"eA==","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}`, want: "InvalidImportTokenException"},
	{op: "TagResource", in: `{"KeyId":"${sym}","Tags":[{"TagKey":"aws:x","TagValue":""}]}`, want: "TagException"},
	{op: "PutKeyPolicy", in: `{"KeyId":"${sym}","Policy":"{` + strings.Repeat(" ", 33<<10) + `}"}`, want: "LimitExceededException"},
	{op: "Decrypt", in: `{"CiphertextBlob":"${blob}","KeyId":"${ecc}","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`, want: "InvalidKeyUsageException"},
	{op: "Decrypt", in: `{"CiphertextBlob":"${blob}","KeyId":"${absent}","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`, want: "NotFoundException"},
	{op: "GenerateDataKeyPair", in: `{"KeyId":"${xks}","KeyPairSpec":"ECC_NIST_P256"}`, want: "UnsupportedOperationException"},
	{op: "GenerateDataKeyPairWithoutPlaintext", in: `{"KeyId":"${xks}","KeyPairSpec":"ECC_NIST_P256"}`, want: "UnsupportedOperationException"},
	{op: "ReplicateKey", in: `{"KeyId":"${mrk}","ReplicaRegion":"${region}"}`, region: replicaRegion, want: "AlreadyExistsException"},
	{op: "ReplicateKey", in: `{"KeyId":"${mrk}","ReplicaRegion":"eu-north-1","Policy":"{}"}`, region: replicaRegion, want: "MalformedPolicyDocumentException"},
	{op: "ReplicateKey", in: `{"KeyId":"${mrk}","ReplicaRegion":"eu-north-1","Tags":[{"TagKey":"aws:x","TagValue":""}]}`, region: replicaRegion, want: "TagException"},
	{op: "CreateGrant", in: `{"KeyId":"${sym2}","GranteePrincipal":"arn:aws:iam::${account}:root","Operations":["Encrypt"]}`, save: saved{"dryGrant": "GrantId", "dryToken": "GrantToken"}},
	{op: "RetireGrant", in: `{"GrantToken":"${dryToken}","DryRun":true}`, want: "DryRunOperationException"},
	{op: "RevokeGrant", in: `{"KeyId":"${sym2}","GrantId":"${absent}"}`, want: "InvalidGrantIdException"},
	{op: "RotateKeyOnDemand", in: `{"KeyId":"${sym}"}`, times: 24},
	{op: "RotateKeyOnDemand", in: `{"KeyId":"${sym}"}`, want: "LimitExceededException"},
	{op: "DisableKey", in: `{"KeyId":"${mrk}"}`, region: replicaRegion},
	{op: "UpdatePrimaryRegion", in: `{"KeyId":"${mrk}","PrimaryRegion":"${region}"}`, region: replicaRegion, want: "DisabledException"},
}

// keyStoreFailures are the errors of key stores, of which one is connected, with a key.
func keyStoreFailures() []step {
	update := func(store, what, want string) step {
		return step{op: "UpdateCustomKeyStore", in: `{"CustomKeyStoreId":"${` + store + `}",` + what + `}`, want: want}
	}
	at := func(store, state string) step {
		return step{op: "DescribeCustomKeyStores", in: `{"CustomKeyStoreId":"${` + store + `}"}`, until: state}
	}
	const noSuchStore, wrongSecret = `{"CustomKeyStoreId":"cks-1234567890abcdef0"}`,
		`"XksProxyAuthenticationCredential":{"AccessKeyId":"${accessKey}","RawSecretAccessKey":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`
	const service = `"VPC_ENDPOINT_SERVICE","XksProxyVpcEndpointServiceName":"com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"`
	garbled := spoil(func(a *xkstest.Answer) { a.Body = []byte("<html>") })
	unhealthy := func(w *walk) { w.proxy.Managers(xks.Manager{ID: "hsm-1", Model: "Luna 5.0", Status: xks.Unavailable}) }
	return []step{
		{op: "CreateCustomKeyStore", in: externalStore("renamed", ""), want: "CustomKeyStoreNameInUseException"},
		{op: "CreateCustomKeyStore", in: externalStore("three", ""), want: "XksProxyUriInUseException"},
		{op: "CreateCustomKeyStore", in: `{"CustomKeyStoreName":"hsm","CloudHsmClusterId":"cluster-2a23b4cdefgh","KeyStorePassword":"password","TrustAnchorCertificate":"x"}`, want: "CloudHsmClusterNotFoundException"},
		{op: "CreateCustomKeyStore", in: elsewhere("three", "${secret}", strings.Repeat("A", 43)), want: "XksProxyIncorrectAuthenticationCredentialException"},
		{op: "CreateCustomKeyStore", in: elsewhere("three", `"PUBLIC_ENDPOINT"`, service), want: "XksProxyVpcEndpointServiceNotFoundException"},
		{op: "CreateCustomKeyStore", in: elsewhere("three", "${path}", "/other/kms/xks/v1"), want: "XksProxyInvalidConfigurationException"},
		{op: "CreateCustomKeyStore", in: strings.Replace(externalStore("three", ""), "${endpoint}", "https://nobody.example.com", 1), want: "XksProxyUriUnreachableException"},
		{do: garbled},
		{op: "CreateCustomKeyStore", in: elsewhere("three", "", ""), want: "XksProxyInvalidResponseException"},
		{do: spoil(nil)},
		{op: "CreateCustomKeyStore", in: elsewhere("three", "", ""), save: saved{"store3": "CustomKeyStoreId"}},

		{op: "DescribeCustomKeyStores", in: noSuchStore, want: "CustomKeyStoreNotFoundException"},
		{op: "DescribeCustomKeyStores", in: `{"Marker":"x"}`, want: "InvalidMarkerException"},
		{op: "ConnectCustomKeyStore", in: noSuchStore, want: "CustomKeyStoreNotFoundException"},
		{op: "DisconnectCustomKeyStore", in: noSuchStore, want: "CustomKeyStoreNotFoundException"},
		{op: "UpdateCustomKeyStore", in: `{"CustomKeyStoreId":"cks-1234567890abcdef0","NewCustomKeyStoreName":"x"}`, want: "CustomKeyStoreNotFoundException"},
		{op: "DeleteCustomKeyStore", in: noSuchStore, want: "CustomKeyStoreNotFoundException"},

		update("store", `"XksProxyUriEndpoint":"https://other.example.com"`, "CustomKeyStoreInvalidStateException"),
		update("store", `"XksProxyUriPath":"/other/kms/xks/v1"`, "XksProxyInvalidConfigurationException"),
		update("store", wrongSecret, "XksProxyIncorrectAuthenticationCredentialException"),
		update("store3", `"NewCustomKeyStoreName":"renamed"`, "CustomKeyStoreNameInUseException"),
		update("store3", `"XksProxyUriEndpoint":"${endpoint}"`, "XksProxyUriInUseException"),
		update("store3", `"XksProxyConnectivity":`+service, "XksProxyVpcEndpointServiceNotFoundException"),
		update("store3", `"XksProxyUriEndpoint":"https://nobody.example.com"`, "XksProxyUriUnreachableException"),
		{do: garbled},
		update("store3", `"XksProxyUriEndpoint":"https://other.example.com"`, "XksProxyInvalidResponseException"),
		{do: spoil(nil)},
		{op: "DeleteCustomKeyStore", in: `{"CustomKeyStoreId":"${store}"}`, want: "CustomKeyStoreInvalidStateException"},

		{do: func(w *walk) { w.proxy.Add("hsm-key-off").Status = "DISABLED" }},
		{op: "CreateKey", in: `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"${store}","XksKeyId":"hsm-key-off"}`, want: "XksKeyInvalidConfigurationException"},
		{do: unhealthy},
		{op: "ConnectCustomKeyStore", in: `{"CustomKeyStoreId":"${store3}"}`},
		at("store3", "FAILED"),
		{op: "ConnectCustomKeyStore", in: `{"CustomKeyStoreId":"${store3}"}`, want: "CustomKeyStoreInvalidStateException"},
		{op: "DisconnectCustomKeyStore", in: `{"CustomKeyStoreId":"${store}"}`},
		at("store", "DISCONNECTED"),
		{op: "Encrypt", in: `{"KeyId":"${xks}","Plaintext":"YXR0YWNr"}`, want: "KMSInvalidStateException"},
		{op: "DeleteCustomKeyStore", in: `{"CustomKeyStoreId":"${store}"}`, want: "CustomKeyStoreHasCMKsException"},
		{op: "DisconnectCustomKeyStore", in: `{"CustomKeyStoreId":"${store}"}`, want: "CustomKeyStoreInvalidStateException"},
		{op: "CreateKey", in: `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"${store}","XksKeyId":"hsm-key-2"}`, want: "CustomKeyStoreInvalidStateException"},
		{do: func(w *walk) { w.proxy.Managers(xks.Manager{ID: "hsm-1", Model: "Luna 5.0", Status: xks.Active}) }},
	}
}

// limits fill what has a limit, and go over it.
func limits() []step {
	var tags []string
	for i := range 50 {
		tags = append(tags, fmt.Sprintf(`{"TagKey":"%d","TagValue":""}`, i))
	}
	steps := []step{{op: "CreateKey", in: `{"Tags":[` + strings.Join(tags, ",") + `]}`, save: saved{"full": "KeyMetadata.KeyId"}}}
	for i := range 50 {
		steps = append(steps, step{op: "CreateAlias", in: fmt.Sprintf(`{"AliasName":"alias/full/%d","TargetKeyId":"${full}"}`, i)})
	}
	for i := range 8 { // beside the two that there are
		steps = append(steps, step{op: "CreateCustomKeyStore", in: elsewhere(fmt.Sprint("full", i), "", "")})
	}
	return append(steps,
		step{op: "TagResource", in: `{"KeyId":"${full}","Tags":[{"TagKey":"one more","TagValue":""}]}`, want: "LimitExceededException"},
		step{op: "CreateAlias", in: `{"AliasName":"alias/full/more","TargetKeyId":"${full}"}`, want: "LimitExceededException"},
		step{op: "UpdateAlias", in: `{"AliasName":"alias/there","TargetKeyId":"${full}"}`, want: "LimitExceededException"},
		step{op: "CreateCustomKeyStore", in: elsewhere("more", "", ""), want: "LimitExceededException"},
		step{op: "CreateKey", in: `{}`, region: crowdedRegion, save: saved{"crowded": "KeyMetadata.KeyId"}},
		step{do: crowd},
		step{op: "CreateKey", in: `{}`, region: crowdedRegion, want: "LimitExceededException"},
		step{op: "ReplicateKey", in: `{"KeyId":"${mrk2}","ReplicaRegion":"` + crowdedRegion + `"}`, want: "LimitExceededException"},
		step{op: "CreateGrant", in: `{"KeyId":"${crowded}","GranteePrincipal":"arn:aws:iam::${account}:root","Operations":["Encrypt"]}`, region: crowdedRegion, want: "LimitExceededException"},
	)
}

// endings are the errors that leave little of the keys and the tokens.
var endings = []step{
	{op: "DisableKey", in: `{"KeyId":"${sym}"}`},
	{op: "Decrypt", in: `{"CiphertextBlob":"${blob}"}`, want: "DisabledException"},
	{op: "ScheduleKeyDeletion", in: `{"KeyId":"${sym}","PendingWindowInDays":7}`},
	{op: "Decrypt", in: `{"CiphertextBlob":"${blob}"}`, want: "KMSInvalidStateException"},
	{do: advance(25 * time.Hour)},
	{op: "ImportKeyMaterial", in: `{"KeyId":"${ext}","EncryptedKeyMaterial":"${wrapped}","ImportToken":"${token}","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}`, want: "ExpiredImportTokenException"},
}
