package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// A step is a call and its answer. Its input is JSON with blobs in base64, in which ${name} is what a step before has saved.
type step struct {
	op, in  string
	want    string            // the code of the error that is answered, or nothing for a success
	save    map[string]string // names of members of the answer
	replica bool              // the call is made in the other region
	times   int               // how often, if more than once
	until   string            // the call is made again until the answer has this state of connection
}

type saved = map[string]string

// successes are one way through all operations, in the life of a few keys.
var successes = []step{
	{op: "CreateKey", in: `{"Description":"first","Tags":[{"TagKey":"a","TagValue":"b"}]}`, save: saved{"sym": "KeyMetadata.KeyId", "symArn": "KeyMetadata.Arn"}},
	{op: "CreateKey", in: `{}`, save: saved{"sym2": "KeyMetadata.KeyId"}},
	{op: "CreateKey", in: `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY"}`, save: saved{"ecc": "KeyMetadata.KeyId"}},
	{op: "CreateKey", in: `{"KeySpec":"ECC_NIST_P256","KeyUsage":"KEY_AGREEMENT"}`, save: saved{"ecdh": "KeyMetadata.KeyId"}},
	{op: "CreateKey", in: `{"KeySpec":"HMAC_256","KeyUsage":"GENERATE_VERIFY_MAC"}`, save: saved{"mac": "KeyMetadata.KeyId"}},
	{op: "CreateKey", in: `{"Origin":"EXTERNAL"}`, save: saved{"ext": "KeyMetadata.KeyId"}},
	{op: "CreateKey", in: `{"MultiRegion":true}`, save: saved{"mrk": "KeyMetadata.KeyId"}},
	{op: "DescribeKey", in: `{"KeyId":"${sym}"}`},
	{op: "ListKeys", in: `{}`},
	{op: "UpdateKeyDescription", in: `{"KeyId":"${sym}","Description":"renamed"}`},
	{op: "CreateAlias", in: `{"AliasName":"alias/app","TargetKeyId":"${sym}"}`},
	{op: "UpdateAlias", in: `{"AliasName":"alias/app","TargetKeyId":"${sym2}"}`},
	{op: "ListAliases", in: `{"KeyId":"${sym2}"}`},
	{op: "DeleteAlias", in: `{"AliasName":"alias/app"}`},
	{op: "TagResource", in: `{"KeyId":"${sym}","Tags":[{"TagKey":"Department","TagValue":"IT"}]}`},
	{op: "ListResourceTags", in: `{"KeyId":"${sym}"}`},
	{op: "UntagResource", in: `{"KeyId":"${sym}","TagKeys":["Department"]}`},
	{op: "ListKeyPolicies", in: `{"KeyId":"${sym}"}`},
	{op: "GetKeyPolicy", in: `{"KeyId":"${sym}","PolicyName":"default"}`},
	{op: "PutKeyPolicy", in: `{"KeyId":"${sym}","PolicyName":"default","Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::${account}:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}}"}`},

	{op: "Encrypt", in: `{"KeyId":"${sym}","Plaintext":"YXR0YWNr","EncryptionContext":{"a":"b"}}`, save: saved{"blobWithContext": "CiphertextBlob"}},
	{op: "Encrypt", in: `{"KeyId":"${sym}","Plaintext":"YXR0YWNr"}`, save: saved{"blob": "CiphertextBlob"}},
	{op: "Decrypt", in: `{"CiphertextBlob":"${blobWithContext}","EncryptionContext":{"a":"b"}}`},
	{op: "ReEncrypt", in: `{"CiphertextBlob":"${blob}","DestinationKeyId":"${sym2}"}`},
	{op: "GenerateDataKey", in: `{"KeyId":"${sym}","KeySpec":"AES_256"}`},
	{op: "GenerateDataKeyWithoutPlaintext", in: `{"KeyId":"${sym}","NumberOfBytes":32}`},
	{op: "GenerateDataKeyPair", in: `{"KeyId":"${sym}","KeyPairSpec":"ECC_NIST_P256"}`},
	{op: "GenerateDataKeyPairWithoutPlaintext", in: `{"KeyId":"${sym}","KeyPairSpec":"ECC_NIST_P256"}`},
	{op: "GenerateRandom", in: `{"NumberOfBytes":32}`},
	{op: "Sign", in: `{"KeyId":"${ecc}","Message":"YXR0YWNr","SigningAlgorithm":"ECDSA_SHA_256"}`, save: saved{"signature": "Signature"}},
	{op: "Verify", in: `{"KeyId":"${ecc}","Message":"YXR0YWNr","SigningAlgorithm":"ECDSA_SHA_256","Signature":"${signature}"}`},
	{op: "GetPublicKey", in: `{"KeyId":"${ecdh}"}`, save: saved{"peer": "PublicKey"}},
	{op: "DeriveSharedSecret", in: `{"KeyId":"${ecdh}","KeyAgreementAlgorithm":"ECDH","PublicKey":"${peer}"}`},
	{op: "GenerateMac", in: `{"KeyId":"${mac}","MacAlgorithm":"HMAC_SHA_256","Message":"YXR0YWNr"}`, save: saved{"tag": "Mac"}},
	{op: "VerifyMac", in: `{"KeyId":"${mac}","MacAlgorithm":"HMAC_SHA_256","Message":"YXR0YWNr","Mac":"${tag}"}`},
	{op: "CreateKey", in: `{"KeySpec":"ML_KEM_768","KeyUsage":"ENCAPSULATE_DECAPSULATE"}`, save: saved{"kem": "KeyMetadata.KeyId"}},
	{op: "Encapsulate", in: `{"KeyId":"${kem}","EncapsulationAlgorithm":"ML_KEM"}`, save: saved{"capsule": "SharedSecretCiphertextBlob"}},
	{op: "Decapsulate", in: `{"KeyId":"${kem}","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"${capsule}"}`},
	{op: "GetKeyLastUsage", in: `{"KeyId":"${sym}"}`},

	{op: "CreateGrant", in: `{"KeyId":"${sym}","GranteePrincipal":"arn:aws:iam::${account}:root","RetiringPrincipal":"arn:aws:iam::${account}:root","Operations":["Decrypt"]}`, save: saved{"grant": "GrantId"}},
	{op: "ListGrants", in: `{"KeyId":"${sym}"}`},
	{op: "ListRetirableGrants", in: `{"RetiringPrincipal":"arn:aws:iam::${account}:root"}`},
	{op: "RetireGrant", in: `{"KeyId":"${symArn}","GrantId":"${grant}"}`},
	{op: "CreateGrant", in: `{"KeyId":"${sym}","GranteePrincipal":"arn:aws:iam::${account}:root","Operations":["Encrypt"]}`, save: saved{"grant": "GrantId"}},
	{op: "RevokeGrant", in: `{"KeyId":"${sym}","GrantId":"${grant}"}`},

	{op: "EnableKeyRotation", in: `{"KeyId":"${sym}","RotationPeriodInDays":90}`},
	{op: "GetKeyRotationStatus", in: `{"KeyId":"${sym}"}`},
	{op: "DisableKeyRotation", in: `{"KeyId":"${sym}"}`},
	{op: "RotateKeyOnDemand", in: `{"KeyId":"${sym}"}`},
	{op: "ListKeyRotations", in: `{"KeyId":"${sym}"}`},
	{op: "GetParametersForImport", in: `{"KeyId":"${ext}","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`, save: saved{"wrappingKey": "PublicKey", "token": "ImportToken"}},
	{op: "wrap"},
	{op: "ImportKeyMaterial", in: `{"KeyId":"${ext}","EncryptedKeyMaterial":"${wrapped}","ImportToken":"${token}","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}`},
	{op: "DeleteImportedKeyMaterial", in: `{"KeyId":"${ext}"}`},
	{op: "ImportKeyMaterial", in: `{"KeyId":"${ext}","EncryptedKeyMaterial":"${wrapped}","ImportToken":"${token}","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}`},
	{op: "ReplicateKey", in: `{"KeyId":"${mrk}","ReplicaRegion":"${replicaRegion}"}`},
	{op: "UpdatePrimaryRegion", in: `{"KeyId":"${mrk}","PrimaryRegion":"${replicaRegion}"}`},
	{op: "DisableKey", in: `{"KeyId":"${sym2}"}`},
	{op: "EnableKey", in: `{"KeyId":"${sym2}"}`},
	{op: "ScheduleKeyDeletion", in: `{"KeyId":"${sym2}","PendingWindowInDays":7}`},
	{op: "CancelKeyDeletion", in: `{"KeyId":"${sym2}"}`},
	{op: "EnableKey", in: `{"KeyId":"${sym2}"}`},

	{op: "CreateCustomKeyStore", in: externalStore("one", ""), save: saved{"store": "CustomKeyStoreId"}},
	{op: "ConnectCustomKeyStore", in: `{"CustomKeyStoreId":"${store}"}`},
	{op: "DescribeCustomKeyStores", in: `{"CustomKeyStoreId":"${store}"}`, until: "CONNECTED"},
	{op: "CreateKey", in: `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"${store}","XksKeyId":"hsm-key-1"}`, save: saved{"xks": "KeyMetadata.KeyId"}},
	{op: "DisconnectCustomKeyStore", in: `{"CustomKeyStoreId":"${store}"}`},
	{op: "DescribeCustomKeyStores", in: `{"CustomKeyStoreId":"${store}"}`, until: "DISCONNECTED"},
	{op: "UpdateCustomKeyStore", in: `{"CustomKeyStoreId":"${store}","NewCustomKeyStoreName":"renamed"}`},
	{op: "ConnectCustomKeyStore", in: `{"CustomKeyStoreId":"${store}"}`},
	{op: "DescribeCustomKeyStores", in: `{"CustomKeyStoreId":"${store}"}`, until: "CONNECTED"},
	{op: "CreateCustomKeyStore", in: strings.Replace(externalStore("two", ""), "${endpoint}", "https://two.example.com", 1), save: saved{"store2": "CustomKeyStoreId"}},
	{op: "DeleteCustomKeyStore", in: `{"CustomKeyStoreId":"${store2}"}`},
}

