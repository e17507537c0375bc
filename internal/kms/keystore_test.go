package kms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/clock"
	"vigil/internal/kms"
	"vigil/internal/kms/xks"
	"vigil/internal/kms/xks/xkstest"
	"vigil/internal/store"
)

// outside is a house with a proxy that it can reach.
type outside struct {
	*house
	proxy *xkstest.Proxy
	place string

	mu      sync.Mutex
	metrics []kms.Metric
}

func openOutside(t testing.TB) *outside {
	o := &outside{proxy: xkstest.New(t), place: place(t)}
	o.house = openIn(t, o.place, clock.NewMovable(0), o.configure)
	return o
}

func (o *outside) configure(config *kms.Config) {
	config.Proxies = o.proxy.Options()
	config.PutMetrics = func(_ context.Context, account, region string, metrics []kms.Metric) error {
		if account != alice.account || region != alice.region {
			return fmt.Errorf("metrics of %s in %s", account, region)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.metrics = append(o.metrics, metrics...)
		return nil
	}
}

func (o *outside) restart(t testing.TB) {
	t.Helper()
	clk := o.house.clock
	o.house.close()
	o.house = openIn(t, o.place, clk, o.configure)
}

func newStore() *awskms.CreateCustomKeyStoreInput {
	return &awskms.CreateCustomKeyStoreInput{
		CustomKeyStoreName:   new("ExampleKeyStore"),
		CustomKeyStoreType:   types.CustomKeyStoreTypeExternalKeyStore,
		XksProxyConnectivity: types.XksProxyConnectivityTypePublicEndpoint,
		XksProxyUriEndpoint:  new(xkstest.Endpoint),
		XksProxyUriPath:      new(xkstest.Path),
		XksProxyAuthenticationCredential: &types.XksProxyAuthenticationCredentialType{
			AccessKeyId: new(xkstest.AccessKeyID), RawSecretAccessKey: new(xkstest.Secret),
		},
	}
}

func (o *outside) createStore(t testing.TB) string {
	t.Helper()
	return *must[awskms.CreateCustomKeyStoreOutput](t, o.house, alice, "CreateCustomKeyStore", newStore()).CustomKeyStoreId
}

func (o *outside) store(t testing.TB, id string) types.CustomKeyStoresListEntry {
	t.Helper()
	out := must[awskms.DescribeCustomKeyStoresOutput](t, o.house, alice, "DescribeCustomKeyStores", &awskms.DescribeCustomKeyStoresInput{CustomKeyStoreId: &id})
	if len(out.CustomKeyStores) != 1 {
		t.Fatalf("%d key stores", len(out.CustomKeyStores))
	}
	return out.CustomKeyStores[0]
}

func (o *outside) connect(t testing.TB, id string, want types.ConnectionStateType) {
	t.Helper()
	o.do(t, alice, "ConnectCustomKeyStore", &awskms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &id})
	eventually(t, "the key store is "+string(want), func() bool { return o.store(t, id).ConnectionState == want })
}

func (o *outside) disconnect(t testing.TB, id string) {
	t.Helper()
	o.do(t, alice, "DisconnectCustomKeyStore", &awskms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: &id})
}

// bound makes a connected key store with a key.
func (o *outside) bound(t testing.TB) (store string, key *types.KeyMetadata) {
	t.Helper()
	o.proxy.Add("hsm-key-1")
	store = o.createStore(t)
	o.connect(t, store, types.ConnectionStateTypeConnected)
	return store, o.create(t, alice, external(store, "hsm-key-1"))
}

func external(store, key string) awskms.CreateKeyInput {
	return awskms.CreateKeyInput{Origin: types.OriginTypeExternalKeyStore, CustomKeyStoreId: &store, XksKeyId: &key}
}

