package sigv4

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

var signedAt = time.Date(2026, 1, 2, 0, 15, 0, 0, time.UTC)

const (
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	testBody   = `{"KeyId":"alias/orders","Plaintext":"aGVsbG8="}`
)

func kmsKey() Key { return DeriveKey(testSecret, "20260102", "eu-west-1", "kms") }

// kmsRequest is an Encrypt as an SDK sends it, signed, as the server sees it.
func kmsRequest(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", "http://kms.example:4599/?a=1&b=2", strings.NewReader(testBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Amz-Sdk-Invocation-Id", "7f7b9a1c-6b0e-4a57-9f8e-6d3d2ad6ed5f")
	r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService.Encrypt")
	r.Header.Set("User-Agent", "aws-sdk-go-v2/1.47.7 ua/2.1 os/linux lang/go#1.26.8")
	if err := Sign(r, hashOf(testBody), "AKIDEXAMPLE", "token==", kmsKey(), "eu-west-1", "kms", signedAt); err != nil {
		t.Fatal(err)
	}
	return received(t, r)
}

func TestSignatureTellsWhoAndWhat(t *testing.T) {
	s, err := Parse(kmsRequest(t))
	if err != nil {
		t.Fatal(err)
	}
	const headers = "amz-sdk-invocation-id;amz-sdk-request;content-length;content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
	if s.AccessKeyID != "AKIDEXAMPLE" || s.Date != "20260102" || s.Region != "eu-west-1" || s.Service != "kms" ||
		s.SignedHeaders != headers || !s.Time.Equal(signedAt) || s.SessionToken != "token==" || s.Presigned || s.Expires != 0 {
		t.Errorf("got %s, %s, token %q, presigned %v, expires %v", s, s.SignedHeaders, s.SessionToken, s.Presigned, s.Expires)
	}
	if err := s.ScopedTo("kms"); err != nil {
		t.Error(err)
	}
	err = s.ScopedTo("sts")
	wantReason(t, err, BadScope)
	if err.Error() != "Credential should be scoped to correct service: 'sts'." {
		t.Error(err)
	}
}

// Whatever of a signed request is changed on the way, it is refused.
func TestTampering(t *testing.T) {
	setHeader := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	inAuthorization := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			before := r.Header.Get("Authorization")
			after := strings.Replace(before, old, new, 1)
			if after == before {
				t.Fatalf("%q is not in %q", old, before)
			}
			r.Header.Set("Authorization", after)
		}
	}
	for _, test := range []struct {
		name   string
		change func(*http.Request)
		want   Reason
	}{
		{"method", func(r *http.Request) { r.Method = "PUT" }, Mismatch},
		{"path", func(r *http.Request) { r.RequestURI = "/other?a=1&b=2" }, Mismatch},
		{"query value", func(r *http.Request) { r.URL.RawQuery = "a=1&b=3" }, Mismatch},
		{"query parameter more", func(r *http.Request) { r.URL.RawQuery += "&c" }, Mismatch},
		{"query parameter less", func(r *http.Request) { r.URL.RawQuery = "a=1" }, Mismatch},
		{"host", func(r *http.Request) { r.Host = "kms.other:4599" }, Mismatch},
		{"content length", func(r *http.Request) { r.ContentLength++ }, Mismatch},
		{"content length gone", func(r *http.Request) { r.ContentLength = -1 }, Mismatch},
		{"content type", setHeader("Content-Type", "application/x-amz-json-1.0"), Mismatch},
		{"operation", setHeader("X-Amz-Target", "TrentService.Decrypt"), Mismatch},
		{"second operation", func(r *http.Request) { r.Header.Add("X-Amz-Target", "TrentService.Decrypt") }, Mismatch},
		{"no operation", func(r *http.Request) { r.Header.Del("X-Amz-Target") }, Mismatch},
		{"session token", setHeader("X-Amz-Security-Token", "token="), Mismatch},
		{"time", setHeader("X-Amz-Date", "20260102T001501Z"), Mismatch},
		{"another header", setHeader("Amz-Sdk-Request", "attempt=2; max=3"), Mismatch},
		{"x-amz header more", setHeader("X-Amz-Foo", "bar"), NotSigned},
		{"region", inAuthorization("/eu-west-1/", "/eu-west-2/"), Mismatch},
		{"service", inAuthorization("/kms/", "/kmz/"), Mismatch},
		{"signature", inAuthorization("Signature=", "Signature=0000000000000000000000000000000000000000000000000000000000000000, X="), Mismatch},
		{"headers signed more", inAuthorization("host;", "host;user-agent;"), Mismatch},
		{"headers signed less", inAuthorization("content-type;", ""), Mismatch},
		{"operation not signed", inAuthorization(";x-amz-target", ""), NotSigned},
		{"token not signed", inAuthorization("x-amz-security-token;", ""), NotSigned},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := kmsRequest(t)
			test.change(r)
			s, err := Parse(r)
			if err == nil {
				err = s.Verify(r, hashOf(testBody), kmsKey(), signedAt)
			}
			wantReason(t, err, test.want)
		})
	}
	t.Run("body", func(t *testing.T) {
		r := kmsRequest(t)
		s, err := Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		wantReason(t, s.Verify(r, hashOf(testBody+" "), kmsKey(), signedAt), Mismatch)
	})
	t.Run("nothing", func(t *testing.T) {
		r := kmsRequest(t)
		r.Header.Set("User-Agent", "not signed")
		r.Header.Set("X-Amzn-Trace-Id", "set by a load balancer")
		s, err := Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(r, hashOf(testBody), kmsKey(), signedAt); err != nil {
			t.Fatal(err)
		}
	})
}

