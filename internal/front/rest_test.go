package front_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/front/sigv4"
)

// s3 is a request for S3, signed with a form of payload, or with the SHA-256 of the body when that is empty.
func (h *house) s3(who signer, method, path, body, form string, headers ...string) *http.Request {
	r := h.request(method, path, body)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	if form == "" {
		return who.to("s3").sign(r)
	}
	at := time.Now()
	if !who.at.IsZero() {
		at = who.at
	}
	key := sigv4.DeriveKey(who.secret, at.UTC().Format("20060102"), who.region, "s3")
	if err := sigv4.Sign(r, form, who.id, who.token, key, who.region, "s3", at); err != nil {
		panic(err)
	}
	return r
}

// chunked is a put whose body is aws-chunked and signed, by the S3 API Reference's own words and not by the code under test. change may
// alter the body.
func (h *house) chunked(path string, change func(string) string, chunks ...string) *http.Request {
	total := len(strings.Join(chunks, ""))
	at := time.Now().UTC()
	who := h.operator
	who.at = at
	r := h.s3(who, http.MethodPut, path, "", sigv4.StreamingPayload, "X-Amz-Decoded-Content-Length", fmt.Sprint(total), "Content-Encoding", "aws-chunked")
	_, prior, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	mac := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	scope := at.Format("20060102") + "/us-east-1/s3/aws4_request"
	key := []byte("AWS4" + h.operator.secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	hash := func(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:]) }
	var body strings.Builder
	for _, chunk := range append(chunks, "") {
		prior = hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256-PAYLOAD\n"+at.Format("20060102T150405Z")+"\n"+scope+"\n"+prior+"\n"+hash("")+"\n"+hash(chunk)))
		fmt.Fprintf(&body, "%x;chunk-signature=%s\r\n%s\r\n", len(chunk), prior, chunk)
	}
	text := change(body.String())
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	return r
}

func same(s string) string { return s }

