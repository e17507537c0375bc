package main

import "strings"

// A step is a call and its answer. Its input is JSON with blobs in base64, in which ${name} is what a step before has saved.
type step struct {
	op, in string
	want   string            // the code of the error that is answered, or nothing for a success
	save   map[string]string // names of members of the answer
	region string            // where the call is made, unless it is the walk's own
	times  int               // how often, if more than once
	nobody bool              // the call is made by somebody who may do nothing
	do     func(*walk)       // what is done instead of a call
	until  string            // the call is made again until the answer has this state of connection
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
	{do: wrap},
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

// withDenials has somebody who may not do it try each operation first.
func withDenials(steps []step) (all []step) {
	tried := map[string]bool{"": true}
	for _, s := range steps {
		if !tried[s.op] {
			tried[s.op] = true
			all = append(all, step{op: s.op, in: s.in, region: s.region, nobody: true, want: accessDenied})
		}
		all = append(all, s)
	}
	return all
}

const accessDenied = "AccessDeniedException"

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
	{"Decapsulate", "kem", "KeyId", `"EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"${capsule}"`},
	{"DeriveSharedSecret", "ecdh", "KeyId", `"KeyAgreementAlgorithm":"ECDH","PublicKey":"${peer}"`},
	{"DescribeKey", "sym", "KeyId", ``},
	{"DisableKey", "sym", "KeyId", ``},
	{"DisableKeyRotation", "sym", "KeyId", ``},
	{"EnableKey", "sym", "KeyId", ``},
	{"EnableKeyRotation", "sym", "KeyId", ``},
	{"Encapsulate", "kem", "KeyId", `"EncapsulationAlgorithm":"ML_KEM"`},
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