func TestCustomKeyStores(t *testing.T) {
	o := openOutside(t)
	c := o.do(t, alice, "CreateCustomKeyStore", newStore())
	if asked := o.proxy.Requests(xks.OpHealth); len(asked) != 1 || asked[0].Caller.Operation != "CreateCustomKeyStore" || asked[0].Caller.RequestID != c.RequestID {
		t.Errorf("the proxy was asked %+v", asked)
	}
	all := must[awskms.DescribeCustomKeyStoresOutput](t, o.house, alice, "DescribeCustomKeyStores", &awskms.DescribeCustomKeyStoresInput{})
	if len(all.CustomKeyStores) != 1 || all.Truncated {
		t.Fatalf("%s", asJSON(t, all))
	}
	is := all.CustomKeyStores[0]
	if p := is.XksProxyConfiguration; !strings.HasPrefix(*is.CustomKeyStoreId, "cks-") || *is.CustomKeyStoreName != "ExampleKeyStore" ||
		is.ConnectionState != "DISCONNECTED" || is.CustomKeyStoreType != "EXTERNAL_KEY_STORE" || p.Connectivity != "PUBLIC_ENDPOINT" ||
		*p.AccessKeyId != xkstest.AccessKeyID || *p.UriEndpoint != xkstest.Endpoint || *p.UriPath != xkstest.Path {
		t.Errorf("%s", asJSON(t, is))
	}
	if strings.Contains(asJSON(t, all), xkstest.Secret) {
		t.Error("the secret is shown")
	}
	id := *is.CustomKeyStoreId

	c = o.do(t, alice, "ConnectCustomKeyStore", &awskms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &id})
	if got := string(c.AdditionalEventData()); got != `{"customKeyStoreName":"ExampleKeyStore"}` || len(c.Resources()) != 0 {
		t.Errorf("the record: %s, %v", got, touched(c))
	}
	o.connect(t, id, "CONNECTED")
	o.connect(t, id, "CONNECTED") // again does nothing
	refused(t, "delete", o.try(alice, "DeleteCustomKeyStore", &awskms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &id}), "CustomKeyStoreInvalidStateException",
		"The connection state of the custom key store "+id+" is CONNECTED. This operation requires the connection state DISCONNECTED.")
	o.disconnect(t, id)
	refused(t, "disconnect", o.try(alice, "DisconnectCustomKeyStore", &awskms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: &id}), "CustomKeyStoreInvalidStateException",
		"The connection state of the custom key store "+id+" is DISCONNECTED. This operation requires the connection state CONNECTED, CONNECTING or FAILED.")
	o.do(t, alice, "DeleteCustomKeyStore", &awskms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &id})
	gone := "The custom key store " + id + " does not exist."
	for op, in := range map[string]any{
		"ConnectCustomKeyStore":    &awskms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &id},
		"DisconnectCustomKeyStore": &awskms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: &id},
		"DeleteCustomKeyStore":     &awskms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &id},
		"UpdateCustomKeyStore":     &awskms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &id, NewCustomKeyStoreName: new("x")},
		"DescribeCustomKeyStores":  &awskms.DescribeCustomKeyStoresInput{CustomKeyStoreId: &id},
	} {
		refused(t, op, o.try(alice, op, in), "CustomKeyStoreNotFoundException", gone)
	}
}

