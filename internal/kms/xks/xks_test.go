package xks_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vigil/internal/kms/xks"
	"vigil/internal/kms/xks/xkstest"
)

func target(path string) xks.Proxy {
	return xks.Proxy{Endpoint: xkstest.Endpoint, Path: path, Region: xkstest.Region,
		Credential: xks.NewCredential(xkstest.AccessKeyID, xkstest.Secret)}
}

var caller = xks.Caller{
	PrincipalARN: "arn:aws:iam::111122223333:user/Alice", KeyARN: "arn:aws:kms:us-west-2:111122223333:key/1",
	Operation: "Encrypt", RequestID: "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
}

func TestEncryptAndDecrypt(t *testing.T) {
	proxy := xkstest.New(t)
	proxy.Add("key-1")
	c := xks.NewClient(proxy.Options())
	defer c.Close()
	ctx := context.Background()
	for _, additional := range [][]byte{nil, []byte("project=nile"), make([]byte, xks.MaxAdditionalData)} {
		sealed, err := c.Encrypt(ctx, target(xkstest.Path), "key-1", []byte("the plaintext"), additional, caller)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(sealed.Ciphertext), "plaintext") || len(sealed.Metadata) == 0 {
			t.Errorf("sealed: %q", sealed)
		}
		plaintext, err := c.Decrypt(ctx, target(xkstest.Path), "key-1", sealed, additional, caller)
		if err != nil || string(plaintext) != "the plaintext" {
			t.Errorf("%q, %v", plaintext, err)
		}
		sealed.Metadata[0]++
		if _, err := c.Decrypt(ctx, target(xkstest.Path), "key-1", sealed, additional, caller); name(err) != xks.InvalidCiphertext {
			t.Errorf("changed metadata: %v", err)
		}
	}
	asked := proxy.Requests(xks.OpEncrypt)[0]
	if asked.Caller != caller || asked.KeyID != "key-1" {
		t.Errorf("the proxy was told %+v", asked)
	}
}

func TestHealthAndMetadata(t *testing.T) {
	proxy := xkstest.New(t)
	proxy.Add("key-1")
	proxy.Managers(xks.Manager{ID: "1", Model: "m", Status: xks.Active}, xks.Manager{ID: "2", Model: "m", Status: xks.Unavailable})
	c := xks.NewClient(proxy.Options())
	health, err := c.Health(context.Background(), target(xkstest.Path), caller) // without its principal, which the proxy would refuse
	if err != nil || health.Count(xks.Active) != 1 || health.Count(xks.Unavailable) != 1 || health.Certificate == nil {
		t.Errorf("%+v, %v", health, err)
	}
	key, err := c.Metadata(context.Background(), target(xkstest.Path), "key-1", caller)
	if err != nil || key.Spec != "AES_256" || !key.Can("DECRYPT") || key.Can("SIGN") || key.Status != "ENABLED" {
		t.Errorf("%+v, %v", key, err)
	}
}

