package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// received sends a client's request through net/http's own writer and reader.
func received(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// requests are some of the shapes that requests to AWS have. Their paths are in normal form, because AWS's signer for
// Go leaves the normal form to its caller.
var requests = []struct {
	name, service, method, url, body string
	header                           http.Header
	token                            string
}{
	{name: "kms", service: "kms", method: "POST", url: "https://kms.eu-west-1.amazonaws.com/", body: testBody,
		header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {"TrentService.Encrypt"}}},
	{name: "session", service: "kms", method: "POST", url: "http://127.0.0.1:4599/", body: testBody, token: "FwoGZXIvYXdzEBYaD+/==",
		header: http.Header{"X-Amz-Target": {"TrentService.Decrypt"}, "User-Agent": {"x"}, "X-Amzn-Trace-Id": {"y"}}},
	{name: "no path", service: "kms", method: "POST", url: "http://[::1]:4599", body: "{}"},
	{name: "empty post", service: "sts", method: "POST", url: "https://sts.amazonaws.com/"},
	{name: "query get", service: "sts", method: "GET", url: "https://sts.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15", token: "t"},
	{name: "form", service: "sts", method: "POST", url: "https://sts.amazonaws.com/", body: "Action=AssumeRole&Version=2011-06-15",
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}},
	{name: "cbor", service: "monitoring", method: "POST", url: "http://localhost/service/GraniteServiceVersion20100801/operation/PutMetricData",
		body: "\xbf\xff", header: http.Header{"Smithy-Protocol": {"rpc-v2-cbor"}}},
	{name: "odd query", service: "sns", method: "GET", url: "http://localhost/?b=2&a=x+y&a=%2F&a=1%3B2&%E1%88%B4=%7E&=v&c&a-b=1&A=%25"},
	{name: "odd path", service: "logs", method: "DELETE", url: "http://localhost/a%2Fb/c%20d/ሴ/~-._/=@:+,!*'()/"},
	{name: "odd headers", service: "logs", method: "PUT", url: "http://localhost/", body: "x", header: http.Header{
		"X-Two": {"b", "a"}, "X-Amz-Meta-A": {"  a  b   c "}, "X-Empty": {""}, "X-Quoted": {`"a   b"`}, "Accept-Encoding": {"identity"},
		"X-Cafe": {"caf\xc3\xa9"}, "A": {"1"}, "Z": {"1"}, "X_under": {"1"}}},
	{name: "s3", service: "s3", method: "GET", url: "http://localhost/bucket/a//b/../c%20d/%E1%88%B4?list-type=2&prefix=a%2Fb"},
}

// What AWS's signer for Go signs verifies, and so does what Sign signs, in the header and in presigned URLs.
func TestSigners(t *testing.T) {
	ctx := context.Background()
	for _, test := range requests {
		build := func(t *testing.T) *http.Request {
			r, err := http.NewRequest(test.method, test.url, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range test.header {
				r.Header[name] = values
			}
			return r
		}
		credentials := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: testSecret, SessionToken: test.token}
		options := func(o *sdk.SignerOptions) { o.DisableURIPathEscaping = test.service == "s3" }
		verify := func(t *testing.T, r *http.Request, presigned bool) {
			got := received(t, r)
			s, err := Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			if s.AccessKeyID != "AKIDEXAMPLE" || s.SessionToken != test.token || s.Presigned != presigned || !s.Time.Equal(signedAt) {
				t.Errorf("got %s, token %q, presigned %v", s, s.SessionToken, s.Presigned)
			}
			if err := s.Verify(got, hashOf(test.body), DeriveKey(testSecret, s.Date, s.Region, s.Service), signedAt); err != nil {
				t.Error(err)
			}
		}

		t.Run(test.name+"/sdk", func(t *testing.T) {
			r := build(t)
			if err := sdk.NewSigner(options).SignHTTP(ctx, credentials, r, hashOf(test.body), test.service, "eu-west-1", signedAt); err != nil {
				t.Fatal(err)
			}
			verify(t, r, false)
		})
		t.Run(test.name+"/sdk presigned", func(t *testing.T) {
			r := build(t)
			r.URL.RawQuery += "&X-Amz-Expires=60"
			signed, header, err := sdk.NewSigner(options).PresignHTTP(ctx, credentials, r, hashOf(test.body), test.service, "eu-west-1", signedAt)
			if err != nil {
				t.Fatal(err)
			}
			if r, err = http.NewRequest(test.method, signed, strings.NewReader(test.body)); err != nil {
				t.Fatal(err)
			}
			header.Del("Host")
			r.Header = header
			verify(t, r, true)
		})
		t.Run(test.name+"/own", func(t *testing.T) {
			r := build(t)
			key := DeriveKey(testSecret, "20260102", "eu-west-1", test.service)
			if err := Sign(r, hashOf(test.body), "AKIDEXAMPLE", test.token, key, "eu-west-1", test.service, signedAt); err != nil {
				t.Fatal(err)
			}
			verify(t, r, false)
		})
	}
}