func TestCreateCustomKeyStoreRefuses(t *testing.T) {
	o := openOutside(t)
	o.createStore(t)
	for _, test := range []struct {
		what   string
		change func(*awskms.CreateCustomKeyStoreInput)
		want   string
	}{
		{"the name", func(in *awskms.CreateCustomKeyStoreInput) { in.XksProxyUriPath = new("/other/kms/xks/v1") },
			"CustomKeyStoreNameInUseException: A custom key store with the name ExampleKeyStore already exists in this account and Region."},
		{"the URI", func(in *awskms.CreateCustomKeyStoreInput) { in.CustomKeyStoreName = new("Other") },
			"XksProxyUriInUseException: The concatenation of the XksProxyUriEndpoint and XksProxyUriPath is already associated with another external key store in this account and Region."},
		{"a wrong path", func(in *awskms.CreateCustomKeyStoreInput) {
			in.CustomKeyStoreName, in.XksProxyUriPath = new("Other"), new("/other/kms/xks/v1")
		}, "XksProxyInvalidConfigurationException: The external key store proxy rejected the request because of an invalid URI path. Verify the URI path for your external key store and update if necessary."},
		{"a wrong secret", func(in *awskms.CreateCustomKeyStoreInput) {
			in.CustomKeyStoreName, in.XksProxyUriEndpoint = new("Other"), new("https://other.example.com")
			in.XksProxyAuthenticationCredential.RawSecretAccessKey = new(strings.Repeat("x", 43))
		}, "XksProxyIncorrectAuthenticationCredentialException: The external key store proxy rejected the request because it could not authenticate AWS KMS. Verify the credentials for your external key store and update if necessary."},
		{"a name that the certificate is not for", func(in *awskms.CreateCustomKeyStoreInput) {
			in.CustomKeyStoreName, in.XksProxyUriEndpoint = new("Other"), new("https://proxy.example.org")
		}, "XksProxyUriUnreachableException: AWS KMS cannot establish a TLS connection to the external key store proxy. Verify the TLS configuration, including its certificate."},
		{"an address", func(in *awskms.CreateCustomKeyStoreInput) {
			in.CustomKeyStoreName, in.XksProxyUriEndpoint = new("Other"), new("https://10.0.0.1")
		}, "ValidationException: XksProxyUriEndpoint must be https:// and a fully qualified domain name."},
		{"a VPC endpoint service", func(in *awskms.CreateCustomKeyStoreInput) {
			in.XksProxyConnectivity = types.XksProxyConnectivityTypeVpcEndpointService
			in.XksProxyVpcEndpointServiceName = new("com.amazonaws.vpce.us-west-2.vpce-svc-1")
		}, "XksProxyVpcEndpointServiceNotFoundException: The Amazon VPC endpoint service com.amazonaws.vpce.us-west-2.vpce-svc-1 does not exist: there are no Amazon VPCs here. A PUBLIC_ENDPOINT can be any address that the server reaches."},
		{"no path", func(in *awskms.CreateCustomKeyStoreInput) { in.XksProxyUriPath = nil },
			"ValidationException: XksProxyConnectivity, XksProxyUriEndpoint, XksProxyUriPath and XksProxyAuthenticationCredential are required for a custom key store of type EXTERNAL_KEY_STORE."},
		{"a cluster", func(in *awskms.CreateCustomKeyStoreInput) {
			*in = awskms.CreateCustomKeyStoreInput{CustomKeyStoreName: new("Other"), CloudHsmClusterId: new("cluster-1a23b4cdefg"),
				KeyStorePassword: new("kmsPswd"), TrustAnchorCertificate: new("-----BEGIN CERTIFICATE-----")}
		}, "CloudHsmClusterNotFoundException: The AWS CloudHSM cluster cluster-1a23b4cdefg does not exist."},
	} {
		in := newStore()
		test.change(in)
		says(t, test.what, o.try(alice, "CreateCustomKeyStore", in), test.want)
	}
	o.proxy.Managers(xks.Manager{ID: "1", Model: "m", Status: xks.Unavailable})
	in := newStore()
	in.CustomKeyStoreName, in.XksProxyUriEndpoint = new("Other"), new("https://other.example.com")
	says(t, "no manager", o.try(alice, "CreateCustomKeyStore", in), "XksProxyUriUnreachableException: The external key store proxy is in an unhealthy state. "+
		"If you see this message repeatedly, notify your external key store proxy administrator.")
	if n := o.count(t, "kms_key_store"); n != 1 {
		t.Errorf("%d key stores, of which all but one were refused", n)
	}
	o.proxy.Managers(xks.Manager{ID: "1", Model: "m", Status: xks.Active})
	if err := o.try(bob, "CreateCustomKeyStore", newStore()); err != nil {
		t.Errorf("another account's: %v", err)
	}
}

func TestTenCustomKeyStores(t *testing.T) {
	o := openOutside(t)
	o.proxy.Managers(xks.Manager{ID: "1", Model: "m", Status: xks.Degraded})
	in := newStore()
	for i := range 10 {
		in.CustomKeyStoreName, in.XksProxyUriEndpoint = new(fmt.Sprint("Store", i)), new(fmt.Sprintf("https://p%d.example.com", i))
		o.do(t, alice, "CreateCustomKeyStore", in)
	}
	in.CustomKeyStoreName, in.XksProxyUriEndpoint = new("Store"), new("https://p.example.com")
	refused(t, "the eleventh", o.try(alice, "CreateCustomKeyStore", in), "LimitExceededException",
		"The limit of 10 custom key stores in this account and Region has been reached.")
	seen := map[string]bool{}
	list := &awskms.DescribeCustomKeyStoresInput{Limit: new(int32(3))}
	for pages := 0; ; pages++ {
		out := must[awskms.DescribeCustomKeyStoresOutput](t, o.house, alice, "DescribeCustomKeyStores", list)
		for _, s := range out.CustomKeyStores {
			seen[*s.CustomKeyStoreName] = true
		}
		if list.Marker = out.NextMarker; !out.Truncated {
			if len(seen) != 10 || pages != 3 {
				t.Errorf("%d key stores on %d more pages", len(seen), pages)
			}
			break
		}
	}
	one := must[awskms.DescribeCustomKeyStoresOutput](t, o.house, alice, "DescribeCustomKeyStores", &awskms.DescribeCustomKeyStoresInput{CustomKeyStoreName: new("Store7")})
	if len(one.CustomKeyStores) != 1 || *one.CustomKeyStores[0].CustomKeyStoreName != "Store7" {
		t.Errorf("by name: %s", asJSON(t, one))
	}
	refused(t, "id and name", o.try(alice, "DescribeCustomKeyStores", &awskms.DescribeCustomKeyStoresInput{CustomKeyStoreName: new("a"), CustomKeyStoreId: new("b")}),
		"ValidationException", "CustomKeyStoreId and CustomKeyStoreName cannot both be specified.")
}