// TestS3Refusals holds what requests for S3 are refused with, and that none of them has changed anything.
func TestS3Refusals(t *testing.T) {
	h := newHouse(t)
	for _, setup := range []*http.Request{h.s3(h.operator, "PUT", "/bucket", "", ""), h.s3(h.operator, "PUT", "/bucket/key", "kept", "")} {
		if resp, body := send(t, setup); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", setup.URL, body)
		}
	}
	hash := hex.EncodeToString(make([]byte, 32))
	late := h.operator
	late.at = time.Now().Add(-time.Hour)
	stranger := h.operator
	stranger.id = "AKIAIOSFODNN7EXAMPLE"
	wrong := h.operator
	wrong.secret = "x" + wrong.secret
	changed := func(r *http.Request, change func(*http.Request)) *http.Request { change(r); return r }
	put := func(form, body string, headers ...string) *http.Request {
		return h.s3(h.operator, "PUT", "/bucket/key", body, form, headers...)
	}
	for _, c := range []struct {
		name    string
		request *http.Request
		status  int
		code    string
	}{
		{"not signed", h.request("GET", "/bucket/key", ""), 403, "AccessDenied"},
		{"put that is not signed", h.request("PUT", "/bucket/key", "x"), 403, "AccessDenied"},
		{"the old signature", changed(h.request("GET", "/bucket/key", ""), func(r *http.Request) { r.Header.Set("Authorization", "AWS AKIA:abc") }), 400, "InvalidRequest"},
		{"the old signature in the URL", changed(h.request("GET", "/bucket/key", ""), func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "AWSAccessKeyId=AKIA&Signature=abc&Expires=1"
		}), 400, "InvalidRequest"},
		{"an unknown key", h.s3(stranger, "GET", "/bucket/key", "", ""), 403, "InvalidAccessKeyId"},
		{"a wrong secret", h.s3(wrong, "GET", "/bucket/key", "", ""), 403, "SignatureDoesNotMatch"},
		{"an hour ago", h.s3(late, "GET", "/bucket/key", "", ""), 403, "RequestTimeTooSkewed"},
		{"another key", changed(put("", "x"), func(r *http.Request) { r.URL.Path = "/bucket/other" }), 403, "SignatureDoesNotMatch"},
		{"a header that is not signed", changed(put("", "x"), func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "b") }), 403, "AccessDenied"},
		{"no payload form", changed(put("", "x"), func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }), 400, "InvalidRequest"},
		{"a payload form that is none", put("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "x"), 400, "InvalidArgument"},
		{"another body", put(hash, "x"), 400, "XAmzContentSHA256Mismatch"},
		{"a chunk that was changed", h.chunked("/bucket/key", func(s string) string { return strings.Replace(s, "aaa", "aab", 1) }, "aaaa", "bbbb"), 403, "SignatureDoesNotMatch"},
		{"a chunk left out", h.chunked("/bucket/key", func(s string) string { return s[strings.Index(s, "aaaa\r\n")+6:] }, "aaaa", "bbbb"), 403, "SignatureDoesNotMatch"},
		{"the end left out", h.chunked("/bucket/key", func(s string) string { return s[:strings.Index(s, "\r\n0;")+2] }, "aaaa", "bbbb"), 400, "IncompleteBody"},
		{"chunks without their length", put(sigv4.StreamingUnsigned, "0\r\n\r\n", "Content-Encoding", "aws-chunked"), 411, "MissingContentLength"},
		{"fewer bytes than said", put(sigv4.StreamingUnsigned, "1\r\na\r\n0\r\n\r\n", "X-Amz-Decoded-Content-Length", "2"), 400, "IncompleteBody"},
		{"more bytes than said", put(sigv4.StreamingUnsigned, "3\r\nabc\r\n0\r\n\r\n", "X-Amz-Decoded-Content-Length", "2"), 400, "IncompleteBody"},
		{"a trailer that is not right", put(sigv4.StreamingUnsigned, "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "X-Amz-Decoded-Content-Length", "3", "X-Amz-Trailer", "x-amz-checksum-crc32"), 400, "BadDigest"},
		{"a trailer that did not come", put(sigv4.StreamingUnsigned, "3\r\nabc\r\n0\r\n\r\n", "X-Amz-Decoded-Content-Length", "3", "X-Amz-Trailer", "x-amz-checksum-crc32"), 400, "MalformedTrailerError"},
		{"a trailer of an unknown kind", put(sigv4.StreamingUnsigned, "3\r\nabc\r\n0\r\nx-amz-checksum-crc16:AAA=\r\n\r\n", "X-Amz-Decoded-Content-Length", "3", "X-Amz-Trailer", "x-amz-checksum-crc16"), 400, "InvalidRequest"},
		{"another account", h.s3(h.alien, "GET", "/bucket/key", "", ""), 403, "AccessDenied"},
		{"another account's put", h.s3(h.alien, "PUT", "/bucket/key", "x", ""), 403, "AccessDenied"},
		{"another account's bucket again", h.s3(h.alien, "PUT", "/bucket", "", ""), 409, "BucketAlreadyExists"},
		{"a bucket in another region", h.s3(h.operator.in("eu-west-1"), "PUT", "/other-bucket", "", ""), 400, "IllegalLocationConstraintException"},
		{"a bucket's name", h.s3(h.operator, "PUT", "/Bucket", "", ""), 400, "InvalidBucketName"},
		{"a bucket that is a path", h.s3(h.operator, "PUT", "/..%2fx", "", ""), 404, "NoSuchBucket"},
		{"no such bucket", h.s3(h.operator, "GET", "/no-such/key", "", ""), 404, "NoSuchBucket"},
		{"no such bucket that is a path", h.s3(h.operator, "GET", "/.tmp/key", "", ""), 404, "NoSuchBucket"},
		{"no such key", h.s3(h.operator, "GET", "/bucket/key/../key", "", ""), 404, "NoSuchKey"},
		{"not empty", h.s3(h.operator, "DELETE", "/bucket", "", ""), 409, "BucketNotEmpty"},
		{"an ACL", h.s3(h.operator, "GET", "/bucket?acl", "", ""), 501, "NotImplemented"},
		{"a public object", put("", "x", "X-Amz-Acl", "public-read"), 501, "NotImplemented"},
		{"encryption", put("", "x", "X-Amz-Server-Side-Encryption", "aws:kms"), 501, "NotImplemented"},
		{"another owner than is expected", h.s3(h.operator, "GET", "/bucket/key", "", "", "X-Amz-Expected-Bucket-Owner", "999999999999"), 403, "AccessDenied"},
		{"a put for another owner", put("", "x", "X-Amz-Expected-Bucket-Owner", "999999999999"), 403, "AccessDenied"},
		{"a copy from another owner", put("", "", "X-Amz-Copy-Source", "/bucket/key", "X-Amz-Metadata-Directive", "REPLACE", "X-Amz-Source-Expected-Bucket-Owner", "999999999999"), 403, "AccessDenied"},
		{"metadata that is no text", put("", "x", "X-Amz-Meta-Name", "M\xfcller"), 400, "InvalidArgument"},
		{"a deletion on a condition", h.s3(h.operator, "DELETE", "/bucket/key", "", "", "If-Match", `"0"`), 501, "NotImplemented"},
		{"a method", h.s3(h.operator, "PATCH", "/bucket/key", "", ""), 405, "MethodNotAllowed"},
		{"XML that is none", h.s3(h.operator, "POST", "/bucket?delete", "<Delete>", ""), 400, "MalformedXML"},
	} {
		resp, body := send(t, c.request)
		if resp.StatusCode != c.status || !bytes.Contains(body, []byte("<Error><Code>"+c.code+"</Code>")) {
			t.Errorf("%s: %d %s, want %d %s", c.name, resp.StatusCode, body, c.status, c.code)
		}
		if c.name == "another account's put" && !bytes.Contains(body, []byte("<Message>Access Denied</Message>")) {
			t.Errorf("%s: %s", c.name, body)
		}
		h.noSecrets(t, string(body))
		if _, body := send(t, h.s3(h.operator, "GET", "/bucket/key", "", "")); string(body) != "kept" {
			t.Fatalf("%s: then the object is %q", c.name, body)
		}
	}
}

// A condition on one of several deletions is refused for that one alone.
func TestS3DeletesNothingOnAConditionThatIsNotBuilt(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/bucket", "/bucket/etag", "/bucket/time", "/bucket/size", "/bucket/plain"} {
		send(t, h.s3(h.operator, "PUT", path, "", ""))
	}
	_, body := send(t, h.s3(h.operator, "POST", "/bucket?delete", `<Delete><Object><Key>etag</Key><ETag>"0"</ETag></Object>
		<Object><Key>time</Key><LastModifiedTime>Mon, 01 Jan 2001 00:00:00 GMT</LastModifiedTime></Object>
		<Object><Key>size</Key><Size>7</Size></Object><Object><Key>plain</Key></Object></Delete>`, ""))
	if n := bytes.Count(body, []byte("<Code>NotImplemented</Code>")); n != 3 || !bytes.Contains(body, []byte("<Deleted><Key>plain</Key></Deleted>")) {
		t.Errorf("the answer is %s", body)
	}
	if _, body := send(t, h.s3(h.operator, "GET", "/bucket", "", "")); bytes.Count(body, []byte("<Contents>")) != 3 {
		t.Errorf("what is left: %s", body)
	}
}

// What a client says of an upload in parts has to be so.
func TestS3UploadsThatAreNotAsWasSaid(t *testing.T) {
	h := newHouse(t)
	send(t, h.s3(h.operator, "PUT", "/bucket", "", ""))
	_, body := send(t, h.s3(h.operator, "POST", "/bucket/key?uploads", "", "", "X-Amz-Checksum-Algorithm", "SHA256"))
	_, id, _ := strings.Cut(string(body), "<UploadId>")
	id, _, _ = strings.Cut(id, "<")
	resp, body := send(t, h.s3(h.operator, "PUT", "/bucket/key?partNumber=1&uploadId="+id, "hello", "", "X-Amz-Checksum-Crc32", "NhCmhg=="))
	if resp.StatusCode != http.StatusBadRequest || !bytes.Contains(body, []byte("expected checksum Type: sha256, actual checksum Type: crc32")) {
		t.Errorf("a part with another checksum: %s", body)
	}
	resp, body = send(t, h.s3(h.operator, "PUT", "/bucket/key?partNumber=1&uploadId="+id, "hello", ""))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("a part: %s", body)
	}
	complete := func(size string) *http.Response {
		resp, _ := send(t, h.s3(h.operator, "POST", "/bucket/key?uploadId="+id, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+
			resp.Header.Get("Etag")+"</ETag></Part></CompleteMultipartUpload>", "", "X-Amz-Mp-Object-Size", size))
		return resp
	}
	if resp := complete("6"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("with another size: %s", resp.Status)
	}
	if resp, _ := send(t, h.s3(h.operator, "HEAD", "/bucket/key", "", "")); resp.StatusCode != http.StatusNotFound {
		t.Errorf("then the object: %s", resp.Status)
	}
	if resp := complete("5"); resp.StatusCode != http.StatusOK {
		t.Errorf("with its size: %s", resp.Status)
	}
}

