package vigiltest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	ct "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/vigiltest"
)

// Material that was imported is used, is watched while it lasts, and is gone when it has expired, all on record.
func TestImportedMaterialExpires(t *testing.T) {
	srv := vigiltest.NewServer(t)
	client, ctx := clientOf(srv, srv.Credentials), t.Context()
	created, err := client.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternal})
	if err != nil {
		t.Fatal(err)
	}
	id := created.KeyMetadata.KeyId
	params, err := client.GetParametersForImport(ctx, &kms.GetParametersForImportInput{
		KeyId: id, WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(params.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), []byte("thirty-two bytes of key material"), nil)
	if err != nil {
		t.Fatal(err)
	}
	now := srv.Advance(t, time.Second)
	imported, err := client.ImportKeyMaterial(ctx, &kms.ImportKeyMaterialInput{
		KeyId: id, ImportToken: params.ImportToken, EncryptedKeyMaterial: sealed, ValidTo: new(now.Add(24 * time.Hour))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Encrypt(ctx, &kms.EncryptInput{KeyId: id, Plaintext: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	srv.Advance(t, 2*time.Minute)
	metrics := cloudwatch.New(cloudwatch.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: srv.Credentials})
	eventually(t, "the metric counts down", func() bool {
		out, err := metrics.GetMetricStatistics(ctx, &cloudwatch.GetMetricStatisticsInput{
			Namespace: new("AWS/KMS"), MetricName: new("SecondsUntilKeyMaterialExpiration"), Period: new(int32(60)),
			Dimensions: []cw.Dimension{{Name: new("KeyId"), Value: id}}, Statistics: []cw.Statistic{cw.StatisticMinimum},
			StartTime: new(now.Add(-time.Hour)), EndTime: new(now.Add(time.Hour))})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range out.Datapoints {
			if p.Unit != cw.StandardUnitSeconds || *p.Minimum > 86400 || *p.Minimum < 86400-3600 {
				t.Errorf("%v %s", *p.Minimum, p.Unit)
			}
		}
		return len(out.Datapoints) > 0
	})
	srv.Advance(t, 25*time.Hour)
	eventually(t, "the key waits for its material", func() bool {
		out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: id})
		if err != nil {
			t.Fatal(err)
		}
		return out.KeyMetadata.KeyState == types.KeyStatePendingImport
	})
	history := cloudtrail.New(cloudtrail.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: srv.Credentials})
	for name, part := range map[string]string{
		"ImportKeyMaterial":        fmt.Sprintf(`"responseElements":{"keyId":%q,"keyMaterialId":%q}`, *created.KeyMetadata.Arn, *imported.KeyMaterialId),
		"DeleteExpiredKeyMaterial": fmt.Sprintf(`"serviceEventDetails":{"keyId":%q,"keyMaterialId":%q}`, *id, *imported.KeyMaterialId),
	} {
		out, err := history.LookupEvents(ctx, &cloudtrail.LookupEventsInput{LookupAttributes: []ct.LookupAttribute{
			{AttributeKey: ct.LookupAttributeKeyEventName, AttributeValue: &name}}})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Events) != 1 || !strings.Contains(*out.Events[0].CloudTrailEvent, part) {
			t.Errorf("%s: %d events, the last without %s", name, len(out.Events), part)
			for _, e := range out.Events {
				t.Log(*e.CloudTrailEvent)
			}
		}
	}
}

// A key that is replicated is on record in both regions, the one call under one request id.
func TestReplicaIsOnRecordInItsRegion(t *testing.T) {
	srv := vigiltest.NewServer(t)
	client, ctx := clientOf(srv, srv.Credentials), t.Context()
	created, err := client.CreateKey(ctx, &kms.CreateKeyInput{MultiRegion: new(true)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: created.KeyMetadata.KeyId, ReplicaRegion: new("eu-west-1")}); err != nil {
		t.Fatal(err)
	}
	for region, want := range map[string]string{srv.Region: "ReplicateKey", "eu-west-1": "CreateKey"} {
		history := cloudtrail.New(cloudtrail.Options{Region: region, BaseEndpoint: &srv.URL, Credentials: srv.Credentials})
		out, err := history.LookupEvents(ctx, &cloudtrail.LookupEventsInput{LookupAttributes: []ct.LookupAttribute{
			{AttributeKey: ct.LookupAttributeKeyEventName, AttributeValue: &want}}})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Events) != 1 || !strings.Contains(*out.Events[0].CloudTrailEvent, `"keyState":"Creating"`) {
			t.Errorf("%s has %d events %s", region, len(out.Events), want)
		}
	}
}

// eventually polls until something holds that the server brings about by itself.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