// Why a connection failed is told by its code, and it has to be disconnected before it is tried again.
func TestConnectingFails(t *testing.T) {
	o := openOutside(t)
	id := o.createStore(t)
	answer := func(status int, name string) func(*xkstest.Answer) {
		return func(a *xkstest.Answer) {
			a.Status, a.Body = status, fmt.Appendf(nil, `{"errorName":%q,"errorMessage":"no"}`, name)
		}
	}
	for _, test := range []struct {
		spoil func(*xkstest.Answer)
		want  types.ConnectionErrorCodeType
	}{
		{answer(401, "AuthenticationFailedException"), "INVALID_CREDENTIALS"},
		{answer(404, "InvalidUriPathException"), "XKS_PROXY_INVALID_CONFIGURATION"},
		{answer(403, "AccessDeniedException"), "XKS_PROXY_ACCESS_DENIED"},
		{answer(503, "DependencyTimeoutException"), "XKS_PROXY_TIMED_OUT"},
		{answer(429, "ThrottlingException"), "XKS_PROXY_NOT_REACHABLE"},
		{answer(500, "nonsense"), "XKS_PROXY_INVALID_RESPONSE"},
		{func(a *xkstest.Answer) { a.Body = bytes.ReplaceAll(a.Body, []byte("ACTIVE"), []byte("UNAVAILABLE")) }, "XKS_PROXY_NOT_REACHABLE"},
	} {
		o.proxy.Spoil(test.spoil)
		o.connect(t, id, "FAILED")
		if got := o.store(t, id).ConnectionErrorCode; got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
		err := o.try(alice, "ConnectCustomKeyStore", &awskms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &id})
		refused(t, "again", err, "CustomKeyStoreInvalidStateException",
			"The connection state of the custom key store "+id+" is FAILED. This operation requires the connection state DISCONNECTED.")
		o.disconnect(t, id)
		if is := o.store(t, id); is.ConnectionErrorCode != "" || is.ConnectionState != "DISCONNECTED" {
			t.Errorf("%s", asJSON(t, is))
		}
	}
	o.proxy.Spoil(nil)
	o.connect(t, id, "CONNECTED")
}

// What a disconnected key store was about to become is forgotten, and a restart goes on with what was begun.
func TestConnectingIsInterrupted(t *testing.T) {
	o := openOutside(t)
	id := o.createStore(t)
	wait := make(chan struct{})
	asked := make(chan struct{}, 10)
	o.proxy.Spoil(func(a *xkstest.Answer) { a.Wait = wait; asked <- struct{}{} })
	o.do(t, alice, "ConnectCustomKeyStore", &awskms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &id})
	<-asked
	if got := o.store(t, id).ConnectionState; got != "CONNECTING" {
		t.Errorf("while the proxy thinks: %s", got)
	}
	refused(t, "update", o.try(alice, "UpdateCustomKeyStore", &awskms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &id, NewCustomKeyStoreName: new("x")}),
		"CustomKeyStoreInvalidStateException", "The connection state of the custom key store "+id+" is CONNECTING. This operation requires the connection state DISCONNECTED or CONNECTED.")
	o.disconnect(t, id)
	close(wait)
	o.proxy.Spoil(nil)
	other := newStore()
	other.CustomKeyStoreName, other.XksProxyUriEndpoint = new("Other"), new("https://other.example.com")
	later := must[awskms.CreateCustomKeyStoreOutput](t, o.house, alice, "CreateCustomKeyStore", other).CustomKeyStoreId
	o.connect(t, *later, "CONNECTED") // by then the first is done with
	if got := o.store(t, id).ConnectionState; got != "DISCONNECTED" {
		t.Errorf("it was disconnected, and is %s", got)
	}

	never := make(chan struct{})
	defer close(never)
	o.proxy.Spoil(func(a *xkstest.Answer) { a.Wait = never; asked <- struct{}{} })
	o.do(t, alice, "ConnectCustomKeyStore", &awskms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &id})
	<-asked
	o.house.close()
	o.proxy.Spoil(nil)
	o.restart(t)
	eventually(t, "what was begun is done", func() bool { return o.store(t, id).ConnectionState == "CONNECTED" })
	if got := o.store(t, *later).ConnectionState; got != "CONNECTED" {
		t.Errorf("what was connected is %s after a restart", got)
	}
}

