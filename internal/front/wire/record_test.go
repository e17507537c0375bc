package wire

//lint:file-ignore SA1019 records show members that the SDK calls deprecated

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// testdata/records holds records that AWS's documentation shows. The calls that they are of must be shown the same way.
func TestRecordsAreThoseOfTheDocumentation(t *testing.T) {
	const (
		key       = "1234abcd-12ab-34cd-56ef-1234567890ab"
		west      = "arn:aws:kms:us-west-2:111122223333:key/" + key
		symmetric = types.EncryptionAlgorithmSpecSymmetricDefault
	)
	secret := []byte("never in a record")
	tests := []struct {
		file     string
		in       any
		leaveOut []string
		out      any // compared when it is not nil
	}{
		{file: "Encrypt-1", in: &kms.EncryptInput{KeyId: aws.String(west), Plaintext: secret, EncryptionAlgorithm: symmetric,
			EncryptionContext: map[string]string{"Department": "Engineering"}}},
		{file: "Decrypt-3", in: &kms.DecryptInput{KeyId: aws.String(west), CiphertextBlob: secret, EncryptionAlgorithm: symmetric,
			EncryptionContext: map[string]string{"Purpose": "Test", "Department": "Development"},
			Recipient:         &types.RecipientInfo{AttestationDocument: secret}}},
		{file: "ListAliases-1", in: &kms.ListAliasesInput{Limit: aws.Int32(5),
			Marker: aws.String("eyJiIjoiYWxpYXMvZTU0Y2MxOTMtYTMwNC00YzEwLTliZWItYTJjZjA3NjA2OTJhIiwiYSI6ImFsaWFzL2U1NGNjMTkzLWEzMDQtNGMxMC05YmViLWEyY2YwNzYwNjkyYSJ9")}},
		{file: "TagResource-1", in: &kms.TagResourceInput{KeyId: aws.String(west),
			Tags: []types.Tag{{TagKey: aws.String("Department"), TagValue: aws.String("IT")}}}},
		{file: "CreateGrant-1", in: &kms.CreateGrantInput{KeyId: aws.String(west), GranteePrincipal: aws.String("EX_PRINCIPAL_ID"),
			Operations:  []types.GrantOperation{"Encrypt", "RetireGrant"},
			Constraints: &types.GrantConstraints{EncryptionContextSubset: map[string]string{"ContextKey1": "Value1"}},
			GrantTokens: []string{"a token"}}, leaveOut: []string{"GrantTokens"}},
		{file: "ImportKeyMaterial-2", in: &kms.ImportKeyMaterialInput{KeyId: aws.String(key), EncryptedKeyMaterial: secret, ImportToken: secret,
			ValidTo: aws.Time(time.Date(2025, 5, 21, 5, 47, 45, 0, time.UTC)), ExpirationModel: types.ExpirationModelTypeKeyMaterialExpires,
			ImportType: types.ImportTypeNewKeyMaterial, KeyMaterialDescription: aws.String("ExampleKeyMaterialA")},
			out: &kms.ImportKeyMaterialOutput{KeyId: aws.String(west), KeyMaterialId: aws.String("123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0")}},
		{file: "CreateKey-3", in: &kms.CreateKeyInput{Tags: []types.Tag{}, KeyUsage: types.KeyUsageTypeEncryptDecrypt, Description: aws.String(""),
			Origin: types.OriginTypeExternalKeyStore, MultiRegion: aws.Bool(false), KeySpec: types.KeySpecSymmetricDefault,
			CustomerMasterKeySpec: types.CustomerMasterKeySpecSymmetricDefault, CustomKeyStoreId: aws.String("cks-1234567890abcdef0"),
			XksKeyId: aws.String("bb8562717f809024")},
			out: &kms.CreateKeyOutput{KeyMetadata: &types.KeyMetadata{AWSAccountId: aws.String("111122223333"), KeyId: aws.String(key), Arn: aws.String(west),
				CreationDate: aws.Time(time.Date(2022, 12, 7, 22, 37, 45, 0, time.UTC)), Enabled: true, Description: aws.String(""),
				KeyUsage: types.KeyUsageTypeEncryptDecrypt, KeyState: types.KeyStateEnabled, Origin: types.OriginTypeExternalKeyStore,
				CustomKeyStoreId: aws.String("cks-1234567890abcdef0"), KeyManager: types.KeyManagerTypeCustomer,
				CustomerMasterKeySpec: types.CustomerMasterKeySpecSymmetricDefault, KeySpec: types.KeySpecSymmetricDefault,
				EncryptionAlgorithms: []types.EncryptionAlgorithmSpec{symmetric}, MultiRegion: aws.Bool(false),
				XksKeyConfiguration: &types.XksKeyConfigurationType{Id: aws.String("bb8562717f809024")}}}},
		{file: "ScheduleKeyDeletion-3", in: &kms.ScheduleKeyDeletionInput{PendingWindowInDays: aws.Int32(30),
			KeyId: aws.String("arn:aws:kms:us-west-2:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321")},
			out: &kms.ScheduleKeyDeletionOutput{KeyId: aws.String("arn:aws:kms:us-west-2:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321"),
				DeletionDate: aws.Time(time.Date(2021, 11, 2, 23, 25, 25, 0, time.UTC)), KeyState: types.KeyStatePendingDeletion, PendingWindowInDays: aws.Int32(30)}},
		{file: "GenerateRandom-1", in: &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(32)}, leaveOut: []string{"*"},
			out: &kms.GenerateRandomOutput{Plaintext: secret, CiphertextForRecipient: secret}},
	}
	operations := sdkOperations(t, "kms", "http://127.0.0.1:1")
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", "records", test.file+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var record struct {
				EventName                           string
				RequestParameters, ResponseElements json.RawMessage
			}
			if err := json.Unmarshal(text, &record); err != nil {
				t.Fatal(err)
			}
			o := operations[record.EventName]
			if got := o.AppendRequestRecord(nil, test.in, test.leaveOut); !sameJSON(t, got, record.RequestParameters) {
				t.Errorf("request: got\n%s\nwant\n%s", got, record.RequestParameters)
			}
			if test.out == nil {
				return
			}
			if got := o.AppendResponseRecord(nil, test.out); !sameJSON(t, got, record.ResponseElements) {
				t.Errorf("response: got\n%s\nwant\n%s", got, record.ResponseElements)
			}
		})
	}
}