// A real server sees what was signed, over HTTP/1.1 and HTTP/2.
func TestOverTheNetwork(t *testing.T) {
	key := DeriveKey(testSecret, "20260102", "us-east-1", "kms")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			var s *Signature
			if s, err = Parse(r); err == nil {
				err = s.Verify(r, hashOf(string(body)), key, signedAt)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		io.WriteString(w, r.Proto)
	})
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		server := httptest.NewUnstartedServer(handler)
		server.EnableHTTP2 = proto == "HTTP/2.0"
		server.StartTLS()
		t.Cleanup(server.Close)
		for _, body := range []string{"", testBody} {
			r, err := http.NewRequest("POST", server.URL+"/a%20b/?x=1&x=%2f", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("x-amz-target", "TrentService.Encrypt")
			r.Header.Add("X-Note", "one")
			r.Header.Add("X-Note", "  two   three ")
			if err := Sign(r, hashOf(body), "AKIDEXAMPLE", "token", key, "us-east-1", "kms", signedAt); err != nil {
				t.Fatal(err)
			}
			answer, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err != nil || string(text) != proto {
				t.Errorf("%s: got %q, %v", proto, text, err)
			}
		}
	}
}

// Signing again, as a retry does, replaces what the first time had set, whatever the spelling of the headers.
func TestSignAgain(t *testing.T) {
	r, err := http.NewRequest("POST", "http://localhost/", strings.NewReader(testBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header["x-amz-date"] = []string{"20200101T000000Z"}
	r.Header["authorization"] = []string{"Basic x"}
	r.Header["X-AMZ-SECURITY-TOKEN"] = []string{"old"}
	r.Header["x-note"] = []string{"b"}
	r.Header["X-Note"] = []string{"a"}
	for i := range 2 {
		at := signedAt.Add(time.Duration(i) * time.Second)
		if err := Sign(r, hashOf(testBody), "AKIDEXAMPLE", "", kmsKey(), "eu-west-1", "kms", at); err != nil {
			t.Fatal(err)
		}
		got := received(t, r)
		s, err := Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		if s.SessionToken != "" || !s.Time.Equal(at) || s.SignedHeaders != "content-length;host;x-amz-date;x-note" {
			t.Errorf("got %s, token %q, %s", s, s.SessionToken, s.SignedHeaders)
		}
		if err := s.Verify(got, hashOf(testBody), kmsKey(), at); err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(strings.NewReader(testBody))
	}
}

func TestCantSign(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"query":       func(r *http.Request) { r.URL.RawQuery = "a=%zz" },
		"header name": func(r *http.Request) { r.Header["X Y"] = []string{"1"} },
		"opaque":      func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Opaque: "//localhost/a"} },
	} {
		r, err := http.NewRequest("GET", "http://localhost/", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		if err := Sign(r, hashOf(""), "AKIDEXAMPLE", "", kmsKey(), "eu-west-1", "kms", signedAt); err == nil {
			t.Errorf("%s: signed", name)
		} else if r.Header.Get("Authorization") != "" {
			t.Errorf("%s: not signed (%v), but has an Authorization header", name, err)
		}
	}
}
