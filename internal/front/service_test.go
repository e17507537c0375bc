package front_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// kms makes a call of KMS as the operator that is refused with status 400, and is on record.
func (h *house) kms(name, operation, body, code, message string) refusal {
	return refusal{name, h.operator.sign(h.post("TrentService."+operation, body)), http.StatusBadRequest, code, message, operation}
}

// denied is the message for who may not do what to a key of another account, whether there is such a key or not.
func denied(who, action string) string {
	return fmt.Sprintf("User: %s is not authorized to perform: %s on this resource because the resource does not exist in this Region, "+
		"no resource-based policies allow access, or a resource-based policy explicitly denies access", who, action)
}

// wrongKeys name keys that are not there, are not theirs, or cannot do what is asked.
func (h *house) wrongKeys() []refusal {
	const (
		gone, noAlias  = "NotFoundException", "Key Aliases are not supported for this operation."
		theirs         = `arn:aws:kms:us-east-1:<ALIEN>:key/<GONE>`
		plain          = `,"Plaintext":"<PLAINTEXT>"}`
		cannotDecrypt  = "The key ID in the request does not identify a CMK that can perform this operation."
		open           = `{"CiphertextBlob":"%s","EncryptionContext":{"tenant":"7"}}`
		bad            = "InvalidCiphertextException"
		unknownKeyText = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."
	)
	alienUses := func(name, operation, body, action string) refusal {
		return refusal{name, h.alien.sign(h.post("TrentService."+operation, body)), 400, "AccessDeniedException", denied("<ALIEN ROOT>", action), operation}
	}
	ireland := h.operator.in("eu-west-1")
	blob := h.names["BLOB"]
	return []refusal{
		h.kms("an id", "DescribeKey", `{"KeyId":"<GONE>"}`, gone, "Key '<KEYS>/<GONE>' does not exist"),
		h.kms("an ARN", "DescribeKey", `{"KeyId":"<KEYS>/<GONE>"}`, gone, "Key '<KEYS>/<GONE>' does not exist"),
		h.kms("an id of a multi-Region key", "DescribeKey", `{"KeyId":"mrk-0123456789abcdef0123456789abcdef"}`, gone,
			"Key '<KEYS>/mrk-0123456789abcdef0123456789abcdef' does not exist"),
		h.kms("no id", "DescribeKey", `{"KeyId":"key_id"}`, gone, "Invalid keyId 'key_id'"),
		h.kms("an alias", "Encrypt", `{"KeyId":"alias/nobody"`+plain, gone, "Alias <ALIASES>/nobody is not found."),
		h.kms("an alias of AWS's", "Encrypt", `{"KeyId":"alias/aws/s3"`+plain, gone, "Alias <ALIASES>/aws/s3 is not found."),
		h.kms("an ARN of another region", "DescribeKey", `{"KeyId":"arn:aws:kms:eu-west-1:<ACCOUNT>:key/<KEY>"}`, gone, "Invalid arn eu-west-1"),
		h.kms("an ARN of no key", "DescribeKey", `{"KeyId":"arn:aws:kms:us-east-1:<ACCOUNT>:grant/1"}`, gone, "Invalid keyId 'arn:aws:kms:us-east-1:<ACCOUNT>:grant/1'"),
		h.kms("an ARN of another service", "DescribeKey", `{"KeyId":"arn:aws:s3:::bucket"}`, gone, "Invalid keyId 'arn:aws:s3:::bucket'"),
		h.kms("an alias where none may stand", "DisableKey", `{"KeyId":"alias/app"}`, "InvalidArnException", noAlias),
		h.kms("an alias's ARN where none may stand", "GetKeyPolicy", `{"KeyId":"<ALIASES>/app"}`, "InvalidArnException", noAlias),
		h.kms("another account's", "Encrypt", `{"KeyId":"`+theirs+`"`+plain, "AccessDeniedException", denied("<ROOT>", "kms:Encrypt")),
		h.kms("another account's, where no other's may stand", "DisableKey", `{"KeyId":"`+theirs+`"}`, "AccessDeniedException", denied("<ROOT>", "kms:DisableKey")),
		{"a key of another region", ireland.sign(h.post("TrentService.DescribeKey", `{"KeyId":"<KEY>"}`)), 400, gone,
			"Key 'arn:aws:kms:eu-west-1:<ACCOUNT>:key/<KEY>' does not exist", "DescribeKey"},
		alienUses("a key of the operator's", "Encrypt", `{"KeyId":"<KEYS>/<KEY>"`+plain, "kms:Encrypt"),
		alienUses("an alias of the operator's", "DescribeKey", `{"KeyId":"<ALIASES>/app"}`, "kms:DescribeKey"),
		alienUses("a key of the operator's to be deleted", "ScheduleKeyDeletion", `{"KeyId":"<KEYS>/<KEY>"}`, "kms:ScheduleKeyDeletion"),
		alienUses("a key of the operator's to be named", "CreateAlias", `{"AliasName":"alias/mine","TargetKeyId":"<KEYS>/<KEY>"}`, "kms:CreateAlias"),
		{"a ciphertext of the operator's", h.alien.sign(h.post("TrentService.Decrypt", fmt.Sprintf(open, blob))), 400, "AccessDeniedException",
			strings.Replace(denied("<ALIEN ROOT>", "kms:Decrypt"), "this resource because", "the resource associated with this ciphertext because", 1), "Decrypt"},

		h.kms("disabled", "Encrypt", `{"KeyId":"<DISABLED>"`+plain, "DisabledException", "<KEYS>/<DISABLED> is disabled."),
		h.kms("disabled, named by the ciphertext", "Decrypt", fmt.Sprintf(open, "<DISABLED BLOB>"), "DisabledException", "<KEYS>/<DISABLED> is disabled."),
		h.kms("pending deletion", "GenerateDataKey", `{"KeyId":"<PENDING>","KeySpec":"AES_256"}`, "KMSInvalidStateException", "<KEYS>/<PENDING> is pending deletion."),
		h.kms("pending deletion, to be enabled", "EnableKey", `{"KeyId":"<PENDING>"}`, "KMSInvalidStateException", "<KEYS>/<PENDING> is pending deletion."),
		h.kms("pending deletion, to be deleted", "ScheduleKeyDeletion", `{"KeyId":"<PENDING>"}`, "KMSInvalidStateException", "<KEYS>/<PENDING> is pending deletion."),
		h.kms("pending deletion, to be tagged", "TagResource", `{"KeyId":"<PENDING>","Tags":[{"TagKey":"a","TagValue":"b"}]}`, "KMSInvalidStateException",
			"<KEYS>/<PENDING> is pending deletion."),
		h.kms("pending deletion, to be named", "CreateAlias", `{"AliasName":"alias/late","TargetKeyId":"<PENDING>"}`, "KMSInvalidStateException",
			"<KEYS>/<PENDING> is pending deletion."),
		h.kms("not pending deletion", "CancelKeyDeletion", `{"KeyId":"<KEY>"}`, "KMSInvalidStateException", "<KEYS>/<KEY> is not pending deletion."),
		h.kms("recorded: for another use", "GenerateMac", `{"KeyId":"<KEY>","Message":"AAAA","MacAlgorithm":"HMAC_SHA_256"}`, "InvalidKeyUsageException",
			"<KEYS>/<KEY> key usage is ENCRYPT_DECRYPT which is not valid for GenerateMac."),
		h.kms("for another use", "Encrypt", `{"KeyId":"<MAC>"`+plain, "InvalidKeyUsageException", "<KEYS>/<MAC> key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt."),
		h.kms("for another algorithm", "GenerateMac", `{"KeyId":"<MAC>","Message":"AAAA","MacAlgorithm":"HMAC_SHA_224"}`, "InvalidKeyUsageException",
			"Algorithm HMAC_SHA_224 is incompatible with key spec HMAC_256."),
		h.kms("for another kind of algorithm", "Encrypt", `{"KeyId":"<KEY>","EncryptionAlgorithm":"RSAES_OAEP_SHA_1"`+plain, "InvalidKeyUsageException",
			"Algorithm RSAES_OAEP_SHA_1 is incompatible with key spec SYMMETRIC_DEFAULT."),

		h.kms("a ciphertext's first byte", "Decrypt", fmt.Sprintf(open, tampered(blob, 0)), bad, ""),
		h.kms("a ciphertext's version", "Decrypt", fmt.Sprintf(open, tampered(blob, 2)), bad, ""),
		h.kms("the key material it names", "Decrypt", fmt.Sprintf(open, tampered(blob, 90)), bad, ""),
		h.kms("a byte in its middle", "Decrypt", fmt.Sprintf(open, tampered(blob, 150)), bad, ""),
		h.kms("a ciphertext's last byte", "Decrypt", fmt.Sprintf(open, tampered(blob, -1)), bad, ""),
		h.kms("a ciphertext that names another key", "Decrypt", fmt.Sprintf(open, h.renamed(blob, "SECOND")), bad, ""),
		h.kms("a ciphertext that names no key", "Decrypt", fmt.Sprintf(open, h.renamed(blob, "GONE")), "AccessDeniedException", unknownKeyText),
		h.kms("a ciphertext cut off", "Decrypt", fmt.Sprintf(open, blob[:len(blob)-8]), bad, ""),
		h.kms("a ciphertext of something else", "Decrypt", fmt.Sprintf(open, "<PLAINTEXT>"), bad, ""),
		h.kms("another context", "Decrypt", `{"CiphertextBlob":"<BLOB>","EncryptionContext":{"tenant":"8"}}`, bad, ""),
		h.kms("no context", "Decrypt", `{"CiphertextBlob":"<BLOB>"}`, bad, ""),
		h.kms("more context", "Decrypt", `{"CiphertextBlob":"<BLOB>","EncryptionContext":{"tenant":"7","more":""}}`, bad, ""),
		h.kms("recorded: another key", "Decrypt", `{"CiphertextBlob":"<BLOB>","EncryptionContext":{"tenant":"7"},"KeyId":"<SECOND>"}`, "IncorrectKeyException", cannotDecrypt),
		h.kms("recorded: another key to re-encrypt from", "ReEncrypt", `{"CiphertextBlob":"<BLOB>","SourceKeyId":"<SECOND>","DestinationKeyId":"<SECOND>"}`,
			"IncorrectKeyException", cannotDecrypt),
		{"a ciphertext of another region", ireland.sign(h.post("TrentService.Decrypt", fmt.Sprintf(open, blob))), 400, "AccessDeniedException", unknownKeyText, "Decrypt"},
		h.kms("recorded: a MAC of another message", "VerifyMac", `{"KeyId":"<MAC>","Message":"AAAA","MacAlgorithm":"HMAC_SHA_256","Mac":"AAAA"}`, "KMSInvalidMacException", ""),
	}
}