func TestUpdateCustomKeyStore(t *testing.T) {
	o := openOutside(t)
	id, key := o.bound(t)
	blob := o.encrypt(t, alice, *key.KeyId, "x", nil)
	update := func(change func(*awskms.UpdateCustomKeyStoreInput)) error {
		in := &awskms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &id}
		change(in)
		return o.try(alice, "UpdateCustomKeyStore", in)
	}
	credential := func(secret string) func(*awskms.UpdateCustomKeyStoreInput) {
		return func(in *awskms.UpdateCustomKeyStoreInput) {
			in.XksProxyAuthenticationCredential = &types.XksProxyAuthenticationCredentialType{AccessKeyId: new(xkstest.AccessKeyID), RawSecretAccessKey: &secret}
		}
	}
	endpoint := func(in *awskms.UpdateCustomKeyStoreInput) { in.XksProxyUriEndpoint = new("https://new.example.com") }
	says(t, "nothing", update(func(*awskms.UpdateCustomKeyStoreInput) {}), "ValidationException: The request does not say what to update.")
	says(t, "endpoint while connected", update(endpoint), "CustomKeyStoreInvalidStateException: The connection state of the custom key store "+id+
		" is CONNECTED. This operation requires the connection state DISCONNECTED.")

	rotated := strings.Repeat("r", 50)
	o.proxy.Set(func(_ map[string]*xkstest.Key, secrets map[string]string, paths map[string]bool) {
		secrets[xkstest.AccessKeyID] = rotated
		paths["/moved/kms/xks/v1"] = true
	})
	notKnown := "The external key store proxy rejected the request because it could not authenticate AWS KMS. Verify the credentials for your external key store and update if necessary."
	says(t, "the old secret", o.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob}), "KMSInvalidStateException: "+notKnown)
	says(t, "a wrong secret", update(credential(strings.Repeat("w", 43))), "XksProxyIncorrectAuthenticationCredentialException: "+notKnown)
	for what, change := range map[string]func(*awskms.UpdateCustomKeyStoreInput){"name": func(in *awskms.UpdateCustomKeyStoreInput) { in.NewCustomKeyStoreName = new("Renamed") },
		"secret": credential(rotated)} {
		says(t, what, update(change), "")
	}
	says(t, "path", update(func(in *awskms.UpdateCustomKeyStoreInput) { in.XksProxyUriPath = new("/moved/kms/xks/v1") }), "")
	says(t, "the new secret, without reconnecting", o.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob}), "")
	o.disconnect(t, id)
	says(t, "endpoint", update(endpoint), "")
	is := o.store(t, id)
	if p := is.XksProxyConfiguration; *is.CustomKeyStoreName != "Renamed" || *p.UriEndpoint != "https://new.example.com" || *p.UriPath != "/moved/kms/xks/v1" {
		t.Errorf("%s", asJSON(t, is))
	}
	refused(t, "delete", o.try(alice, "DeleteCustomKeyStore", &awskms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &id}), "CustomKeyStoreHasCMKsException",
		"The custom key store "+id+" contains KMS keys. Schedule their deletion, and wait until they are deleted.")
	o.do(t, alice, "ScheduleKeyDeletion", &awskms.ScheduleKeyDeletionInput{KeyId: key.KeyId, PendingWindowInDays: new(int32(7))})
	o.house.clock.Advance(8 * 24 * time.Hour)
	eventually(t, "the key is destroyed", func() bool { return o.count(t, "kms_external_key") == 0 })
	o.do(t, alice, "DeleteCustomKeyStore", &awskms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &id})
}

