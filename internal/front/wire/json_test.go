package wire

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestDecodeJSON(t *testing.T) {
	tests := []struct {
		name, operation, request string
		want                     any
	}{
		{"an empty body is an empty object", "ListKeys", ``, &kms.ListKeysInput{}},
		{"white space", "ListKeys", " {\n\t\"Limit\" : 5 }\r\n", &kms.ListKeysInput{Limit: aws.Int32(5)}},
		{"null is not set", "ListKeys", `{"Limit":null,"Marker":null}`, &kms.ListKeysInput{}},
		{"unknown members are ignored", "ListKeys", `{"limit":7,"Other":{"Limit":[1,{"a":null}]},"Limit":5}`, &kms.ListKeysInput{Limit: aws.Int32(5)}},
		{"escapes", "DescribeKey", `{"\u004beyId":"\"\\\/\u00e9\ud83d\udd11"}`, &kms.DescribeKeyInput{KeyId: aws.String("\"\\/\u00e9\U0001F511")}},
		{"an escaped slash in base64", "Decrypt", `{"CiphertextBlob":"\/\/8="}`, &kms.DecryptInput{CiphertextBlob: []byte{0xFF, 0xFF}}},
		{"an empty text is set", "DescribeKey", `{"KeyId":""}`, &kms.DescribeKeyInput{KeyId: aws.String("")}},
		{"an empty blob is set", "Decrypt", `{"CiphertextBlob":""}`, &kms.DecryptInput{CiphertextBlob: []byte{}}},
		{"an empty list is set", "CreateKey", `{"Tags":[]}`, &kms.CreateKeyInput{Tags: []types.Tag{}}},
		{"an empty map is set", "Decrypt", `{"EncryptionContext":{}}`, &kms.DecryptInput{EncryptionContext: map[string]string{}}},
		{"a bool without a pointer", "CreateKey", `{"BypassPolicyLockoutSafetyCheck":true,"MultiRegion":false}`,
			&kms.CreateKeyInput{BypassPolicyLockoutSafetyCheck: true, MultiRegion: aws.Bool(false)}},
		{"an enumeration is not judged here", "CreateKey", `{"KeySpec":"NEW"}`, &kms.CreateKeyInput{KeySpec: "NEW"}},
		{"a time in whole seconds", "ImportKeyMaterial", `{"ValidTo":1747806465}`, &kms.ImportKeyMaterialInput{ValidTo: aws.Time(time.Unix(1747806465, 0).UTC())}},
		{"a time with milliseconds", "ImportKeyMaterial", `{"ValidTo":1.747806465123E9}`,
			&kms.ImportKeyMaterialInput{ValidTo: aws.Time(time.UnixMilli(1747806465123).UTC())}},
		{"a time before 1970", "ImportKeyMaterial", `{"ValidTo":-0.5}`, &kms.ImportKeyMaterialInput{ValidTo: aws.Time(time.UnixMilli(-500).UTC())}},
		{"a whole number with a fraction", "ListKeys", `{"Limit":5.0}`, &kms.ListKeysInput{Limit: aws.Int32(5)}},
	}
	operations := sdkOperations(t, "kms", "http://127.0.0.1:1")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := operations[test.operation]
			in := o.newInput()
			if err := o.DecodeJSON([]byte(test.request), in); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(in, test.want) {
				t.Errorf("got %s, want %s", show(o.in, in), show(o.in, test.want))
			}
		})
	}
}