// renamed is the ciphertext with the id of another key in the place of its own.
func (h *house) renamed(blob, key string) string {
	b, _ := base64.StdEncoding.DecodeString(blob)
	return base64.StdEncoding.EncodeToString(bytes.Replace(b, []byte(h.names["KEY"]), []byte(h.names[key]), 1))
}

// tampered is a base64 text one of whose bytes, counted from the end when at is negative, is another.
func tampered(blob string, at int) string {
	b, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		panic(err)
	}
	b[(at+len(b))%len(b)] ^= 1
	return base64.StdEncoding.EncodeToString(b)
}

// refusedByKMS is what only the service can refuse.
func (h *house) refusedByKMS() []refusal {
	const (
		prefix    = `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`
		specOrLen = "Please specify either number of bytes or key spec."
		days      = "PendingWindowInDays must be between 7 and 30"
		token     = "The grant token is not valid."
		unbuilt   = "UnsupportedOperationException"
		attested  = `,"Recipient":{"KeyEncryptionAlgorithm":"RSAES_OAEP_SHA_256","AttestationDocument":"AAAA"}}`
		lockout   = `{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"<ALIEN ROOT>\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}`
	)
	var tags []string
	for i := range 51 {
		tags = append(tags, fmt.Sprintf(`{"TagKey":"k%d","TagValue":""}`, i))
	}
	return []refusal{
		h.kms("recorded: how many random bytes", "GenerateRandom", `{}`, "ValidationException", "NumberOfBytes is required."),
		h.kms("recorded: a MAC key without a usage", "CreateKey", `{"KeySpec":"HMAC_256"}`, "ValidationException",
			"You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."),
		h.kms("recorded: a spec and usage that do not fit", "CreateKey", `{"KeySpec":"RSA_2048","KeyUsage":"KEY_AGREEMENT"}`, "ValidationException",
			"KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048"),
		h.kms("two specs", "CreateKey", `{"KeySpec":"SYMMETRIC_DEFAULT","CustomerMasterKeySpec":"HMAC_256"}`, "ValidationException",
			"KeySpec SYMMETRIC_DEFAULT and CustomerMasterKeySpec HMAC_256 differ. Specify only KeySpec."),
		h.kms("recorded: import into a key with generated material", "GetParametersForImport",
			`{"KeyId":"<KEY>","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`, "UnsupportedOperationException",
			"<KEYS>/<KEY> origin is AWS_KMS which is not valid for this operation."),
		h.kms("recorded: rotation of a MAC key", "RotateKeyOnDemand", `{"KeyId":"<MAC>"}`, "UnsupportedOperationException", ""),
		h.kms("recorded: rotation of a disabled key", "RotateKeyOnDemand", `{"KeyId":"<DISABLED>"}`, "DisabledException", "<KEYS>/<DISABLED> is disabled."),
		h.kms("recorded: a replica of what is no primary", "ReplicateKey", `{"KeyId":"<KEY>","ReplicaRegion":"eu-west-1"}`,
			"UnsupportedOperationException", "<KEYS>/<KEY> is not a multi-region primary key."),
		h.kms("a rotation period that is too short", "EnableKeyRotation", `{"KeyId":"<KEY>","RotationPeriodInDays":89}`, "ValidationException",
			"1 validation error detected: Value '89' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value greater than or equal to 90"),
		h.kms("recorded: duplicate tags", "CreateKey", `{"Tags":[{"TagKey":"a","TagValue":"1"},{"TagKey":"a","TagValue":"2"}]}`, "TagException", "Duplicate tag keys"),
		h.kms("recorded: reserved tags", "TagResource", `{"KeyId":"<KEY>","Tags":[{"TagKey":"AWS:a","TagValue":"1"}]}`, "TagException", "Tags beginning with aws: are reserved"),
		h.kms("recorded: too many tags", "CreateKey", `{"Tags":[`+strings.Join(tags, ",")+`]}`, "TagException", "Too many tags"),
		h.kms("a policy that is none", "CreateKey", `{"Policy":"{}"}`, "MalformedPolicyDocumentException", "Missing required field Statement"),
		h.kms("a policy that locks out", "CreateKey", `{"Policy":"`+lockout+`"}`, "MalformedPolicyDocumentException",
			"The new key policy will not allow you to update the key policy in the future."),
		h.kms("a policy that locks out later", "PutKeyPolicy", `{"KeyId":"<KEY>","Policy":"`+lockout+`"}`, "MalformedPolicyDocumentException",
			"The new key policy will not allow you to update the key policy in the future."),
		h.kms("a policy of another name", "GetKeyPolicy", `{"KeyId":"<KEY>","PolicyName":"mine"}`, "NotFoundException", "No such policy exists"),
		h.kms("recorded: an alias without its prefix", "CreateAlias", `{"AliasName":"app","TargetKeyId":"<KEY>"}`, "ValidationException", prefix),
		h.kms("an alias like AWS's", "CreateAlias", `{"AliasName":"alias/aws/mine","TargetKeyId":"<KEY>"}`, "NotAuthorizedException", ""),
		h.kms("an alias that is taken", "CreateAlias", `{"AliasName":"alias/app","TargetKeyId":"<SECOND>"}`, "AlreadyExistsException",
			"An alias with the name <ALIASES>/app already exists"),
		h.kms("an alias of an alias", "CreateAlias", `{"AliasName":"alias/b","TargetKeyId":"alias/app"}`, "ValidationException", "Aliases must refer to keys. Not aliases"),
		h.kms("an alias that is not there", "DeleteAlias", `{"AliasName":"alias/nobody"}`, "NotFoundException", "Alias <ALIASES>/nobody is not found."),
		h.kms("an alias to another kind of key", "UpdateAlias", `{"AliasName":"alias/app","TargetKeyId":"<MAC>"}`, "ValidationException",
			"Alias <ALIASES>/app cannot be moved from a key with key spec SYMMETRIC_DEFAULT and key usage ENCRYPT_DECRYPT to one with key spec HMAC_256 and key usage GENERATE_VERIFY_MAC."),
		h.kms("six days", "ScheduleKeyDeletion", `{"KeyId":"<KEY>","PendingWindowInDays":6}`, "ValidationException", days),
		h.kms("31 days", "ScheduleKeyDeletion", `{"KeyId":"<KEY>","PendingWindowInDays":31}`, "ValidationException", days),
		h.kms("a data key of no size", "GenerateDataKey", `{"KeyId":"<KEY>"}`, "ValidationException", specOrLen),
		h.kms("a data key of two sizes", "GenerateDataKeyWithoutPlaintext", `{"KeyId":"<KEY>","KeySpec":"AES_256","NumberOfBytes":32}`, "ValidationException", specOrLen),
		h.kms("a grant token", "Encrypt", `{"KeyId":"<KEY>","Plaintext":"<PLAINTEXT>","GrantTokens":["t"]}`, "InvalidGrantTokenException", token),
		h.kms("a marker that is none", "ListKeys", `{"Marker":"next"}`, "InvalidMarkerException", "The marker is not valid for this request."),
		h.kms("a recipient of plaintext", "Decrypt", `{"CiphertextBlob":"<BLOB>","EncryptionContext":{"tenant":"7"}`+attested, unbuilt,
			"Recipient, which encrypts the plaintext for an attested environment, is not supported by this server: its operator has not said whose attestation it trusts."),
		h.kms("recorded: a dry run", "Encrypt", `{"KeyId":"<KEY>","Plaintext":"<PLAINTEXT>","DryRun":true}`, "DryRunOperationException",
			"The request would have succeeded, but the DryRun option is set."),
		h.kms("a dry run of what would fail", "Encrypt", `{"KeyId":"<DISABLED>","Plaintext":"<PLAINTEXT>","DryRun":true}`, "DisabledException", "<KEYS>/<DISABLED> is disabled."),
		h.kms("modifiers of no dry run", "Decrypt", `{"CiphertextBlob":"<BLOB>","DryRunModifiers":["IGNORE_CIPHERTEXT"]}`, "ValidationException",
			"DryRunModifiers can only be specified when DryRun is true."),
	}
}

