package vigiltest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	cloudtrailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/vigiltest"
)

// Encapsulate and Decapsulate, which only the newest clients have, with the Go SDK; their records have what AWS's have and
// neither the secret nor the ciphertext.
func TestEncapsulate(t *testing.T) {
	srv := vigiltest.NewServer(t)
	client := clientOf(srv, srv.Credentials)
	for _, spec := range []types.KeySpec{types.KeySpecMlKem512, types.KeySpecMlKem768, types.KeySpecMlKem1024} {
		key, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeEncapsulateDecapsulate})
		if err != nil {
			t.Fatal(err)
		}
		keyID := key.KeyMetadata.KeyId
		made, err := client.Encapsulate(t.Context(), &kms.EncapsulateInput{
			KeyId: keyID, EncapsulationAlgorithm: types.EncapsulationAlgorithmSpecMlKem,
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.Decapsulate(t.Context(), &kms.DecapsulateInput{
			KeyId: keyID, EncapsulationAlgorithm: types.EncapsulationAlgorithmSpecMlKem,
			SharedSecretCiphertextBlob: made.SharedSecretCiphertextBlob,
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.SharedSecret, made.SharedSecret) || *got.KeyId != *key.KeyMetadata.Arn {
			t.Errorf("%s: the secret is %x and then %x", spec, made.SharedSecret, got.SharedSecret)
		}
		for _, name := range []string{"Encapsulate", "Decapsulate"} {
			text := recorded(t, srv, name, *key.KeyMetadata.Arn)
			var record struct {
				RequestParameters json.RawMessage
				ResponseElements  json.RawMessage
				ReadOnly          bool
				ErrorCode         string
			}
			if err := json.Unmarshal([]byte(text), &record); err != nil {
				t.Fatal(err)
			}
			want := `{"encapsulationAlgorithm":"ML_KEM","keyId":"` + *keyID + `"}`
			if parameters := string(record.RequestParameters); parameters != want || string(record.ResponseElements) != "null" ||
				!record.ReadOnly || record.ErrorCode != "" {
				t.Errorf("%s is recorded as %s", name, text)
			}
			for _, secret := range [][]byte{made.SharedSecret, made.SharedSecretCiphertextBlob} {
				if strings.Contains(text, base64.StdEncoding.EncodeToString(secret)) {
					t.Errorf("%s: a secret is on record: %s", name, text)
				}
			}
		}
	}
}

// recorded is the record of the one call of that name about a resource.
func recorded(t *testing.T, srv *vigiltest.Server, name, resource string) string {
	t.Helper()
	trail := cloudtrail.New(cloudtrail.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: srv.Credentials})
	deadline, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		found, err := trail.LookupEvents(deadline, &cloudtrail.LookupEventsInput{LookupAttributes: []cloudtrailtypes.LookupAttribute{
			{AttributeKey: cloudtrailtypes.LookupAttributeKeyResourceName, AttributeValue: &resource},
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found.Events {
			if *e.EventName == name {
				return *e.CloudTrailEvent
			}
		}
	}
}
