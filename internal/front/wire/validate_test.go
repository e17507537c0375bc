package wire

import (
	"errors"
	"strings"
	"testing"
)

// Each message is what AWS answers to the request. Those marked recorded were taken down from AWS itself, the others follow
// their form.
func TestValidationMessages(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	base64Of := func(n int) string { return strings.Repeat("AAAA", n/3) } // n divides by 3
	tests := []struct{ name, operation, request, message string }{
		{"recorded: a number below its range", "GenerateRandom", `{"NumberOfBytes":0}`,
			`1 validation error detected: Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1`},
		{"recorded: a number above its range", "GenerateRandom", `{"NumberOfBytes":1025}`,
			`1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024`},
		{"recorded: a sensitive value is not shown", "Encrypt", `{"KeyId":"k","Plaintext":"` + base64Of(4098) + `"}`,
			`1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096`},
		{"recorded: not of an enumeration", "DeriveSharedSecret", `{"KeyId":"k","PublicKey":"AAAA","KeyAgreementAlgorithm":"INVALID"}`,
			`1 validation error detected: Value 'INVALID' at 'keyAgreementAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [ECDH]`},
		{"recorded: within a list of structures", "CreateKey", `{"Tags":[{"TagKey":"k","TagValue":"` + long(257) + `"}]}`,
			`1 validation error detected: Value '` + long(257) + `' at 'tags.1.member.tagValue' failed to satisfy constraint: Member must have length less than or equal to 256`},
		{"recorded: within a list of structures", "CreateKey", `{"Tags":[{"TagKey":"` + long(129) + `","TagValue":""}]}`,
			`1 validation error detected: Value '` + long(129) + `' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length less than or equal to 128`},
		{"recorded of STS: a pattern", "AssumeRole", `{"RoleArn":"arn:aws:iam::111122223333:role/r","RoleSessionName":"with space"}`,
			`1 validation error detected: Value 'with space' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`},

		{"required", "DescribeKey", `{}`,
			`1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null`},
		{"required and null", "DescribeKey", `{"KeyId":null}`,
			`1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null`},
		{"required and sensitive", "Encrypt", `{"KeyId":"k"}`,
			`1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must not be null`},
		{"required within a list", "TagResource", `{"KeyId":"k","Tags":[{"TagKey":"a","TagValue":"b"},{"TagValue":"b"}]}`,
			`1 validation error detected: Value null at 'tags.2.member.tagKey' failed to satisfy constraint: Member must not be null`},
		{"empty text", "DescribeKey", `{"KeyId":""}`,
			`1 validation error detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1`},
		{"empty and sensitive", "Encrypt", `{"KeyId":"k","Plaintext":""}`,
			`1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1`},
		{"a binary value is not shown", "Decrypt", `{"CiphertextBlob":""}`,
			`1 validation error detected: Value at 'ciphertextBlob' failed to satisfy constraint: Member must have length greater than or equal to 1`},
		{"an empty enumeration is not a missing one", "Decrypt", `{"CiphertextBlob":"AAAA","EncryptionAlgorithm":""}`,
			`1 validation error detected: Value '' at 'encryptionAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE]`},
		{"all that is wrong is told, in order of member", "CreateAlias", `{"AliasName":"alias/a b","TargetKeyId":""}`,
			`2 validation errors detected: Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$; ` +
				`Value '' at 'targetKeyId' failed to satisfy constraint: Member must have length greater than or equal to 1`},
		{"all that is wrong with one value is told", "CreateAlias", `{"AliasName":"","TargetKeyId":"k"}`,
			`2 validation errors detected: Value '' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$; ` +
				`Value '' at 'aliasName' failed to satisfy constraint: Member must have length greater than or equal to 1`},
		{"the length of a list", "DescribeKey", `{"KeyId":"k","GrantTokens":["1","2","3","4","5","6","7","8","9","10","11"]}`,
			`1 validation error detected: Value '[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]' at 'grantTokens' failed to satisfy constraint: Member must have length less than or equal to 10`},
		{"the elements of a list, once", "DescribeKey", `{"KeyId":"k","GrantTokens":["ok","",""]}`,
			`1 validation error detected: Value '[ok, , ]' at 'grantTokens' failed to satisfy constraint: Member must satisfy constraint: ` +
				`[Member must have length less than or equal to 8192, Member must have length greater than or equal to 1]`},
		{"the length of a list of structures, which has no short form", "AssumeRole",
			`{"RoleArn":"arn:aws:iam::111122223333:role/r","RoleSessionName":"me","Tags":[` + strings.Repeat(`{"Key":"k","Value":"v"},`, 50) + `{"Key":"k","Value":"v"}]}`,
			`1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50`},
		{"a structure within a structure", "CreateCustomKeyStore",
			`{"CustomKeyStoreName":"s","XksProxyAuthenticationCredential":{"AccessKeyId":"short","RawSecretAccessKey":"not a secret"}}`,
			`4 validation errors detected: ` +
				`Value at 'xksProxyAuthenticationCredential.accessKeyId' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[A-Z2-7]+$; ` +
				`Value at 'xksProxyAuthenticationCredential.accessKeyId' failed to satisfy constraint: Member must have length greater than or equal to 20; ` +
				`Value at 'xksProxyAuthenticationCredential.rawSecretAccessKey' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9\/+=]+$; ` +
				`Value at 'xksProxyAuthenticationCredential.rawSecretAccessKey' failed to satisfy constraint: Member must have length greater than or equal to 43`},
		{"the keys and values of a map", "StartDashboardRefresh", `{"DashboardId":"d","QueryParameterValues":{"a b":"c d"}}`,
			`2 validation errors detected: ` +
				`Value '{a b=c d}' at 'queryParameterValues' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 128, ` +
				`Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: ^[a-zA-Z0-9._/\-:$]+$]; ` +
				`Value '{a b=c d}' at 'queryParameterValues' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 128, ` +
				`Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: ^[a-zA-Z0-9._/\-:]+$]`},
		{"a length is in characters", "UpdateKeyDescription", `{"KeyId":"k","Description":"` + strings.Repeat("\U0001F511", 8192) + `"}`, ""},
		{"what the model does not limit", "GenerateRandom", `{}`, ""},
	}
	operations := map[string]sdkOperation{}
	for _, name := range []string{"cloudtrail", "kms", "sts"} {
		for operation, o := range sdkOperations(t, name, "http://127.0.0.1:1") {
			operations[operation] = o
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := operations[test.operation]
			in := o.newInput()
			if err := o.DecodeJSON([]byte(test.request), in); err != nil {
				t.Fatal(err)
			}
			err := o.Validate(in)
			var invalid *ValidationError
			switch {
			case test.message == "" && err != nil:
				t.Errorf("got %v", err)
			case test.message != "" && !errors.As(err, &invalid):
				t.Errorf("got %v", err)
			case test.message != "" && invalid.Message != test.message:
				t.Errorf("got\n%s\nwant\n%s", invalid.Message, test.message)
			}
		})
	}
}

