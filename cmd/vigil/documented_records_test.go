package main

import "time"

// withoutCounterpart are documented records that no call of Vigil's makes, with why.
var withoutCounterpart = map[string]string{
	"CreateKey-2":           noClusters,
	"Decrypt-3":             noClusters,
	"DeleteKey-2":           noClusters,
	"DeleteKey-3":           noClusters,
	"ScheduleKeyDeletion-3": noClusters,
}

func on(op, in string) step { return step{op: op, in: in} }

const withContext = `"EncryptionContext":{"Department":"Engineering"}`
const forEnclave = `"Recipient":{"KeyEncryptionAlgorithm":"RSAES_OAEP_SHA_256","AttestationDocument":"${document}"}`

// What some of AWS's records have that Vigil's have not, or the other way round.
const (
	noResources      = "-resources"                     // where AWS writes an empty list
	onceServiceEvent = "=eventType"                     // of CloudTrail's own calls, in 2015
	noCluster        = "-additionalEventData.clusterId" // as the key store is an external one
	oddOrder         = "<"                              // of eventCategory or managementEvent and recipientAccountId, which differs from all other examples
)

var documentedRecords = []documentedRecord{
	{step: step{op: "CreateKey", in: `{}`, save: saved{"sym": "KeyMetadata.KeyId", "symArn": "KeyMetadata.Arn"}}},
	{step: step{op: "CreateKey", in: `{}`, save: saved{"sym2": "KeyMetadata.KeyId"}}},
	{step: step{op: "CreateKey", in: `{"Origin":"EXTERNAL"}`, save: saved{"ext": "KeyMetadata.KeyId"}}, files: "CreateKey-1",
		differs: "+requestParameters.multiRegion +requestParameters.tags +responseElements.keyMetadata.aWSAccountId -responseElements.keyMetadata.AWSAccountId"},
	{step: step{op: "CreateKey", in: `{"KeySpec":"RSA_2048","KeyUsage":"SIGN_VERIFY"}`, save: saved{"rsa": "KeyMetadata.KeyId"}}},
	{step: step{op: "CreateKey", in: `{"KeySpec":"HMAC_512","KeyUsage":"GENERATE_VERIFY_MAC"}`, save: saved{"mac": "KeyMetadata.KeyId"}}},
	{step: step{op: "CreateKey", in: `{"KeySpec":"ML_KEM_768","KeyUsage":"ENCAPSULATE_DECAPSULATE"}`, save: saved{"kem": "KeyMetadata.KeyId"}}},
	{step: step{op: "CreateKey", in: `{"MultiRegion":true}`, save: saved{"mrk": "KeyMetadata.KeyId"}}},
	{step: on("DescribeKey", `{"KeyId":"${sym}"}`), files: "DescribeKey-1"},
	{step: on("CreateAlias", `{"AliasName":"alias/ExampleAlias","TargetKeyId":"${sym}"}`), files: "CreateAlias-1 CreateAlias-2"},
	{step: on("UpdateAlias", `{"AliasName":"alias/ExampleAlias","TargetKeyId":"${sym2}"}`), files: "UpdateAlias-1 UpdateAlias-2"},
	{step: on("ListAliases", `{"Limit":5}`), files: "ListAliases-1", differs: "-requestParameters.marker " + noResources},
	{step: on("GenerateDataKey", `{"KeyId":"alias/ExampleAlias","KeySpec":"AES_256"}`), files: "GenerateDataKey-1"},
	{step: on("DeleteAlias", `{"AliasName":"alias/ExampleAlias"}`), files: "DeleteAlias-1 DeleteAlias-2", differs: "-userIdentity.sessionContext"},
	{step: on("DisableKey", `{"KeyId":"${sym2}"}`), files: "DisableKey-1 DisableKey-2"},
	{step: on("EnableKey", `{"KeyId":"${sym2}"}`), files: "EnableKey-1 EnableKey-2"},
	{step: on("TagResource", `{"KeyId":"${symArn}","Tags":[{"TagKey":"Department","TagValue":"IT"}]}`), files: "TagResource-1"},
	{step: on("UntagResource", `{"KeyId":"${symArn}","TagKeys":["Department"]}`), files: "UntagResource-1"},
	{step: on("UpdateKeyDescription", `{"KeyId":"${sym}","Description":"New key description"}`), files: "UpdateKeyDescription-1"},
	{step: on("GetKeyPolicy", `{"KeyId":"${sym}","PolicyName":"default"}`), files: "GetKeyPolicy-1"},
	{step: on("PutKeyPolicy", `{"KeyId":"${sym}","PolicyName":"default","BypassPolicyLockoutSafetyCheck":false,"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[`+
		`{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::${account}:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"},`+
		`{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"logs.${region}.amazonaws.com\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}"}`), files: "PutKeyPolicy-1"},

	{step: step{op: "Encrypt", in: `{"KeyId":"${symArn}","Plaintext":"YXR0YWNr",` + withContext + `}`, save: saved{"blob": "CiphertextBlob"}}, files: "Encrypt-1 Encrypt-p1"},
	{step: on("Decrypt", `{"KeyId":"${symArn}","CiphertextBlob":"${blob}",`+withContext+`}`), files: "Decrypt-2 Decrypt-11 Decrypt-12"},
	{step: step{op: "Encrypt", in: `{"KeyId":"${symArn}","Plaintext":"YXR0YWNr"}`, save: saved{"bare": "CiphertextBlob"}}},
	{step: on("Decrypt", `{"KeyId":"${symArn}","CiphertextBlob":"${bare}",`+forEnclave+`}`), files: "Decrypt-1 Decrypt-enclave"},
	{step: step{op: "Decrypt", in: `{"KeyId":"${sym2}","CiphertextBlob":"${blob}",` + withContext + `}`, want: "IncorrectKeyException"}, files: "Decrypt-9"},
	{step: on("ReEncrypt", `{"CiphertextBlob":"${blob}","SourceEncryptionContext":{"Department":"Engineering"},"DestinationKeyId":"${sym2}","DestinationEncryptionContext":{"Level":"3A"}}`),
		files: "ReEncrypt-1 ReEncrypt-p1"},
	{step: on("GenerateDataKey", `{"KeyId":"${sym}","KeySpec":"AES_256",`+withContext+`}`), files: "GenerateDataKey-3 GenerateDataKey-8"},
	{step: on("GenerateDataKey", `{"KeyId":"${sym}","NumberOfBytes":128}`), files: "GenerateDataKey-5", differs: "-vpcEndpointId <userIdentity"},
	{step: on("GenerateDataKey", `{"KeyId":"${sym}","NumberOfBytes":32,`+forEnclave+`}`), files: "GenerateDataKey-2 GenerateDataKey-9"},
	{step: on("GenerateDataKeyPair", `{"KeyId":"${sym}","KeyPairSpec":"ECC_NIST_P256",`+withContext+`}`), files: "GenerateDataKeyPair-1 GenerateDataKeyPair-2"},
	{step: on("GenerateDataKeyPair", `{"KeyId":"${sym}","KeyPairSpec":"ECC_NIST_P256",`+forEnclave+`,`+withContext+`}`), files: "GenerateDataKeyPair-3"},
	{step: on("GenerateDataKeyPairWithoutPlaintext", `{"KeyId":"${sym}","KeyPairSpec":"ECC_NIST_P256",`+withContext+`}`),
		files: "GenerateDataKeyPairWithoutPlaintext-1 GenerateDataKeyPairWithoutPlaintext-p1"},
	{step: on("GenerateDataKeyWithoutPlaintext", `{"KeyId":"${sym}","NumberOfBytes":64,`+withContext+`}`), files: "GenerateDataKeyWithoutPlaintext-1 GenerateDataKeyWithoutPlaintext-2"},
	{step: on("GenerateDataKeyWithoutPlaintext", `{"KeyId":"${sym}","KeySpec":"AES_256",`+withContext+`}`), files: "GenerateDataKeyWithoutPlaintext-4"},
	{step: step{op: "GenerateDataKeyWithoutPlaintext", in: `{"KeyId":"${rsa}","KeySpec":"AES_256",` + withContext + `}`, want: "InvalidKeyUsageException"}, files: "GenerateDataKeyWithoutPlaintext-3", differs: "+errorMessage"},
	{step: on("GenerateRandom", `{"NumberOfBytes":32}`), files: "GenerateRandom-2", differs: noResources},
	{step: on("GenerateRandom", `{"NumberOfBytes":32,`+forEnclave+`}`), files: "GenerateRandom-1 GenerateRandom-enclave", differs: noResources},
	{step: step{op: "Sign", in: `{"KeyId":"${rsa}","Message":"eA==","MessageType":"RAW","SigningAlgorithm":"RSASSA_PKCS1_V1_5_SHA_256"}`, save: saved{"signature": "Signature"}}, files: "Sign-1"},
	{step: on("Verify", `{"KeyId":"${rsa}","Message":"eA==","MessageType":"RAW","SigningAlgorithm":"RSASSA_PKCS1_V1_5_SHA_256","Signature":"${signature}"}`), files: "Verify-1"},
	{step: step{op: "GenerateMac", in: `{"KeyId":"${mac}","MacAlgorithm":"HMAC_SHA_512","Message":"eA=="}`, save: saved{"tag": "Mac"}}, files: "GenerateMac-1"},
	{step: on("VerifyMac", `{"KeyId":"${mac}","MacAlgorithm":"HMAC_SHA_512","Message":"eA==","Mac":"${tag}"}`), files: "VerifyMac-1"},
	{step: step{op: "Encapsulate", in: `{"KeyId":"${kem}","EncapsulationAlgorithm":"ML_KEM"}`, save: saved{"capsule": "SharedSecretCiphertextBlob"}}},
	{step: on("Decapsulate", `{"KeyId":"${kem}","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"${capsule}"}`), files: "Decapsulate-1"},

	{step: step{op: "CreateGrant", in: `{"KeyId":"${symArn}","GranteePrincipal":"arn:aws:iam::${account}:root","Operations":["Encrypt","RetireGrant"],"Constraints":{"EncryptionContextSubset":{"a":"b"}}}`,
		save: saved{"grant": "GrantId"}}, files: "CreateGrant-1 CreateGrant-4"},
	{step: step{op: "CreateGrant", in: `{"KeyId":"${symArn}","GranteePrincipal":"arn:aws:iam::${account}:root","Operations":["Decrypt"],"Constraints":{"EncryptionContextSubset":{"a":"b"}}}`},
		files: "CreateGrant-2", differs: "+requestParameters.operations"},
	{step: on("CreateGrant", `{"KeyId":"${symArn}","GranteeServicePrincipal":"sns.amazonaws.com","RetiringServicePrincipal":"sns.amazonaws.com","Operations":["Encrypt","Decrypt","GenerateDataKey"],`+
		`"Constraints":{"SourceArn":"arn:aws:sns:${region}:${account}:topic"}}`), files: "CreateGrant-3"},
	{step: on("ListGrants", `{"KeyId":"${sym}","Limit":10}`), files: "ListGrants-1", differs: "-requestParameters.marker"},
	{step: on("RetireGrant", `{"KeyId":"${symArn}","GrantId":"${grant}"}`), files: "RetireGrant-1"},
	{step: step{op: "CreateGrant", in: `{"KeyId":"${symArn}","GranteePrincipal":"arn:aws:iam::${account}:root","Operations":["Encrypt"]}`, save: saved{"grant": "GrantId"}}},
	{step: on("RevokeGrant", `{"KeyId":"${sym}","GrantId":"${grant}"}`), files: "RevokeGrant-1"},

	{step: on("EnableKeyRotation", `{"KeyId":"${sym}"}`), files: "EnableKeyRotation-1"},
	{step: on("EnableKeyRotation", `{"KeyId":"${sym}","RotationPeriodInDays":90}`), files: "EnableKeyRotation-2"},
	{step: on("GetKeyRotationStatus", `{"KeyId":"${sym}"}`), files: "GetKeyRotationStatus-1"},
	{step: on("ListKeyRotations", `{"KeyId":"${sym}","IncludeKeyMaterial":"ALL_KEY_MATERIAL"}`), files: "ListKeyRotations-1"},
	{step: on("RotateKeyOnDemand", `{"KeyId":"${sym2}"}`), files: "RotateKeyOnDemand-1"},
	{event: "RotateKey", of: "sym2", files: "RotateKey-4"},
	{step: on("DisableKeyRotation", `{"KeyId":"${sym2}"}`), files: "DisableKeyRotation-1"},

	{step: step{op: "GetParametersForImport", in: `{"KeyId":"${ext}","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`, save: saved{"wrappingKey": "PublicKey", "token": "ImportToken"}},
		files: "GetParametersForImport-1"},
	{step: step{do: wrap}},
	{step: step{do: func(w *walk) { w.vars["tomorrow"] = time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339) }}},
	{step: step{op: "ImportKeyMaterial", in: `{"KeyId":"${ext}","EncryptedKeyMaterial":"${wrapped}","ImportToken":"${token}","ExpirationModel":"KEY_MATERIAL_EXPIRES","ValidTo":"${tomorrow}",` +
		`"ImportType":"NEW_KEY_MATERIAL","KeyMaterialDescription":"ExampleKeyMaterialA"}`, save: saved{"material": "KeyMaterialId"}}, files: "ImportKeyMaterial-2"},
	{step: on("DeleteImportedKeyMaterial", `{"KeyId":"${ext}","KeyMaterialId":"${material}"}`), files: "DeleteImportedKeyMaterial-1"},
	{step: on("ImportKeyMaterial", `{"KeyId":"${ext}","EncryptedKeyMaterial":"${wrapped}","ImportToken":"${token}","ExpirationModel":"KEY_MATERIAL_EXPIRES","ValidTo":"${tomorrow}"}`), files: "ImportKeyMaterial-1"},

	{step: on("ReplicateKey", `{"KeyId":"${mrk}","ReplicaRegion":"${replicaRegion}"}`), files: "ReplicateKey-1"},
	{event: "SynchronizeMultiRegionKey", of: "mrk", files: "SynchronizeMultiRegionKey-1 SynchronizeMultiRegionKey-2"},
	{step: on("ScheduleKeyDeletion", `{"KeyId":"${mrk}","PendingWindowInDays":30}`), files: "ScheduleKeyDeletion-2"},
	{step: on("CancelKeyDeletion", `{"KeyId":"${mrk}"}`)},
	{step: on("EnableKey", `{"KeyId":"${mrk}"}`)},
	{step: on("UpdatePrimaryRegion", `{"KeyId":"${mrk}","PrimaryRegion":"${replicaRegion}"}`), files: "UpdatePrimaryRegion-1 UpdatePrimaryRegion-3", differs: oddOrder},
	{event: "UpdatePrimaryRegion", of: "mrk", type_: "IAMUser", files: "UpdatePrimaryRegion-2 UpdatePrimaryRegion-4",
		differs: "+resources " + oddOrder},

	{step: on("CreateCustomKeyStore", externalStore("ExampleKeyStore", "")), files: "CreateCustomKeyStore-1",
		differs: "-requestParameters.clusterId +requestParameters.customKeyStoreType +requestParameters.xksProxyConnectivity +requestParameters.xksProxyUriEndpoint +requestParameters.xksProxyUriPath"},
	{step: step{op: "DescribeCustomKeyStores", in: `{}`, save: saved{"store": "CustomKeyStores.0.CustomKeyStoreId"}}},
	{step: on("ConnectCustomKeyStore", `{"CustomKeyStoreId":"${store}"}`), files: "ConnectCustomKeyStore-1", differs: noCluster},
	{step: step{op: "DescribeCustomKeyStores", in: `{"CustomKeyStoreId":"${store}"}`, until: "CONNECTED"}, files: "DescribeCustomKeyStores-1"},
	{step: step{op: "CreateKey", in: `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"${store}","XksKeyId":"hsm-key-1"}`, save: saved{"xks": "KeyMetadata.KeyId"}}, files: "CreateKey-3"},
	{step: step{op: "Encrypt", in: `{"KeyId":"${xks}","Plaintext":"YXR0YWNr",` + withContext + `}`, save: saved{"xksBlob": "CiphertextBlob"}}},
	{step: on("Decrypt", `{"KeyId":"${xks}","CiphertextBlob":"${xksBlob}",`+withContext+`}`), files: "Decrypt-4"},
	{step: step{do: spoil(refuseCiphertext)}},
	{step: step{op: "Decrypt", in: `{"KeyId":"${xks}","CiphertextBlob":"${xksBlob}",` + withContext + `}`, want: "KMSInvalidStateException"}, files: "Decrypt-5"},
	{step: step{do: spoil(nil)}},
	{step: on("DisconnectCustomKeyStore", `{"CustomKeyStoreId":"${store}"}`), files: "DisconnectCustomKeyStore-1", differs: noCluster},
	{step: on("UpdateCustomKeyStore", `{"CustomKeyStoreId":"${store}","NewCustomKeyStoreName":"Renamed"}`), files: "UpdateCustomKeyStore-1",
		differs: "+requestParameters.newCustomKeyStoreName -requestParameters.clusterId " + noCluster},
	{step: step{op: "CreateCustomKeyStore", in: elsewhere("two", "", ""), save: saved{"store2": "CustomKeyStoreId"}}},
	{step: on("DeleteCustomKeyStore", `{"CustomKeyStoreId":"${store2}"}`), files: "DeleteCustomKeyStore-1", differs: noCluster},

	{step: on("ScheduleKeyDeletion", `{"KeyId":"${sym2}","PendingWindowInDays":20}`), files: "ScheduleKeyDeletion-1", differs: "+responseElements.pendingWindowInDays"},
	{step: on("CancelKeyDeletion", `{"KeyId":"${sym2}"}`), files: "CancelKeyDeletion-1"},
	{step: on("ScheduleKeyDeletion", `{"KeyId":"${sym2}","PendingWindowInDays":7}`)},

	{step: step{do: publish}},
	{event: "GenerateDataKey", of: "sym", type_: "IAMUser", files: "GenerateDataKey-6", differs: "-userIdentity.sessionContext " + onceServiceEvent},
	{step: step{do: readLogs}},
	{event: "Decrypt", of: "sym", type_: "IAMUser", files: "Decrypt-10", differs: "+requestParameters.keyId -userIdentity.sessionContext"},
	{event: "GenerateDataKey", of: "sym", type_: "AWSService", files: "Encrypt-2 Decrypt-8",
		differs: "=eventName ?+requestParameters.keyId +requestParameters.keySpec -sharedEventID"},
	{step: step{do: becomeRole}},
	{step: on("Decrypt", `{"CiphertextBlob":"${blob}",`+withContext+`}`), files: "Decrypt-6"},
	{step: step{do: publish}},
	{event: "GenerateDataKey", of: "sym", type_: "AssumedRole", files: "GenerateDataKey-4 GenerateDataKey-7", differs: "?" + onceServiceEvent},
	{step: step{do: readLogs}},
	{event: "Decrypt", of: "sym", type_: "AssumedRole", files: "Decrypt-7", differs: "+requestParameters.keyId"},

	{step: step{do: keepRecords}},
	{step: step{do: advance(91 * 24 * time.Hour)}},
	{event: "RotateKey", of: "sym", files: "RotateKey-1 RotateKey-2 RotateKey-3"},
	{event: "DeleteKey", of: "sym2", files: "DeleteKey-1", differs: oddOrder},
	{event: "DeleteExpiredKeyMaterial", of: "ext", files: "DeleteExpiredKeyMaterial-1 DeleteExpiredKeyMaterial-2", differs: "?+managementEvent"},
}
