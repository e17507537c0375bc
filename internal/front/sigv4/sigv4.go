// Package sigv4 answers one question: is this request's signature right?
//
// It implements AWS Signature Version 4 (AWS4-HMAC-SHA256) for requests that carry their signature in the
// Authorization header and for presigned URLs, as the IAM User Guide describes it under "AWS Signature Version 4
// for API requests" (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html) and, for S3's rules
// about paths, the S3 API Reference under "Authenticating Requests (AWS Signature Version 4)".
//
// A server asks in two steps, because it has to find the secret between them:
//
//	sig, err := sigv4.Parse(r)              // whose signature is it, and for what?
//	key := ...                              // sigv4.DeriveKey(secret, sig.Date, sig.Region, sig.Service), cached
//	err = sig.Verify(r, bodyHash, key, now) // did that secret sign this request, just now?
//
// A verified signature says that the holder of the secret made exactly this request: method, path, query, signed
// headers (with Host and every X-Amz-* header among them) and body. It doesn't say that the request is new: as in
// AWS the same request may be sent again for as long as its signature is valid. Nor does it cover headers outside
// SignedHeaders; nothing that matters may be decided by those.
//
// The package does no I/O and has no clock. Everything in a request is taken to be hostile until Verify returns nil.
package sigv4

import (
	"fmt"
	"time"
)

// Skew is how far the clock of the client may be from the server's, either way (inclusive).
const Skew = 5 * time.Minute

// MaxExpires is the longest life of a presigned URL.
const MaxExpires = 7 * 24 * time.Hour

// defaultExpires is the life of a presigned URL without X-Amz-Expires, which only S3 requires. It is the life that AWS
// STS, the one service besides S3 whose presigned URLs are in wide use, gives to its own.
const defaultExpires = 15 * time.Minute

const (
	algorithm   = "AWS4-HMAC-SHA256"
	terminator  = "aws4_request"
	stampLayout = "20060102T150405Z"
)

// Limits on what an unauthenticated stranger can make the server work on. The total size of the headers is the
// HTTP server's to limit (http.Server.MaxHeaderBytes).
const (
	maxAuthorization = 8 << 10  // bytes of the Authorization header; real ones have 200 to 600
	maxQuery         = 64 << 10 // bytes of the query string
	maxQueryPairs    = 1024     // name=value pairs in the query string
	maxName          = 64       // bytes of a region or service name
	maxAccessKeyID   = 128      // characters, by the IAM API's model of an access key id
)

// A Signature is what a request claims about who signed it, when and for what. Nothing in it is true before Verify
// has returned nil.
type Signature struct {
	AccessKeyID string // may be anything of 1 to 128 bytes, even a secret put in the wrong place: don't log an unknown one
	Date        string // of the credential scope, yyyymmdd; always the UTC day of Time
	Region      string // of the credential scope; lower-case letters, digits and hyphens, at most 64
	Service     string // of the credential scope; the same characters
	// SignedHeaders lists the names of the signed headers as the request does: lower case, in order, each once,
	// separated by semicolons. It holds "host" or ":authority".
	SignedHeaders string
	Time          time.Time     // when it was signed, UTC, whole seconds
	SessionToken  string        // X-Amz-Security-Token, empty if there is none
	Presigned     bool          // the signature came in the query string
	Expires       time.Duration // how long a presigned URL is good for; zero in the header form

	stamp string   // Time as it stands in the string to sign
	scope string   // date/region/service/aws4_request
	mac   [32]byte // the signature itself
}

// Format prints access key id and scope whatever the verb: a session token has no place in a log.
func (s Signature) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "sigv4.Signature(%s/%s at %s)", s.AccessKeyID, s.scope, s.stamp)
}

// ScopedTo says whether the signature was made for service, the signing name of the service that is asked ("kms",
// "sts", "monitoring"). If not, the error is an *Error with reason BadScope.
func (s *Signature) ScopedTo(service string) error {
	if s.Service != service {
		return refuse(BadScope, "Credential should be scoped to correct service: '"+service+"'.")
	}
	return nil
}