// The words are AWS's where it has any for the case; a body that is no JSON it answers without a message.
func TestDecodeJSONRefuses(t *testing.T) {
	const secret = "c2VjcmV0"
	tests := []struct{ operation, request, message string }{
		{"DescribeKey", `{"KeyId":1}`, "NUMBER_VALUE can not be converted to a String"},
		{"DescribeKey", `{"KeyId":true}`, "TRUE_VALUE can not be converted to a String"},
		{"DescribeKey", `{"KeyId":["c2VjcmV0"]}`, "Start of list found where not expected"},
		{"DescribeKey", `{"KeyId":{"c2VjcmV0":1}}`, "Start of structure or map found where not expected."},
		{"DescribeKey", `{"GrantTokens":"c2VjcmV0"}`, "Expected list or null"},
		{"DescribeKey", `{"GrantTokens":{}}`, "Start of structure or map found where not expected."},
		{"DescribeKey", `{"GrantTokens":[null]}`, "Null found in a list where not expected"},
		{"DescribeKey", `{"GrantTokens":[1]}`, "NUMBER_VALUE can not be converted to a String"},
		{"ListKeys", `{"Limit":"5"}`, "STRING_VALUE can not be converted to an Integer"},
		{"ListKeys", `{"Limit":5.5}`, "NUMBER_VALUE can not be converted to an Integer"},
		{"ListKeys", `{"Limit":2147483648}`, "NUMBER_VALUE can not be converted to an Integer"},
		{"ListKeys", `{"Limit":1e10}`, "NUMBER_VALUE can not be converted to an Integer"},
		{"ListKeys", `{"Limit":false}`, "FALSE_VALUE can not be converted to an Integer"},
		{"CreateKey", `{"MultiRegion":"c2VjcmV0"}`, "STRING_VALUE can not be converted to a Boolean"},
		{"CreateKey", `{"MultiRegion":1}`, "NUMBER_VALUE can not be converted to a Boolean"},
		{"CreateKey", `{"Tags":[["c2VjcmV0"]]}`, "Start of list found where not expected"},
		{"CreateKey", `{"Tags":["c2VjcmV0"]}`, "Expected null"},
		{"ImportKeyMaterial", `{"ValidTo":"2025-05-21T05:47:45Z"}`, "STRING_VALUE can not be converted to milliseconds since epoch"},
		{"ImportKeyMaterial", `{"ValidTo":1e99}`, "NUMBER_VALUE can not be converted to milliseconds since epoch"},
		{"Encrypt", `{"EncryptionContext":"c2VjcmV0"}`, "Expected map or null"},
		{"Encrypt", `{"EncryptionContext":[]}`, "Start of list found where not expected"},
		{"Encrypt", `{"EncryptionContext":{"c2VjcmV0":1}}`, "NUMBER_VALUE can not be converted to a String"},
		{"Encrypt", `{"EncryptionContext":{"c2VjcmV0":null}}`, "Null found in a map where not expected"},
		{"Encrypt", `{"EncryptionContext":{"c2VjcmV0":"1","c2VjcmV0":"2"}}`, "Duplicate member name in an object"},
		{"Encrypt", `{"KeyId":"c2VjcmV0","\u004beyId":"other"}`, "Duplicate member name in an object"},
		{"Encrypt", `{"Plaintext":"c2VjcmV0c2"}`, "STRING_VALUE can not be converted to a Blob"},
		{"Encrypt", `{"Plaintext":"c2VjcmV0\n"}`, "STRING_VALUE can not be converted to a Blob"},
		{"Encrypt", `{"Plaintext":"c2VjcmV-"}`, "STRING_VALUE can not be converted to a Blob"},
		{"Encrypt", `{"Plaintext":"c2VjcmV0cz=="}`, "STRING_VALUE can not be converted to a Blob"}, // bits left over
		{"Encrypt", `{"Plaintext":[115,101]}`, "Start of list found where not expected"},
		{"Encrypt", `[]`, "Start of list found where not expected"},
		{"Encrypt", `null`, "The request is not a JSON object"},
		{"Encrypt", `"c2VjcmV0"`, "The request is not a JSON object"},
		{"Encrypt", `{"KeyId":"c2VjcmV0"`, "Unexpected end of input"},
		{"Encrypt", `{"KeyId":"c2Vjc`, "Unexpected end of input"},
		{"Encrypt", ` `, "Unexpected end of input"},
		{"Encrypt", `{"KeyId":"c2VjcmV0",}`, "The request is not valid JSON"},
		{"Encrypt", `{"KeyId":c2VjcmV0}`, "The request is not valid JSON"},
		{"Encrypt", "{\"KeyId\":\"c2VjcmV0\xFF\"}", "The request is not valid JSON"},
		{"Encrypt", `{"KeyId":"\ud800"}`, "The request is not valid JSON"},
		{"Encrypt", "\uFEFF{}", "The request is not valid JSON"},
		{"Encrypt", `{}{}`, "Unexpected data after the end of the request"},
		{"Encrypt", `{} c2VjcmV0`, "Unexpected data after the end of the request"},
		{"Encrypt", `{"Other":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, "The request is not valid JSON"},
	}
	operations := sdkOperations(t, "kms", "http://127.0.0.1:1")
	for _, test := range tests {
		o := operations[test.operation]
		err := o.DecodeJSON([]byte(test.request), o.newInput())
		var malformed *SerializationError
		if !errors.As(err, &malformed) {
			t.Errorf("%.60s: got %v", test.request, err)
			continue
		}
		if malformed.Message != test.message {
			t.Errorf("%.60s: got %q, want %q", test.request, malformed.Message, test.message)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%.60s: %q tells what the request holds", test.request, err)
		}
	}
}

func TestDecodeJSONLeavesTheBodyAsItIs(t *testing.T) {
	o := sdkOperations(t, "kms", "http://127.0.0.1:1")["Encrypt"]
	const request = `{"\u004beyId":"k","Plaintext":"AAAA","EncryptionContext":{"a\\b":"c"},"GrantTokens":["t"],"Other":[1,{}]}`
	body := []byte(request)
	in := new(kms.EncryptInput)
	if err := o.DecodeJSON(body, in); err != nil {
		t.Fatal(err)
	}
	if string(body) != request {
		t.Errorf("the body became %s", body)
	}
	for i := range body {
		body[i] = 0 // the caller may use its buffer again
	}
	if *in.KeyId != "k" || in.EncryptionContext[`a\b`] != "c" || in.GrantTokens[0] != "t" {
		t.Errorf("the input changed with the body: %s", show(o.in, in))
	}
}

func TestAppendJSON(t *testing.T) {
	tests := []struct {
		name, service, operation string
		out                      any
		want                     string
	}{
		{"no output in the model", "kms", "EnableKey", &kms.EnableKeyOutput{}, ``},
		{"no output in the model and none given", "kms", "EnableKey", nil, ``},
		{"an output without members", "kms", "ConnectCustomKeyStore", &kms.ConnectCustomKeyStoreOutput{}, `{}`},
		{"an output and none given", "kms", "ConnectCustomKeyStore", nil, `{}`},
		{"an output and a nil pointer given", "kms", "Encrypt", (*kms.EncryptOutput)(nil), `{}`},
		{"unset members are left out, a bool without a pointer is not", "kms", "ListKeys", &kms.ListKeysOutput{}, `{"Truncated":false}`},
		{"an empty list is written", "kms", "ListKeys", &kms.ListKeysOutput{Keys: []types.KeyListEntry{}}, `{"Keys":[],"Truncated":false}`},
		{"no HTML in the escapes", "kms", "GetKeyPolicy", &kms.GetKeyPolicyOutput{Policy: aws.String("<a href=\"x\">&\n\u2028</a>")},
			`{"Policy":"<a href=\"x\">&\n` + "\u2028" + `</a>"}`},
		{"text that is not UTF-8", "kms", "GetKeyPolicy", &kms.GetKeyPolicyOutput{Policy: aws.String("a\xFFb")}, `{"Policy":"a` + "\uFFFD" + `b"}`},
		{"a time in whole seconds", "kms", "GetParametersForImport", &kms.GetParametersForImportOutput{ParametersValidTo: aws.Time(time.Unix(1747806465, 999))},
			`{"ParametersValidTo":1747806465}`},
		{"a time with milliseconds", "kms", "GetParametersForImport", &kms.GetParametersForImportOutput{ParametersValidTo: aws.Time(time.UnixMilli(1747806465120))},
			`{"ParametersValidTo":1747806465.12}`},
		{"a time before 1970", "kms", "GetParametersForImport", &kms.GetParametersForImportOutput{ParametersValidTo: aws.Time(time.UnixMilli(-1001))},
			`{"ParametersValidTo":-1.001}`},
		{"a blob", "kms", "Encrypt", &kms.EncryptOutput{CiphertextBlob: []byte{0xFB, 0xFF}}, `{"CiphertextBlob":"+/8="}`},
		{"what JSON has no number for", "cloudtrail", "ListInsightsMetricData",
			&cloudtrail.ListInsightsMetricDataOutput{Values: []float64{1, -0.5, math.NaN(), math.Inf(1), math.Inf(-1)}},
			`{"Values":[1,-0.5,"NaN","Infinity","-Infinity"]}`},
		{"lists of lists of maps", "cloudtrail", "GetQueryResults",
			&cloudtrail.GetQueryResultsOutput{QueryResultRows: [][]map[string]string{{{"b": "2", "a": "1"}}, {}}},
			`{"QueryResultRows":[[{"a":"1","b":"2"}],[]]}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := sdkOperations(t, test.service, "http://127.0.0.1:1")[test.operation]
			if got := string(o.AppendJSON([]byte(">"), test.out)); got != ">"+test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
