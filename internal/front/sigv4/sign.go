package sigv4

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// unsigned are the headers that Sign leaves out, because a proxy or net/http itself may set or change them on the
// way. AWS's own signers leave the same out. Host and Content-Length are signed from the fields of the request.
var unsigned = map[string]bool{
	"Authorization": true, "Connection": true, "Content-Length": true, "Expect": true, "Host": true, "Keep-Alive": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "User-Agent": true, "X-Amzn-Trace-Id": true,
}

// Sign signs r, which is about to be sent by an http.Client, for region and service at the given time: it sets
// X-Amz-Date, X-Amz-Security-Token if sessionToken isn't empty, for S3 X-Amz-Content-Sha256, and Authorization, replacing
// what was there. Nothing signed may change after it: method, URL, host, ContentLength and headers.
//
// payloadHash is the SHA-256 of the body in lower-case hex, or for S3 one of the values that stand in for it. key is
// DeriveKey's for the UTC day of at and the same region and service.
//
// It fails only for a request that couldn't be sent as it is: a query string or header name that isn't valid, or a URL
// with Opaque set.
func Sign(r *http.Request, payloadHash, accessKeyID, sessionToken string, key Key, region, service string,
	at time.Time) error {
	if r.URL.Opaque != "" {
		return errors.New("sigv4: can't sign a URL with Opaque set")
	}
	s := &Signature{stamp: stamp(at), Service: service}
	s.scope = s.stamp[:len("20060102")] + "/" + region + "/" + service + "/" + terminator

	if err := canonicalNames(r); err != nil {
		return err
	}
	r.Header.Del("Authorization")
	r.Header.Del("X-Amz-Security-Token")
	r.Header.Set("X-Amz-Date", s.stamp)
	if sessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", sessionToken)
	}
	if pathsAsTheyAre(service) {
		r.Header.Set("X-Amz-Content-Sha256", payloadHash)
	}
	names := []string{"host"}
	if r.ContentLength > 0 {
		names = append(names, "content-length")
	}
	for name, values := range r.Header {
		if len(values) > 0 && !unsigned[name] {
			names = append(names, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	s.SignedHeaders = strings.Join(names, ";")

	c := canonicals.Get().(*canonical)
	defer c.release()
	if err := c.stringToSign(r, s, payloadHash); err != nil {
		return fmt.Errorf("sigv4: can't sign the request: %w", err)
	}
	signature := key.sign(nil, c.buf)
	r.Header.Set("Authorization", algorithm+" Credential="+accessKeyID+"/"+s.scope+
		", SignedHeaders="+s.SignedHeaders+", Signature="+hex.EncodeToString(signature))
	return nil
}

// canonicalNames makes sure that each header is in r.Header under the one spelling that the server will see it in.
func canonicalNames(r *http.Request) error {
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if !headerName(strings.ToLower(name)) {
			return fmt.Errorf("sigv4: can't sign the header %q: not a valid name", name)
		}
		if canonical := http.CanonicalHeaderKey(name); canonical != name {
			r.Header[canonical] = append(r.Header[canonical], r.Header[name]...)
			delete(r.Header, name)
		}
	}
	return nil
}
