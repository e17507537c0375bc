package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/httpbinding"
	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParse: nothing that comes over the wire makes Parse or Verify panic, what Parse accepts has the parts it
// promises, and nothing verifies with a key that didn't sign it.
func FuzzParse(f *testing.F) {
	suite, err := txtar.ParseFile("testdata/suite.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, example := range suite.Files {
		f.Add(example.Data)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			t.Skip()
		}
		s, err := Parse(r)
		if err != nil {
			if refusal := err.(*Error); refusal.Reason == 0 || refusal.Message == "" || len(refusal.Message) > 1000 {
				t.Errorf("%v: %q", refusal.Reason, refusal.Message)
			}
			return
		}
		if s.AccessKeyID == "" || s.Date != s.Time.Format("20060102") || !scopeName(s.Region) || !scopeName(s.Service) ||
			!s.signs("host") && !s.signs(":authority") || s.Presigned != (s.Expires > 0) || s.Expires > MaxExpires {
			t.Errorf("accepted %v, %+q, presigned %v, expires %v", s, s.SignedHeaders, s.Presigned, s.Expires)
		}
		if err := s.Verify(r, hashOf(""), newKey([32]byte{1, 2, 3}), s.Time); err == nil {
			t.Error("verified with a key that nobody has")
		} else if refusal := err.(*Error); refusal.Reason == Expired || refusal.Reason == NotYet {
			t.Errorf("at its own time: %v", err)
		}
	})
}

// FuzzSign: whatever can be sent verifies after Sign, as the server reads it; and doesn't once its body, its
// secret or a byte of its canonical request is another.
func FuzzSign(f *testing.F) {
	f.Add("POST", "http://localhost:4599/", "X-Amz-Target", "TrentService.Encrypt", "", "{}", "kms", "token")
	f.Add("GET", "http://localhost/a//b/../c%2Fd/ሴ?x=1;2&y=a+b&&=&%41=%e1", "X-Two", " a  b\t", "c", "", "s3", "")
	f.Add("PUT", "http://[::1]/~a/./|^?a=/&a-=1", "x_under", "\xe9", "", "b", "logs", "")
	f.Fuzz(func(t *testing.T, method, url, name, value1, value2, body, service, token string) {
		r, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil || !plainHost(r.URL.Host) || !scopeName(service) || setByNetHTTP(name) ||
			strings.ContainsAny(value1+value2+token, "\r\n") {
			t.Skip()
		}
		r.Header[name] = []string{value1, value2}
		key := DeriveKey(testSecret, "20260102", "eu-west-1", service)
		if err := Sign(r, hashOf(body), "AKIDEXAMPLE", token, key, "eu-west-1", service, signedAt); err != nil {
			t.Skip()
		}
		var wire bytes.Buffer
		if err := r.Write(&wire); err != nil {
			t.Skip()
		}
		got, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Skip()
		}
		s, err := Parse(got)
		if err != nil {
			if reason := err.(*Error).Reason; reason == MalformedQuery || reason == Mismatch && err.Error() == textBothForms {
				t.Skip() // too long, or already presigned
			}
			t.Fatal(err)
		}
		if err := s.Verify(got, hashOf(body), key, signedAt); err != nil {
			t.Fatal(err)
		}
		wantReason(t, s.Verify(got, hashOf(body+"x"), key, signedAt), Mismatch)
		wantReason(t, s.Verify(got, hashOf(body), DeriveKey("x", "20260102", "eu-west-1", service), signedAt), Mismatch)
		got.Method += "X"
		wantReason(t, s.Verify(got, hashOf(body), key, signedAt), Mismatch)
	})
}

// FuzzCanonical: what AWS's signer for Go signs verifies, in the header and presigned; the two agree on the canonical
// form of every path, query and header.
func FuzzCanonical(f *testing.F) {
	f.Add("/", "a=1&b=2", "X-Amz-Target", "TrentService.Encrypt", "", "{}", "token", false, false)
	f.Add("/a%2Fb/c d/é", "x=a+b&x=%2f&y&=z&a-b=1&a=2", "X-Two", " a  b ", "c", "", "", true, false)
	f.Add("/k//../%7e", "prefix=a/b;c", "Range", "bytes=0-9", "", "", "", true, true)
	ctx := context.Background()
	f.Fuzz(func(t *testing.T, path, query, name, value1, value2, body, token string, presign, s3 bool) {
		r, err := http.NewRequest("POST", "http://localhost:4599/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path, r.URL.RawQuery = "/"+strings.TrimLeft(path, "/"), query
		service := "kms"
		if s3 {
			service = "s3"
			r.URL.RawPath = httpbinding.EscapePath(r.URL.Path, false) // as the SDK's client for S3 does
		} else if !inNormalForm(r.URL.EscapedPath()) {
			t.Skip() // the SDK's signer leaves that to the client
		}
		name = http.CanonicalHeaderKey(name)
		// The SDK's signer takes a tab as it is, where AWS's other signers see a space, and trims Unicode's spaces, which
		// nobody else knows of.
		if setByNetHTTP(name) || !headerName(strings.ToLower(name)) || hasControls(value1+value2+token) || trimsOddly(value1) || trimsOddly(value2) || strings.Contains(query, "X-Amz-") {
			t.Skip()
		}
		r.Header[name] = []string{value1, value2}
		if strings.HasPrefix(name, "X-Amz-Security-Token") || strings.HasPrefix(name, "X-Amz-Date") {
			t.Skip()
		}

		credentials := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: testSecret, SessionToken: token}
		signer := sdk.NewSigner(func(o *sdk.SignerOptions) { o.DisableURIPathEscaping = s3 })
		if !presign {
			err = signer.SignHTTP(ctx, credentials, r, hashOf(body), service, "eu-west-1", signedAt)
		} else {
			r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&X-Amz-Expires=60", "&")
			var signed string
			var header http.Header
			if signed, header, err = signer.PresignHTTP(ctx, credentials, r, hashOf(body), service, "eu-west-1", signedAt); err == nil {
				if r, err = http.NewRequest("POST", signed, strings.NewReader(body)); err != nil {
					t.Skip()
				}
				header.Del("Host")
				r.Header = header
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		var wire bytes.Buffer
		if err := r.Write(&wire); err != nil {
			t.Skip()
		}
		got, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Skip()
		}
		s, err := Parse(got)
		if err != nil {
			if err.(*Error).Reason == MalformedQuery && len(got.URL.RawQuery) > 3000 {
				t.Skip()
			}
			t.Fatal(err)
		}
		if err := s.Verify(got, hashOf(body), DeriveKey(testSecret, s.Date, s.Region, s.Service), signedAt.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	})
}

// plainHost says whether net/http sends the host as it is in the URL: it leaves out an IPv6 zone and rewrites what
// isn't ASCII.
func plainHost(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune("%/\\,;=!$&'()*+_~\"<>", c)
	})
}

// setByNetHTTP names headers that net/http sends as it sees fit, and not as they are in Request.Header.
func setByNetHTTP(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "User-Agent", "Authorization", "Pragma", "Cache-Control":
		return true
	}
	return false
}

func inNormalForm(path string) bool {
	return string(appendPath(nil, path)) == string(appendPathAsItIs(nil, strings.ReplaceAll(path, "%", "%25")))
}

func trimsOddly(value string) bool { return strings.TrimSpace(value) != strings.Trim(value, " ") }

func hasControls(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}