// TestS3Forms puts and reads in each form that clients have.
func TestS3Forms(t *testing.T) {
	h := newHouse(t)
	for _, bucket := range []string{"/bucket", "/metrics", "/health"} { // whatever else has the path
		if resp, body := send(t, h.s3(h.operator, "PUT", bucket, "", "")); resp.StatusCode != http.StatusOK || resp.Header.Get("Location") != bucket {
			t.Errorf("%s: %s", bucket, body)
		}
	}
	for name, r := range map[string]*http.Request{
		"a hash":              h.s3(h.operator, "PUT", "/bucket/key", "aaaabbbb", ""),
		"not signed":          h.s3(h.operator, "PUT", "/bucket/key", "aaaabbbb", sigv4.UnsignedPayload),
		"signed chunks":       h.chunked("/bucket/key", same, "aaaa", "bbbb"),
		"chunks and trailer":  h.s3(h.operator, "PUT", "/bucket/key", "4\r\naaaa\r\n4\r\nbbbb\r\n0\r\nx-amz-checksum-crc32:HVOTiA==\r\n\r\n", sigv4.StreamingUnsigned, "X-Amz-Trailer", "x-amz-checksum-crc32", "X-Amz-Decoded-Content-Length", "8"),
		"the bucket as host":  h.s3(h.operator, "PUT", "/key", "aaaabbbb", "", "Host", "bucket.localhost"),
		"a path not in order": h.s3(h.operator, "PUT", "/bucket/k%65y", "aaaabbbb", ""),
	} {
		if resp, body := send(t, r); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, body)
			continue
		}
		if _, body := send(t, h.s3(h.operator, "GET", "/bucket/key", "", "")); string(body) != "aaaabbbb" {
			t.Errorf("%s: it reads %q", name, body)
		}
		send(t, h.s3(h.operator, "DELETE", "/bucket/key", "", ""))
	}
}