func TestValidationMessagesAreBounded(t *testing.T) {
	o := sdkOperations(t, "kms", "http://127.0.0.1:1")["TagResource"]
	in := o.newInput()
	if err := o.DecodeJSON([]byte(`{"KeyId":"k","Tags":[`+strings.Repeat(`{},`, 9999)+`{}]}`), in); err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(in); !strings.Contains(err.Error(), "100 validation errors detected: ") || len(err.Error()) > 20000 {
		t.Errorf("got %.60s... of %d bytes", err, len(err.Error()))
	}
}

// AWS has given these enumerations more values since the messages were recorded, and does not keep to an order.
func TestRecordedEnumMessages(t *testing.T) {
	operations := sdkOperations(t, "kms", "http://127.0.0.1:1")
	tests := []struct{ operation, request, message string }{
		{"CreateKey", `{"KeySpec":"HMAC_random","KeyUsage":"SIGN_VERIFY"}`,
			`1 validation error detected: Value 'HMAC_random' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: ` +
				`[RSA_2048, ECC_NIST_P384, ECC_NIST_P256, ECC_NIST_P521, HMAC_384, RSA_3072, ECC_SECG_P256K1, RSA_4096, SYMMETRIC_DEFAULT, HMAC_256, HMAC_224, HMAC_512]`},
		{"CreateKey", `{"KeyUsage":"RANDOM"}`,
			`1 validation error detected: Value 'RANDOM' at 'keyUsage' failed to satisfy constraint: Member must satisfy enum value set: ` +
				`[ENCRYPT_DECRYPT, SIGN_VERIFY, GENERATE_VERIFY_MAC]`},
		{"GenerateMac", `{"KeyId":"k","Message":"AAAA","MacAlgorithm":"INVALID"}`,
			`1 validation error detected: Value 'INVALID' at 'macAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: ` +
				`[HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]`},
	}
	split := func(message string) (text string, values []string) {
		text, set, _ := strings.Cut(strings.TrimSuffix(message, "]"), "[")
		return text, strings.Split(set, ", ")
	}
	for _, test := range tests {
		o := operations[test.operation]
		in := o.newInput()
		if err := o.DecodeJSON([]byte(test.request), in); err != nil {
			t.Fatal(err)
		}
		var invalid *ValidationError
		if !errors.As(o.Validate(in), &invalid) {
			t.Fatalf("%s is valid", test.request)
		}
		got, has := split(invalid.Message)
		want, wantValues := split(test.message)
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		for _, value := range wantValues {
			if !strings.Contains(" "+strings.Join(has, " ")+" ", " "+value+" ") {
				t.Errorf("%s is not in %v", value, has)
			}
		}
	}
}
