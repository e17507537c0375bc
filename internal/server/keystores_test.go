package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	watchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/kms/xks"
	"vigil/internal/kms/xks/xkstest"
	"vigil/internal/server"
)

// A key of a key manager outside is used with the SDK's own clients; what is done with it is on record without the proxy's
// credential, and how the proxy is can be watched.
func TestAnExternalKeyStore(t *testing.T) {
	ctx, dir, proxy := t.Context(), t.TempDir(), xkstest.New(t)
	proxy.Add("hsm-key-1")
	running, err := server.Start(context.Background(), server.Config{Listen: "127.0.0.1:0", Data: dir, Region: xkstest.Region, TestClock: true, Proxies: proxy.Options()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(running.Stop)
	root, err := server.ReadProfile(dir, "default")
	if err != nil {
		t.Fatal(err)
	}
	url, mine := running.URL(), static(root.AccessKeyID, root.Secret, "")
	client := kms.New(kms.Options{Region: xkstest.Region, BaseEndpoint: &url, Credentials: mine})
	watch := cloudwatch.New(cloudwatch.Options{Region: xkstest.Region, BaseEndpoint: &url, Credentials: mine})
	history := cloudtrail.New(cloudtrail.Options{Region: xkstest.Region, BaseEndpoint: &url, Credentials: mine})

	store, err := client.CreateCustomKeyStore(ctx, &kms.CreateCustomKeyStoreInput{
		CustomKeyStoreName: new("ExampleKeyStore"), CustomKeyStoreType: types.CustomKeyStoreTypeExternalKeyStore,
		XksProxyConnectivity: types.XksProxyConnectivityTypePublicEndpoint, XksProxyUriEndpoint: new(xkstest.Endpoint), XksProxyUriPath: new(xkstest.Path),
		XksProxyAuthenticationCredential: &types.XksProxyAuthenticationCredentialType{AccessKeyId: new(xkstest.AccessKeyID), RawSecretAccessKey: new(xkstest.Secret)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: store.CustomKeyStoreId}); err != nil {
		t.Fatal(err)
	}
	within(t, "the key store is connected", func() bool {
		out, err := client.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{CustomKeyStoreId: store.CustomKeyStoreId})
		if err != nil {
			t.Fatal(err)
		}
		return out.CustomKeyStores[0].ConnectionState == types.ConnectionStateTypeConnected
	})
	key, err := client.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternalKeyStore, CustomKeyStoreId: store.CustomKeyStoreId, XksKeyId: new("hsm-key-1")})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := client.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyMetadata.KeyId, Plaintext: []byte("attack at dawn")})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := client.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob})
	if err != nil || string(opened.Plaintext) != "attack at dawn" {
		t.Fatalf("%v, %v", opened, err)
	}

	created := find(t, history, trailtypes.LookupAttributeKeyEventName, "CreateCustomKeyStore")
	if len(created) != 1 {
		t.Fatalf("%d records of CreateCustomKeyStore", len(created))
	}
	wantParameters := `{"customKeyStoreName":"ExampleKeyStore","customKeyStoreType":"EXTERNAL_KEY_STORE","xksProxyConnectivity":"PUBLIC_ENDPOINT",` +
		`"xksProxyUriEndpoint":"` + xkstest.Endpoint + `","xksProxyUriPath":"` + xkstest.Path + `"}`
	if r := created[0]; !sameJSON(t, r.RequestParameters, wantParameters) || !sameJSON(t, r.ResponseElements, `{"customKeyStoreId":"`+*store.CustomKeyStoreId+`"}`) || len(r.Resources) != 0 {
		t.Errorf("%s, %s, %v", r.RequestParameters, r.ResponseElements, r.Resources)
	}
	connected := find(t, history, trailtypes.LookupAttributeKeyEventName, "ConnectCustomKeyStore")
	if r := connected[0]; r.ResponseElements != nil && string(r.ResponseElements) != "null" || !strings.Contains(string(r.AdditionalEventData), `"customKeyStoreName":"ExampleKeyStore"`) {
		t.Errorf("%s, %s", r.ResponseElements, r.AdditionalEventData)
	}

	if err := server.Operate(ctx, root, "AdvanceClock", map[string]any{"Seconds": 120}, new(struct{})); err != nil {
		t.Fatal(err)
	}
	within(t, "the proxy's latency is a metric", func() bool {
		out, err := watch.GetMetricStatistics(ctx, &cloudwatch.GetMetricStatisticsInput{
			Namespace: new("AWS/KMS"), MetricName: new("XksProxyLatency"), Period: new(int32(60)), Statistics: []watchtypes.Statistic{"SampleCount"},
			StartTime: new(time.Now().Add(-time.Hour)), EndTime: new(time.Now().Add(time.Hour)),
			Dimensions: []watchtypes.Dimension{{Name: new("CustomKeyStoreId"), Value: store.CustomKeyStoreId}, {Name: new("KmsOperation"), Value: new("Decrypt")},
				{Name: new("XksOperation"), Value: new(xks.OpDecrypt)}, {Name: new("KeySpec"), Value: new("SYMMETRIC_DEFAULT")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Datapoints) == 1 && *out.Datapoints[0].SampleCount == 1
	})
}

// within polls until something holds that the server brings about.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

func sameJSON(t *testing.T, got []byte, want string) bool {
	t.Helper()
	var a, b any
	if err := errors.Join(json.Unmarshal(got, &a), json.Unmarshal([]byte(want), &b)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(a, b)
}