// What can go wrong has one name each, and nobody waits for it longer than allowed.
func TestFailures(t *testing.T) {
	proxy := xkstest.New(t)
	proxy.Add("key-1")
	never := make(chan struct{})
	defer close(never)
	set := func(name string, value any) func(*xkstest.Answer) {
		return func(a *xkstest.Answer) {
			var body map[string]any
			if err := json.Unmarshal(a.Body, &body); err != nil {
				t.Error(err)
			}
			if body[name] = value; value == nil {
				delete(body, name)
			}
			a.Body, _ = json.Marshal(body)
		}
	}
	answer := func(status int, body string) func(*xkstest.Answer) {
		return func(a *xkstest.Answer) { a.Status, a.Body = status, []byte(body) }
	}
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, test := range []struct {
		what  string
		spoil func(*xkstest.Answer)
		want  string
	}{
		{"an error of the specification", answer(429, `{"errorName":"ThrottlingException","errorMessage":"slow"}`), xks.Throttling},
		{"an error with a message that is no text", answer(500, `{"errorName":"InternalException","errorMessage":7}`), xks.BadAnswer},
		{"an unknown error", answer(418, `{"errorName":"TeapotException"}`), xks.BadAnswer},
		{"a page of a load balancer", answer(502, "<html>"), xks.BadAnswer},
		{"a redirect", answer(302, ""), xks.BadAnswer},
		{"no JSON", answer(200, "{"), xks.BadAnswer},
		{"an empty object", answer(200, "{}"), xks.BadAnswer},
		{"nothing", answer(200, ""), xks.BadAnswer},
		{"too much", answer(200, `{"ciphertext":"`+strings.Repeat("A", 1<<20)), xks.BadAnswer},
		{"a wrong integrity value", set("ciphertextDataIntegrityValue", b64(32)), xks.BadAnswer},
		{"no integrity value", set("ciphertextDataIntegrityValue", nil), xks.BadAnswer},
		{"another ciphertext", set("ciphertext", b64(1)), xks.BadAnswer},
		{"a short ciphertext", set("ciphertext", ""), xks.BadAnswer},
		{"a long vector", set("initializationVector", b64(17)), xks.BadAnswer},
		{"a short tag", set("authenticationTag", b64(12)), xks.BadAnswer},
		{"long metadata", set("ciphertextMetadata", b64(21)), xks.BadAnswer},
		{"no base64", set("ciphertext", "*"), xks.BadAnswer},
		{"silence", func(a *xkstest.Answer) { a.Wait = never }, xks.TimedOut},
	} {
		options := proxy.Options()
		if test.want == xks.TimedOut {
			options.Timeout = 50 * time.Millisecond
		}
		proxy.Spoil(test.spoil)
		_, err := xks.NewClient(options).Encrypt(context.Background(), target(xkstest.Path), "key-1", []byte("x"), nil, caller)
		if name(err) != test.want {
			t.Errorf("%s: %v, want %s", test.what, err, test.want)
		}
	}
	proxy.Spoil(nil)

	wrong := target(xkstest.Path)
	wrong.Credential = xks.NewCredential(xkstest.AccessKeyID, strings.Repeat("a", 43))
	good, c := target(xkstest.Path), xks.NewClient(proxy.Options())
	untrusting := proxy.Options()
	untrusting.Roots = nil
	other := good
	other.Endpoint = "https://proxy.example.org"
	for _, test := range []struct {
		what string
		c    *xks.Client
		to   xks.Proxy
		key  string
		want string
	}{
		{"a wrong secret", c, wrong, "key-1", xks.AuthenticationFailed},
		{"a wrong path", c, target("/kms/xks/v1"), "key-1", xks.InvalidURIPath},
		{"no such key", c, good, "key-2", xks.KeyNotFound},
		{"an unknown authority", xks.NewClient(untrusting), good, "key-1", xks.NoTLS},
		{"a certificate of another name", c, other, "key-1", xks.NoTLS},
	} {
		if _, err := test.c.Metadata(context.Background(), test.to, test.key, caller); name(err) != test.want {
			t.Errorf("%s: %v, want %s", test.what, err, test.want)
		}
	}
	proxy.Close()
	if _, err := xks.NewClient(proxy.Options()).Health(context.Background(), good, caller); name(err) != xks.Unreachable {
		t.Errorf("nobody listens: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Health(ctx, good, caller); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller is gone: %v", err)
	}
}

func TestLocalProxiesAreRefusedUnlessAllowed(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	to := target(xkstest.Path)
	to.Endpoint = server.URL
	options := xks.Options{Timeout: 20 * time.Second}
	_, err := xks.NewClient(options).Health(context.Background(), to, caller)
	if name(err) != xks.Unreachable || !strings.Contains(err.Error(), "local to the server") {
		t.Errorf("%v", err)
	}
	options.AllowLocal = true
	if _, err = xks.NewClient(options).Health(context.Background(), to, caller); name(err) != xks.NoTLS {
		t.Errorf("allowed: %v", err)
	}
}

