package sigv4

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

// A Reason is why a signature was refused. The code that AWS gives for it depends on the protocol, so the door
// chooses that; the names in comments are those of JSON services, query services drop "Exception" and say
// SignatureDoesNotMatch for InvalidSignatureException.
type Reason uint8

const (
	MissingToken   Reason = iota + 1 // no signature at all (MissingAuthenticationTokenException)
	Incomplete                       // a signature with parts missing or malformed (IncompleteSignatureException)
	MalformedQuery                   // a query string that can't be decoded (MalformedQueryString)
	NotSigned                        // a header that has to be signed isn't (InvalidSignatureException)
	BadScope                         // signed for another day or service, or for no valid region (InvalidSignatureException)
	NotYet                           // signed later than now, by more than Skew (InvalidSignatureException)
	Expired                          // signed too long ago (InvalidSignatureException)
	Mismatch                         // the secret or the request isn't the one that was signed (InvalidSignatureException)
)

var reasonNames = [...]string{"", "missing-token", "incomplete", "malformed-query", "not-signed", "bad-scope",
	"not-yet", "expired", "mismatch"}

// String returns a short name for counters and logs, such as "not-yet".
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "reason " + strconv.Itoa(int(r))
}

// An Error is the refusal of a signature. Every error of Parse, ScopedTo and Verify is one.
type Error struct {
	Reason  Reason
	Message string // for the client, in AWS's words; holds nothing secret and at most a few hundred bytes of the request
}

func (e *Error) Error() string { return e.Message }

func refuse(reason Reason, message string) *Error { return &Error{reason, message} }

// The texts. AWS publishes a few of them (IAM User Guide, "Troubleshoot signed requests"); the rest are those its
// services are widely seen to answer with. Where AWS has no text of its own the words are ours.
const (
	textMissingToken = "Request is missing Authentication Token"

	textBothForms = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."

	textMismatch = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

	textHostNotSigned = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."

	textSignedHeaders = "SignedHeaders must be a list of lower-case header names in alphabetical order, each once, " +
		"separated by semicolons."

	textExpiresNumber   = "X-Amz-Expires should be a number"
	textExpiresNegative = "X-Amz-Expires must be non-negative"
	textExpiresZero     = "X-Amz-Expires must be at least one second"
	textExpiresTooLong  = "X-Amz-Expires must be less than a week (in seconds); " +
		"that is, the given X-Amz-Expires must be less than 604800 seconds"
)

// hashed stands in for the Authorization header in messages, as in AWS's own: a client can tell which of its headers
// was meant, and a log that gets hold of the message learns nothing.
func hashed(authorization string) string {
	sum := sha256.Sum256([]byte(authorization))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// clip makes a piece of the request fit to stand in a message: at most 64 bytes, printable ASCII only.
func clip(s string) string {
	const limit = 64
	short := s
	if len(s) > limit {
		short = s[:limit]
	}
	b := []byte(short)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	if len(s) > limit {
		b = append(b, "..."...)
	}
	return string(b)
}

func errExpired(signed, now time.Time, age time.Duration) *Error {
	return refuse(Expired, "Signature expired: "+stamp(signed)+" is now earlier than "+stamp(now.Add(-age))+
		" ("+stamp(now)+" - "+inWords(age)+")")
}

func errNotYet(signed, now time.Time) *Error {
	return refuse(NotYet, "Signature not yet current: "+stamp(signed)+" is still later than "+stamp(now.Add(Skew))+
		" ("+stamp(now)+" + "+inWords(Skew)+")")
}

func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

func inWords(d time.Duration) string {
	if d%time.Minute == 0 {
		return strconv.FormatInt(int64(d/time.Minute), 10) + " min."
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + " sec."
}
