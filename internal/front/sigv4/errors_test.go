package sigv4

import (
	"strings"
	"testing"
)

// A client is told what is wrong with its signature in AWS's words, wherever AWS has words for it.
func TestRefusals(t *testing.T) {
	const (
		zeros      = "0000000000000000000000000000000000000000000000000000000000000000"
		date       = "X-Amz-Date: 20260102T001500Z\n"
		scope      = "/20260102/eu-west-1/kms/aws4_request"
		credential = "Credential=AKIDEXAMPLE" + scope
		rest       = ", SignedHeaders=host;x-amz-date, Signature=" + zeros
		hash       = "(Hashed with SHA-256 and encoded with Base64) Authorization="

		algorithmQ  = "X-Amz-Algorithm=AWS4-HMAC-SHA256"
		credentialQ = "&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Fkms%2Faws4_request"
		dateQ       = "&X-Amz-Date=20260102T001500Z"
		headersQ    = "&X-Amz-SignedHeaders=host"
		signatureQ  = "&X-Amz-Signature=" + zeros
		presigned   = algorithmQ + credentialQ + dateQ + headersQ + signatureQ
	)
	for _, test := range []struct {
		name    string
		query   string
		headers string
		reason  Reason
		message string
	}{
		{"nothing", "", "", MissingToken, "Request is missing Authentication Token"},
		{"empty", "", "Authorization:\n", MissingToken, "Request is missing Authentication Token"},
		{"basic", "", "Authorization: Basic dXNlcjpwYXNz\n", MissingToken, "Request is missing Authentication Token"},
		{"version 2", "AWSAccessKeyId=AKIDEXAMPLE&Signature=x", "", MissingToken, "Request is missing Authentication Token"},
		{"both forms", presigned, "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\n" + date, Mismatch,
			"Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."},
		{"header and a signature parameter", "X-Amz-Signature=" + zeros, "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\n" + date, Mismatch,
			"Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."},
		{"two headers", "", strings.Repeat("Authorization: AWS4-HMAC-SHA256 "+credential+rest+"\n", 2) + date, Incomplete,
			"Authorization header must be given only once."},
		{"long header", "", "Authorization: AWS4-HMAC-SHA256 " + strings.Repeat(" ", 9000) + credential + rest + "\n" + date, Incomplete,
			"Authorization header must be at most 8192 bytes long."},
		{"asymmetric", "", "Authorization: AWS4-ECDSA-P256-SHA256 " + credential + rest + "\n" + date, Incomplete,
			"Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now)."},
		{"algorithm in lower case", "", "Authorization: AWS4-hmac-sha256 " + credential + rest + "\n" + date, Incomplete,
			"Unsupported AWS 'algorithm': 'AWS4-hmac-sha256' (only AWS4-HMAC-SHA256 for now)."},
		{"long algorithm", "", "Authorization: AWS4-" + strings.Repeat("x", 100) + " " + credential + rest + "\n" + date, Incomplete,
			"Unsupported AWS 'algorithm': 'AWS4-" + strings.Repeat("x", 59) + "...' (only AWS4-HMAC-SHA256 for now)."},

		{"no parts, no date", "", "Authorization: AWS4-HMAC-SHA256\n", Incomplete,
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. " +
				"Authorization header requires 'SignedHeaders' parameter. " +
				"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. " + hash + hashed("AWS4-HMAC-SHA256")},
		{"no signature", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=host\n" + date, Incomplete,
			"Authorization header requires 'Signature' parameter. " + hash + hashed("AWS4-HMAC-SHA256 "+credential+", SignedHeaders=host")},
		{"empty signature", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=host,Signature=\n" + date, Incomplete,
			"Authorization header requires 'Signature' parameter. " + hash + hashed("AWS4-HMAC-SHA256 "+credential+", SignedHeaders=host,Signature=")},
		{"no date", "", "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\n", Incomplete,
			"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. " + hash + hashed("AWS4-HMAC-SHA256 "+credential+rest)},
		{"no equal-sign", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", Signature\n" + date, Incomplete,
			"Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '" +
				hashed("AWS4-HMAC-SHA256 "+credential+", Signature") + "'."},
		{"credential twice", "", "Authorization: AWS4-HMAC-SHA256 " + credential + "," + credential + rest + "\n" + date, Incomplete,
			"Authorization header must have its 'Credential' parameter only once."},
		{"two dates", "", "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\n" + date + date, Incomplete,
			"'X-Amz-Date' header must be given only once."},
		{"two plain dates", "", "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\nDate: a\nDate: b\n", Incomplete,
			"'Date' header must be given only once."},
		{"two tokens", "", "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\n" + date + "X-Amz-Security-Token: a\nX-Amz-Security-Token: b\n", Incomplete,
			"'X-Amz-Security-Token' header must be given only once."},

		{"host not signed", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=x-amz-date, Signature=" + zeros + "\n" + date, NotSigned,
			"'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"headers out of order", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=x-amz-date;host, Signature=" + zeros + "\n" + date, Incomplete, textSignedHeaders},
		{"header twice", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=host;host, Signature=" + zeros + "\n" + date, Incomplete, textSignedHeaders},
		{"upper case", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=Host, Signature=" + zeros + "\n" + date, Incomplete, textSignedHeaders},
		{"empty name", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=;host, Signature=" + zeros + "\n" + date, Incomplete, textSignedHeaders},
		{"last name empty", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=host;, Signature=" + zeros + "\n" + date, Incomplete, textSignedHeaders},
		{"no names", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=host:x, Signature=" + zeros + "\n" + date, Incomplete, textSignedHeaders},

		{"date's form", "", "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\nX-Amz-Date: 2026-01-02\n", Incomplete,
			"Date must be in ISO-8601 'basic format'. Got '2026-01-02'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"date's bytes", "", "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\nX-Amz-Date: \xffa\tb\n", Incomplete,
			"Date must be in ISO-8601 'basic format'. Got '?a?b'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"no scope", "", "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE" + rest + "\n" + date, Incomplete,
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '***'"},
		{"secret for access key id", "", "Authorization: AWS4-HMAC-SHA256 Credential=" + testSecret + scope + rest + "\n" + date, Incomplete,
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '***/20260102/eu-west-1/kms/aws4_request'"},
		{"no access key id", "", "Authorization: AWS4-HMAC-SHA256 Credential=" + scope + rest + "\n" + date, Incomplete,
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '***/20260102/eu-west-1/kms/aws4_request'"},
		{"terminator", "", "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/kms/aws5_request" + rest + "\n" + date, BadScope,
			"Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."},
		{"another day", "", "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/kms/aws4_request" + rest + "\n" +
			"X-Amz-Date: 20260102T000000Z\n", BadScope,
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260101' != '20260102', from '20260102T000000Z'."},
		{"all of the scope", "", "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/x/EU/../y" + rest + "\n" + date, BadScope,
			"Credential should be scoped to a valid region, not 'EU'. Credential should be scoped to a valid service, not '..'. " +
				"Credential should be scoped with a valid terminator: 'aws4_request', not 'y'. " +
				"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: 'x' != '20260102', from '20260102T001500Z'."},
		{"short signature", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=host;x-amz-date, Signature=00\n" + date, Mismatch, textMismatch},
		{"signature in upper case", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("A", 64) + "\n" + date, Mismatch, textMismatch},
		{"signature not hex", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("x", 64) + "\n" + date, Mismatch, textMismatch},
		{"well formed", "", "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\n" + date, Mismatch,
			"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. " +
				"Consult the service documentation for details."},
		{"no spaces, another order", "", "Authorization: AWS4-HMAC-SHA256 Signature=" + zeros + ",SignedHeaders=host;x-amz-date,," + credential + "\n" + date, Mismatch, textMismatch},
		{"plain date", "", "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\nDate: Fri, 02 Jan 2026 00:15:00 GMT\n", Mismatch,
			textMismatch + " The signed header 'x-amz-date' is not in the request."},
		{"header gone", "", "Authorization: AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=host;x-amz-date;x-foo, Signature=" + zeros + "\n" + date, Mismatch,
			textMismatch + " The signed header 'x-foo' is not in the request."},
		{"target not signed", "", "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\n" + date + "X-Amz-Target: TrentService.Encrypt\nX-Amz-Zoo: 1\n", NotSigned,
			"'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."},

		{"only the algorithm", algorithmQ, "", Incomplete,
			"AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. " +
				"AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. " +
				"Re-examine the query-string parameters."},
		{"only the signature", signatureQ, "", Incomplete,
			"AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include 'X-Amz-Credential'. " +
				"AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. " +
				"Re-examine the query-string parameters."},
		{"asymmetric query", strings.Replace(presigned, "HMAC-SHA256", "ECDSA-P256-SHA256", 1), "", Incomplete,
			"Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now)."},
		{"parameter twice", presigned + "&X%2dAmz-Date=20260102T001501Z", "", Incomplete,
			"AWS query-string parameters must include 'X-Amz-Date' only once. Re-examine the query-string parameters."},
		{"expires in words", presigned + "&X-Amz-Expires=soon", "", Incomplete, "X-Amz-Expires should be a number"},
		{"expires too large", presigned + "&X-Amz-Expires=99999999999999999999", "", Incomplete, "X-Amz-Expires should be a number"},
		{"expires before", presigned + "&X-Amz-Expires=-1", "", Incomplete, "X-Amz-Expires must be non-negative"},
		{"expires at once", presigned + "&X-Amz-Expires=0", "", Incomplete, "X-Amz-Expires must be at least one second"},
		{"expires too late", presigned + "&X-Amz-Expires=604801", "", Incomplete,
			"X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"},
		{"presigned, host not signed", strings.Replace(presigned, "=host", "=x-foo", 1), "X-Foo: 1\n", NotSigned,
			"'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"presigned, target not signed", presigned, "X-Amz-Target: TrentService.Encrypt\n", NotSigned,
			"'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."},
		{"presigned, well formed", presigned, date, Mismatch, textMismatch},
		{"broken name", "a%=1", "", MalformedQuery, "Incomplete trailing escape % sequence"},
		{"broken parameter", "X-Amz-Date=%zz", "", MalformedQuery, "Illegal hex character in escape % pattern: %zz"},
		{"broken value", "a=%f", "Authorization: AWS4-HMAC-SHA256 " + credential + rest + "\n" + date, MalformedQuery, "Incomplete trailing escape % sequence"},
		{"long query", strings.Repeat("a", 64<<10+1), "", MalformedQuery, "The query string is too long."},
		{"many parameters", strings.Repeat("&", 1025), "", MalformedQuery, "The query string has too many parameters."},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := readRequest(t, "GET /?"+test.query+" HTTP/1.1\nHost: localhost\n"+test.headers+"\n")
			s, err := Parse(r)
			if err == nil {
				err = s.Verify(r, hashOf(""), kmsKey(), signedAt)
			} else if s != nil {
				t.Errorf("Parse returned %v with its error", s)
			}
			wantReason(t, err, test.reason)
			if err.Error() != test.message {
				t.Errorf("got  %q\nwant %q", err, test.message)
			}
			if strings.Contains(err.Error(), "wJalr") {
				t.Error("the message holds the secret")
			}
		})
	}
}

func TestReasonNames(t *testing.T) {
	seen := make(map[string]bool)
	for reason := MissingToken; reason <= Mismatch; reason++ {
		name := reason.String()
		if name == "" || strings.Contains(name, " ") || seen[name] {
			t.Errorf("reason %d is %q", reason, name)
		}
		seen[name] = true
	}
	if got := Reason(200).String(); got != "reason 200" {
		t.Error(got)
	}
}