// Readers of digest files look for their signatures under names in lower case.
func TestS3MetadataIsInLowerCaseOnTheWire(t *testing.T) {
	h := newHouse(t)
	send(t, h.s3(h.operator, "PUT", "/bucket", "", ""))
	send(t, h.s3(h.operator, "PUT", "/bucket/digest", "x", "", "X-Amz-Meta-Signature-Algorithm", "SHA256withRSA"))
	for _, method := range []string{"GET", "HEAD"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		r := h.s3(h.operator, method, "/bucket/digest", "", "")
		r.Close = true
		if err := r.Write(conn); err != nil {
			t.Fatal(err)
		}
		wire, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || !bytes.Contains(wire, []byte("\r\nx-amz-meta-signature-algorithm: SHA256withRSA\r\n")) || !bytes.Contains(wire, []byte("\r\nContent-Length: 1\r\n")) {
			t.Errorf("%s: %s %v", method, wire, err)
		}
	}
}

// TestS3Records holds what is on record of buckets: what concerns themselves, and nothing of what is in them.
func TestS3Records(t *testing.T) {
	h := newHouse(t)
	const constraint = `<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>`
	for _, r := range []*http.Request{
		h.s3(h.operator.in("eu-west-1"), "PUT", "/bucket", constraint, ""), h.s3(h.operator.in("eu-west-1"), "PUT", "/bucket", constraint, ""),
		h.s3(h.operator, "PUT", "/bucket/key", "x", ""), h.s3(h.operator, "GET", "/bucket/key", "", ""), h.s3(h.operator, "GET", "/bucket?list-type=2", "", ""),
		h.s3(h.alien, "DELETE", "/bucket", "", ""), h.s3(h.operator, "GET", "/bucket?location", "", ""),
		h.s3(h.operator, "DELETE", "/bucket/key", "", ""), h.s3(h.operator, "DELETE", "/bucket", "", ""),
	} {
		send(t, r)
	}
	got := map[string]int{}
	for _, text := range h.events(t) {
		r, err := vigil.ParseRecord([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if r.EventSource != "s3.amazonaws.com" {
			continue
		}
		got[strings.TrimSpace(r.EventName+" "+r.ErrorCode)]++
		if !strings.Contains(string(r.RequestParameters), `"bucketName":"bucket"`) || len(r.Resources) != 1 || r.Resources[0].ARN != "arn:aws:s3:::bucket" ||
			r.Resources[0].Type != "AWS::S3::Bucket" || !strings.Contains(string(r.AdditionalEventData), `"AuthenticationMethod":"AuthHeader"`) {
			t.Errorf("the record %s", text)
		}
	}
	want := map[string]int{"CreateBucket": 1, "CreateBucket BucketAlreadyOwnedByYou": 1, "DeleteBucket AccessDenied": 1, "GetBucketLocation": 1, "DeleteBucket": 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("on record are %v, want %v", got, want)
	}
}