// elsewhere is the input for an external key store on a host of its name, with one text put for another.
func elsewhere(name, old, new string) string {
	return strings.NewReplacer("${endpoint}", "https://"+name+".example.com", old, new).Replace(externalStore(name, ""))
}

// externalStore is the input for an external key store, with further members.
func externalStore(name, more string) string {
	return `{"CustomKeyStoreName":"` + name + `","CustomKeyStoreType":"EXTERNAL_KEY_STORE","XksProxyConnectivity":"PUBLIC_ENDPOINT","XksProxyUriEndpoint":"${endpoint}",` +
		`"XksProxyUriPath":"${path}","XksProxyAuthenticationCredential":{"AccessKeyId":"${accessKey}","RawSecretAccessKey":"${secret}"}` + more + `}`
}

// onKeys are operations on a key: which of the keys they are for, and what else they take.
var onKeys = []struct{ op, kind, member, more string }{
	{"CancelKeyDeletion", "sym", "KeyId", ``},
	{"CreateAlias", "sym", "TargetKeyId", `"AliasName":"alias/new"`},
	{"CreateGrant", "sym", "KeyId", `"GranteePrincipal":"arn:aws:iam::${account}:root","Operations":["Decrypt"]`},
	{"DeleteImportedKeyMaterial", "ext", "KeyId", ``},
	{"DeriveSharedSecret", "ecdh", "KeyId", `"KeyAgreementAlgorithm":"ECDH","PublicKey":"${peer}"`},
	{"DescribeKey", "sym", "KeyId", ``},
	{"DisableKey", "sym", "KeyId", ``},
	{"DisableKeyRotation", "sym", "KeyId", ``},
	{"EnableKey", "sym", "KeyId", ``},
	{"EnableKeyRotation", "sym", "KeyId", ``},
	{"Encrypt", "sym", "KeyId", `"Plaintext":"YXR0YWNr"`},
	{"GenerateDataKey", "sym", "KeyId", `"KeySpec":"AES_256"`},
	{"GenerateDataKeyPair", "sym", "KeyId", `"KeyPairSpec":"ECC_NIST_P256"`},
	{"GenerateDataKeyPairWithoutPlaintext", "sym", "KeyId", `"KeyPairSpec":"ECC_NIST_P256"`},
	{"GenerateDataKeyWithoutPlaintext", "sym", "KeyId", `"KeySpec":"AES_256"`},
	{"GenerateMac", "mac", "KeyId", `"MacAlgorithm":"HMAC_SHA_256","Message":"YXR0YWNr"`},
	{"GetKeyLastUsage", "sym", "KeyId", ``},
	{"GetKeyPolicy", "sym", "KeyId", ``},
	{"GetKeyRotationStatus", "sym", "KeyId", ``},
	{"GetParametersForImport", "ext", "KeyId", `"WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"`},
	{"GetPublicKey", "ecc", "KeyId", ``},
	{"ImportKeyMaterial", "ext", "KeyId", `"EncryptedKeyMaterial":"${wrapped}","ImportToken":"${token}","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"`},
	{"ListAliases", "sym", "KeyId", ``},
	{"ListGrants", "sym", "KeyId", ``},
	{"ListKeyPolicies", "sym", "KeyId", ``},
	{"ListKeyRotations", "sym", "KeyId", ``},
	{"ListResourceTags", "sym", "KeyId", ``},
	{"PutKeyPolicy", "sym", "KeyId", `"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::${account}:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}}"`},
	{"ReEncrypt", "sym", "DestinationKeyId", `"CiphertextBlob":"${blob}"`},
	{"ReplicateKey", "mrk", "KeyId", `"ReplicaRegion":"eu-west-1"`},
	{"RevokeGrant", "sym", "KeyId", `"GrantId":"${revocable}"`},
	{"RotateKeyOnDemand", "sym", "KeyId", ``},
	{"ScheduleKeyDeletion", "sym", "KeyId", `"PendingWindowInDays":7`},
	{"Sign", "ecc", "KeyId", `"Message":"YXR0YWNr","SigningAlgorithm":"ECDSA_SHA_256"`},
	{"TagResource", "sym", "KeyId", `"Tags":[{"TagKey":"a","TagValue":"b"}]`},
	{"UntagResource", "sym", "KeyId", `"TagKeys":["a"]`},
	{"UpdateAlias", "sym", "TargetKeyId", `"AliasName":"alias/there"`},
	{"UpdateKeyDescription", "sym", "KeyId", `"Description":"x"`},
	{"UpdatePrimaryRegion", "mrk", "KeyId", `"PrimaryRegion":"eu-west-1"`},
	{"Verify", "ecc", "KeyId", `"Message":"YXR0YWNr","SigningAlgorithm":"ECDSA_SHA_256","Signature":"${signature}"`},
	{"VerifyMac", "mac", "KeyId", `"MacAlgorithm":"HMAC_SHA_256","Message":"YXR0YWNr","Mac":"${tag}"`},
}

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
	return append(steps, failures...)
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
	{op: "Encapsulate", in: `{"KeyId":"${absent}","EncapsulationAlgorithm":"ML_KEM"}`, want: "NotFoundException"},
	{op: "Encapsulate", in: `{"KeyId":"${kem}","EncapsulationAlgorithm":"ML_KEM","DryRun":true}`, want: "DryRunOperationException"},
	{op: "Encapsulate", in: `{"KeyId":"${ecdh}","EncapsulationAlgorithm":"ML_KEM"}`, want: "InvalidKeyUsageException"},
	{op: "Decapsulate", in: `{"KeyId":"${absent}","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"${capsule}"}`, want: "NotFoundException"},
	{op: "Decapsulate", in: `{"KeyId":"${kem}","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"eA=="}`, want: "InvalidCiphertextException"},
	{op: "RetireGrant", in: `{"GrantToken":"x"}`, want: "InvalidGrantTokenException"},
	{op: "RetireGrant", in: `{"KeyId":"${symArn}","GrantId":"${absent}"}`, want: "InvalidGrantIdException"},
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
	{op: "ReplicateKey", in: `{"KeyId":"${mrk}","ReplicaRegion":"${region}"}`, replica: true, want: "AlreadyExistsException"},
	{op: "ReplicateKey", in: `{"KeyId":"${mrk}","ReplicaRegion":"eu-north-1","Policy":"{}"}`, replica: true, want: "MalformedPolicyDocumentException"},
	{op: "ReplicateKey", in: `{"KeyId":"${mrk}","ReplicaRegion":"eu-north-1","Tags":[{"TagKey":"aws:x","TagValue":""}]}`, replica: true, want: "TagException"},
	{op: "CreateGrant", in: `{"KeyId":"${sym2}","GranteePrincipal":"arn:aws:iam::${account}:root","Operations":["Encrypt"]}`, save: saved{"dryGrant": "GrantId", "dryToken": "GrantToken"}},
	{op: "RetireGrant", in: `{"GrantToken":"${dryToken}","DryRun":true}`, want: "DryRunOperationException"},
	{op: "RevokeGrant", in: `{"KeyId":"${sym2}","GrantId":"${absent}"}`, want: "InvalidGrantIdException"},
	{op: "UpdateCustomKeyStore", in: `{"CustomKeyStoreId":"${store}","XksProxyUriPath":"/other/kms/xks/v1"}`, want: "XksProxyInvalidConfigurationException"},
	{op: "RotateKeyOnDemand", in: `{"KeyId":"${sym}"}`, times: 24},
	{op: "RotateKeyOnDemand", in: `{"KeyId":"${sym}"}`, want: "LimitExceededException"},
	{op: "CreateCustomKeyStore", in: externalStore("renamed", ""), want: "CustomKeyStoreNameInUseException"},
	{op: "CreateCustomKeyStore", in: externalStore("three", ""), want: "XksProxyUriInUseException"},
	{op: "CreateCustomKeyStore", in: `{"CustomKeyStoreName":"hsm","CloudHsmClusterId":"cluster-2a23b4cdefgh","KeyStorePassword":"password","TrustAnchorCertificate":"x"}`, want: "CloudHsmClusterNotFoundException"},
	{op: "CreateCustomKeyStore", in: elsewhere("three", "${secret}", strings.Repeat("A", 43)), want: "XksProxyIncorrectAuthenticationCredentialException"},
	{op: "CreateCustomKeyStore", in: elsewhere("three", `"PUBLIC_ENDPOINT"`, `"VPC_ENDPOINT_SERVICE","XksProxyVpcEndpointServiceName":"com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"`), want: "XksProxyVpcEndpointServiceNotFoundException"},
	{op: "DescribeCustomKeyStores", in: `{"CustomKeyStoreId":"cks-1234567890abcdef0"}`, want: "CustomKeyStoreNotFoundException"},
	{op: "DescribeCustomKeyStores", in: `{"Marker":"x"}`, want: "InvalidMarkerException"},
	{op: "ConnectCustomKeyStore", in: `{"CustomKeyStoreId":"cks-1234567890abcdef0"}`, want: "CustomKeyStoreNotFoundException"},
	{op: "DisconnectCustomKeyStore", in: `{"CustomKeyStoreId":"cks-1234567890abcdef0"}`, want: "CustomKeyStoreNotFoundException"},
	{op: "UpdateCustomKeyStore", in: `{"CustomKeyStoreId":"cks-1234567890abcdef0","NewCustomKeyStoreName":"x"}`, want: "CustomKeyStoreNotFoundException"},
	{op: "DeleteCustomKeyStore", in: `{"CustomKeyStoreId":"cks-1234567890abcdef0"}`, want: "CustomKeyStoreNotFoundException"},
	{op: "DeleteCustomKeyStore", in: `{"CustomKeyStoreId":"${store}"}`, want: "CustomKeyStoreInvalidStateException"},
	{op: "DisableKey", in: `{"KeyId":"${mrk}"}`, replica: true},
	{op: "UpdatePrimaryRegion", in: `{"KeyId":"${mrk}","PrimaryRegion":"${region}"}`, replica: true, want: "DisabledException"},
	{op: "DisconnectCustomKeyStore", in: `{"CustomKeyStoreId":"${store}"}`},
	{op: "DescribeCustomKeyStores", in: `{"CustomKeyStoreId":"${store}"}`, until: "DISCONNECTED"},
	{op: "DeleteCustomKeyStore", in: `{"CustomKeyStoreId":"${store}"}`, want: "CustomKeyStoreHasCMKsException"},
	{op: "DisconnectCustomKeyStore", in: `{"CustomKeyStoreId":"${store}"}`, want: "CustomKeyStoreInvalidStateException"},
	{op: "CreateKey", in: `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"${store}","XksKeyId":"hsm-key-2"}`, want: "CustomKeyStoreInvalidStateException"},
	{op: "DisableKey", in: `{"KeyId":"${sym}"}`},
	{op: "Decrypt", in: `{"CiphertextBlob":"${blob}"}`, want: "DisabledException"},
	{op: "ScheduleKeyDeletion", in: `{"KeyId":"${sym}","PendingWindowInDays":7}`},
	{op: "Decrypt", in: `{"CiphertextBlob":"${blob}"}`, want: "KMSInvalidStateException"},
}