// The specification's own example of a ciphertextDataIntegrityValue.
func TestIntegrityOfTheSpecification(t *testing.T) {
	unhex := func(s string) string {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	proxy := xkstest.New(t)
	proxy.Add("key-1")
	proxy.Spoil(func(a *xkstest.Answer) {
		a.Body = fmt.Appendf(nil, `{"ciphertext":%q,"initializationVector":%q,"authenticationTag":%q,"ciphertextMetadata":%q,"ciphertextDataIntegrityValue":%q}`,
			unhex("821c642b5b71783367deaf18"), unhex("1ccae5470f39700254779031"), unhex("bc1c4dda7707d6812447c5955e99b261"),
			base64.StdEncoding.EncodeToString([]byte("key_version=1")), unhex("a8703f2260bd8791ec2d15ea0b23e65a0631eedcf2a13a65cc82db3f47cf5ec7"))
	})
	_, err := xks.NewClient(proxy.Options()).Encrypt(context.Background(), target(xkstest.Path), "key-1", make([]byte, 12),
		[]byte("project=nile,department=marketing"), caller)
	if err != nil {
		t.Error(err)
	}
}

func TestTheSecretIsNotPrinted(t *testing.T) {
	p := target(xkstest.Path)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(verb, p) + fmt.Sprintf(verb, &p); strings.Contains(text, xkstest.Secret) || strings.Contains(text, hex.EncodeToString([]byte(xkstest.Secret))) {
			t.Errorf("%s shows it: %s", verb, text)
		}
	}
}

// Whatever a proxy answers, it is the specification's or refused.
func FuzzAnswers(f *testing.F) {
	proxy := xkstest.New(f)
	proxy.Add("key-1")
	c := xks.NewClient(proxy.Options())
	f.Add(200, []byte(`{"ciphertext":"AA==","initializationVector":"AAAAAAAAAAAAAAAA","authenticationTag":"AAAAAAAAAAAAAAAAAAAAAA=="}`))
	f.Add(200, []byte(`{"plaintext":"AA=="}`))
	f.Add(200, []byte(`{"keySpec":"AES_256","keyUsage":["ENCRYPT"],"keyStatus":"ENABLED"}`))
	f.Add(200, []byte(`{"xksProxyFleetSize":1,"xksProxyVendor":"","xksProxyModel":"","ekmVendor":"","ekmFleetDetails":[{"healthStatus":"ACTIVE"}]}`))
	f.Add(404, []byte(`{"errorName":"KeyNotFoundException","errorMessage":"\u0000"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 || status == 204 || status == 304 {
			return
		}
		proxy.Spoil(func(a *xkstest.Answer) { a.Status, a.Body = status, body })
		ctx, to := context.Background(), target(xkstest.Path)
		sealed, err := c.Encrypt(ctx, to, "key-1", []byte("x"), nil, caller)
		checkAnswer(t, err, len(sealed.Ciphertext) == 1 && len(sealed.Tag) == 16)
		plaintext, err := c.Decrypt(ctx, to, "key-1", xks.Sealed{Ciphertext: []byte("x"), IV: make([]byte, 12), Tag: make([]byte, 16)}, nil, caller)
		checkAnswer(t, err, len(plaintext) == 1)
		metadata, err := c.Metadata(ctx, to, "key-1", caller)
		checkAnswer(t, err, metadata.Spec != "" && metadata.Status != "")
		health, err := c.Health(ctx, to, caller)
		checkAnswer(t, err, len(health.Managers) > 0)
	})
}

func checkAnswer(t *testing.T, err error, good bool) {
	t.Helper()
	var failure *xks.Failure
	switch {
	case err == nil && !good:
		t.Fatal("an answer that is not the specification's is taken")
	case err != nil && !errors.As(err, &failure):
		t.Fatal(err)
	}
	if err != nil {
		for _, r := range failure.Detail {
			if r < ' ' || r > '~' {
				t.Fatalf("the detail is not to be logged: %q", failure.Detail)
			}
		}
	}
}

// name is that of a failure.
func name(err error) string {
	var failure *xks.Failure
	if errors.As(err, &failure) {
		return failure.Name
	}
	return ""
}