// refusedByOthers is what CloudTrail and Vigil's own API refuse.
func (h *house) refusedByOthers() []refusal {
	const lookUp = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents"
	events := func(name, body, code, message string) refusal {
		return refusal{name, h.operator.to("cloudtrail").sign(h.post(lookUp, body)), 400, code, message, "LookupEvents"}
	}
	own := func(name string, who signer, operation, body, code, message string) refusal {
		return refusal{name, who.to("vigil").sign(h.post("Vigil."+operation, body)), 400, code, message, operation}
	}
	const detected, notOperator = "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must ",
		"User: <ALIEN ROOT> is not authorized to perform: vigil:%[1]s on resource: * because no identity-based policy allows the vigil:%[1]s action"
	one := `{"AttributeKey":"EventName","AttributeValue":"Encrypt"}`
	return []refusal{
		events("the end before the start", `{"StartTime":1800000000,"EndTime":1700000000}`, "InvalidTimeRangeException", "StartTime must not be after EndTime."),
		events("two attributes", `{"LookupAttributes":[`+one+`,`+one+`]}`, "InvalidLookupAttributesException", "Only one lookup attribute can be given."),
		events("read-only or not", `{"LookupAttributes":[{"AttributeKey":"ReadOnly","AttributeValue":"maybe"}]}`, "InvalidLookupAttributesException",
			"The value of ReadOnly must be true or false."),
		events("a token that is none", `{"NextToken":"next"}`, "InvalidNextTokenException", "The token is not valid, or was given for a request with other parameters."),
		events("no results", `{"MaxResults":0}`, "InvalidMaxResultsException", "A max results value of 0 is invalid. Specify max results between 1 and 50."),
		events("too many results", `{"MaxResults":51}`, "InvalidMaxResultsException", "A max results value of 51 is invalid. Specify max results between 1 and 50."),
		events("an attribute that is none", `{"LookupAttributes":[{"AttributeKey":"Colour","AttributeValue":"red"}]}`, "ValidationException",
			fmt.Sprintf(detected, "Colour", "lookupAttributes.1.member.attributeKey")+
				"satisfy enum value set: [EventId, EventName, ReadOnly, Username, ResourceType, ResourceName, EventSource, AccessKeyId]"),
		events("a time in words", `{"StartTime":"yesterday"}`, "SerializationException", "STRING_VALUE can not be converted to milliseconds since epoch"),
		own("an account by another's root", h.alien, "CreateAccount", `{"AccountId":"777788889999"}`, "AccessDeniedException", fmt.Sprintf(notOperator, "CreateAccount")),
		own("the clock by another's root", h.alien, "AdvanceClock", `{"Seconds":1}`, "AccessDeniedException", fmt.Sprintf(notOperator, "AdvanceClock")),
		own("an account that is there", h.operator, "CreateAccount", `{"AccountId":"<ALIEN>"}`, "AlreadyExistsException", "An account with the ID <ALIEN> already exists."),
		own("an account of no id", h.operator, "CreateAccount", `{"AccountId":"11112222333x"}`, "ValidationException",
			fmt.Sprintf(detected, "11112222333x", "accountId")+`satisfy regular expression pattern: \d{12}`),
		own("the clock back", h.operator, "AdvanceClock", `{"Seconds":-1}`, "ValidationException", fmt.Sprintf(detected, "-1", "seconds")+"have value greater than or equal to 1"),
	}
}