// Neither the records nor the database show the secret of a proxy.
func TestTheProxysSecretIsStoredWrapped(t *testing.T) {
	o := openOutside(t)
	o.createStore(t)
	var stored []byte
	err := o.db.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT secret FROM kms_key_store`).Scan(&stored)
	})
	if err != nil || len(stored) == 0 || bytes.Contains(stored, []byte(xkstest.Secret)) {
		t.Errorf("%q, %v", stored, err)
	}
	for _, r := range o.records(t, "CreateCustomKeyStore") {
		if text, _ := json.Marshal(r); bytes.Contains(text, []byte(xkstest.Secret)) {
			t.Errorf("the record holds it: %s", text)
		}
	}
}

// What is measured is what the KMS developer guide lists, each by its dimensions.
func TestMetricsOfKeyStores(t *testing.T) {
	o := openOutside(t)
	id, key := o.bound(t)
	o.encrypt(t, alice, *key.KeyId, "x", nil)
	o.encrypt(t, alice, *key.KeyId, "x", nil)
	o.proxy.Set(func(keys map[string]*xkstest.Key, _ map[string]string, _ map[string]bool) { delete(keys, "hsm-key-1") })
	if o.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("x")}) == nil {
		t.Fatal("the external key is gone")
	}
	o.proxy.Managers(xks.Manager{ID: "1", Model: "m", Status: xks.Active}, xks.Manager{ID: "2", Model: "m", Status: xks.Degraded})
	o.house.clock.Advance(3*24*time.Hour + time.Hour)
	find := func(name, dimensions string) (sum, count float64) {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, m := range o.metrics {
			var text []string
			for _, d := range m.Dimensions[1:] {
				text = append(text, d.Name+"="+d.Value)
			}
			if m.Dimensions[0] != (kms.Dimension{Name: "CustomKeyStoreId", Value: id}) {
				t.Errorf("%+v", m)
			}
			if m.Name == name && strings.Join(text, ",") == dimensions {
				for i := range m.Values {
					sum, count = sum+m.Values[i]*m.Counts[i], count+m.Counts[i]
				}
			}
		}
		return sum, count
	}
	eventually(t, "health is measured", func() bool { _, n := find("XksProxyCredentialAge", ""); return n > 0 })
	o.house.close() // hands on what is left
	if age, n := find("XksProxyCredentialAge", ""); age != 3*n {
		t.Errorf("the credential is %v days old", age/n)
	}
	for _, test := range []struct {
		name, dimensions string
		sum, count       float64 // -1 for any, above zero
	}{
		{"XksProxyLatency", "KmsOperation=Encrypt,XksOperation=Encrypt,KeySpec=SYMMETRIC_DEFAULT", -1, 3},
		{"XksProxyLatency", "KmsOperation=CreateKey,XksOperation=GetKeyMetadata,KeySpec=SYMMETRIC_DEFAULT", -1, 1},
		{"XksProxyLatency", "KmsOperation=ConnectCustomKeyStore,XksOperation=GetHealthStatus", -1, 1},
		{"XksProxyErrors", "KmsOperation=Encrypt,XksOperation=Encrypt,KeySpec=SYMMETRIC_DEFAULT,ErrorType=Non-retryable errors,ExceptionName=KMSInvalidStateException", 1, 1},
		{"XksExternalKeyManagerStates", "XksExternalKeyManagerState=Active", -1, -1},
		{"XksExternalKeyManagerStates", "XksExternalKeyManagerState=Unavailable", 0, -1},
		{"XksProxyCertificateDaysToExpire", "CertificateName=example.com", -1, -1},
	} {
		sum, count := find(test.name, test.dimensions)
		if test.sum >= 0 && sum != test.sum || test.count >= 0 && count != test.count || count == 0 {
			t.Errorf("%s %s: sum %v of %v", test.name, test.dimensions, sum, count)
		}
	}
}

var storeOperations = []string{"ConnectCustomKeyStore", "CreateCustomKeyStore", "DeleteCustomKeyStore", "DescribeCustomKeyStores", "DisconnectCustomKeyStore", "UpdateCustomKeyStore"}

func TestKeyStoreOperationsAreListed(t *testing.T) {
	h := open(t)
	for op := range h.ops {
		if strings.Contains(op, "CustomKeyStore") && !slices.Contains(storeOperations, op) {
			t.Errorf("%s is tried by no test", op)
		}
	}
}

// says checks an error against "Code: text", or against "" for none.
func says(t testing.TB, what string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