// A bit of the signature or of the key is enough to be refused.
func TestEveryBitCounts(t *testing.T) {
	r := kmsRequest(t)
	s, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 256 {
		bad := *s
		bad.mac[bit/8] ^= 1 << (bit % 8)
		wantReason(t, bad.Verify(r, hashOf(testBody), kmsKey(), signedAt), Mismatch)
		other := kmsKey().bytes
		other[bit/8] ^= 1 << (bit % 8)
		wantReason(t, s.Verify(r, hashOf(testBody), newKey(other), signedAt), Mismatch)
	}
}

// A signature in the header is good for five minutes before and after, a presigned URL until it expires.
func TestAge(t *testing.T) {
	const url = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260102%2Feu-west-1%2Fkms%2Faws4_request" +
		"&X-Amz-Date=20260102T001500Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0000000000000000000000000000000000000000000000000000000000000000"
	const second = time.Second
	for _, test := range []struct {
		expires string // of a presigned URL; "header" for the header form
		late    time.Duration
		want    string
	}{
		{"header", -5 * time.Minute, ""},
		{"header", 5 * time.Minute, ""},
		{"header", 5*time.Minute + second, "Signature expired: 20260102T001500Z is now earlier than 20260102T001501Z (20260102T002001Z - 5 min.)"},
		{"header", -5*time.Minute - second, "Signature not yet current: 20260102T001500Z is still later than 20260102T001459Z (20260102T000959Z + 5 min.)"},
		{"", 15 * time.Minute, ""},
		{"", 15*time.Minute + second, "Signature expired: 20260102T001500Z is now earlier than 20260102T001501Z (20260102T003001Z - 15 min.)"},
		{"&X-Amz-Expires=90", 90 * second, ""},
		{"&X-Amz-Expires=90", 91 * second, "Signature expired: 20260102T001500Z is now earlier than 20260102T001501Z (20260102T001631Z - 90 sec.)"},
		{"&X-Amz-Expires=90", -5 * time.Minute, ""},
		{"&X-Amz-Expires=90", -5*time.Minute - second, "Signature not yet current: 20260102T001500Z is still later than 20260102T001459Z (20260102T000959Z + 5 min.)"},
		{"&X-Amz-Expires=604800", 7 * 24 * time.Hour, ""},
	} {
		r := kmsRequest(t)
		if test.expires != "header" {
			r, _ = readRequest(t, "GET "+url+test.expires+" HTTP/1.1\nHost: example\n\n")
		}
		s, err := Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		// With the wrong key a request of acceptable age is a mismatch. The zone of now makes no difference.
		err = s.Verify(r, hashOf(testBody), newKey([32]byte{}), signedAt.Add(test.late).In(time.FixedZone("", 3600)))
		if want := cmp.Or(test.want, textMismatch); err == nil || err.Error() != want {
			t.Errorf("%s, %v late: got %v, want %q", test.expires, test.late, err, want)
		}
	}
}

// A token that was added after signing, as some signers for AWS IoT do, is refused.
func TestTokenAddedAfterSigning(t *testing.T) {
	r, body := readRequest(t, `POST / HTTP/1.1
Host:example.amazonaws.com
X-Amz-Security-Token:AQoDYXdzEPT
Authorization:AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b
X-Amz-Date:20150830T123600Z

`)
	s, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	key := DeriveKey(testSecret, s.Date, s.Region, s.Service)
	err = s.Verify(r, hashOf(body), key, s.Time)
	wantReason(t, err, NotSigned)
	if want := "'X-Amz-Security-Token' must be a 'SignedHeader' in the AWS Authorization."; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	r.Header.Del("X-Amz-Security-Token")
	if err := s.Verify(r, hashOf(body), key, s.Time); err != nil {
		t.Errorf("without the token: %v", err)
	}
}

// The IAM User Guide's example of a derived key.
func TestDeriveKey(t *testing.T) {
	key := DeriveKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20120215", "us-east-1", "iam")
	var hex string
	for _, b := range key.bytes {
		hex += fmt.Sprintf("%02x", b)
	}
	if want := "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"; hex != want {
		t.Errorf("got %s, want %s", hex, want)
	}
}

// Neither a key nor a session token gets into a log by being printed.
func TestSecretsDontPrint(t *testing.T) {
	key := kmsKey()
	r := kmsRequest(t)
	s, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	inJSON, err := json.Marshal(map[string]any{"key": key})
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{string(inJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, key), fmt.Sprintf(verb, &key), fmt.Sprintf(verb, struct{ K Key }{key}),
			fmt.Sprintf(verb, s), fmt.Sprintf(verb, *s))
	}
	for _, secret := range []string{"token", fmt.Sprintf("%x", key.bytes[:4]), fmt.Sprintf("%X", key.bytes[:4]), fmt.Sprint(key.bytes[0], " ", key.bytes[1]), fmt.Sprint(key.bytes[0], ",", key.bytes[1])} {
		if i := slices.IndexFunc(printed, func(p string) bool { return strings.Contains(p, secret) }); i >= 0 {
			t.Errorf("%q is in %q", secret, printed[i])
		}
	}
	if got := fmt.Sprint(s); got != "sigv4.Signature(AKIDEXAMPLE/20260102/eu-west-1/kms/aws4_request at 20260102T001500Z)" {
		t.Error(got)
	}
}