func TestRecordForm(t *testing.T) {
	operations := sdkOperations(t, "kms", "http://127.0.0.1:1")
	operations["GetSessionToken"] = sdkOperations(t, "sts", "http://127.0.0.1:1")["GetSessionToken"]
	encrypt := operations["Encrypt"]
	tests := []struct{ name, got, want string }{
		{"nothing set", string(encrypt.AppendRequestRecord(nil, &kms.EncryptInput{}, nil)), `null`},
		{"only secrets set", string(encrypt.AppendRequestRecord(nil, &kms.EncryptInput{Plaintext: []byte("secret")}, nil)), `null`},
		{"a member left out", string(encrypt.AppendRequestRecord([]byte(`:`), &kms.EncryptInput{KeyId: aws.String("k"), DryRun: aws.Bool(true)}, []string{"DryRun"})),
			`:{"keyId":"k"}`},
		{"empty lists and maps that are set", string(encrypt.AppendRequestRecord(nil, &kms.EncryptInput{GrantTokens: []string{}, EncryptionContext: map[string]string{}}, nil)),
			`{"encryptionContext":{},"grantTokens":[]}`},
		{"the keys of a map stay, in order", string(encrypt.AppendRequestRecord(nil, &kms.EncryptInput{EncryptionContext: map[string]string{"b": "1", "Zone": "2", "A": "3"}}, nil)),
			`{"encryptionContext":{"A":"3","Zone":"2","b":"1"}}`},
		{"a structure of secrets", string(operations["CreateCustomKeyStore"].AppendRequestRecord(nil, &kms.CreateCustomKeyStoreInput{
			CustomKeyStoreName: aws.String("s"), KeyStorePassword: aws.String("secret"), XksProxyAuthenticationCredential: &types.XksProxyAuthenticationCredentialType{
				AccessKeyId: aws.String("secret"), RawSecretAccessKey: aws.String("secret")}}, nil)), `{"customKeyStoreName":"s"}`},
		{"no output", string(encrypt.AppendResponseRecord(nil, nil)), `null`},
		{"an output with a nil pointer", string(encrypt.AppendResponseRecord(nil, (*kms.EncryptOutput)(nil))), `null`},
		{"an afternoon, in UTC", string(operations["ImportKeyMaterial"].AppendRequestRecord(nil, &kms.ImportKeyMaterialInput{
			ValidTo: aws.Time(time.Date(2024, 11, 30, 21, 43, 17, 0, time.FixedZone("", 3600)))}, nil)), `{"validTo":"Nov 30, 2024, 8:43:17 PM"}`},
		{"a structure that keeps some of its members", string(operations["GetSessionToken"].AppendResponseRecord(nil, &sts.GetSessionTokenOutput{
			Credentials: &ststypes.Credentials{AccessKeyId: aws.String("ASIA"), SecretAccessKey: aws.String("secret")}})), `{"credentials":{"accessKeyId":"ASIA"}}`},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, test.got, test.want)
		}
	}
}
