package front_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	awsv4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Messages of errors of authentication.
const (
	doesNotMatch = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	noToken      = "Request is missing Authentication Token"
	invalidToken = "The security token included in the request is invalid."
	hashedHeader = "(Hashed with SHA-256 and encoded with Base64) Authorization=<AUTHORIZATION>"
	noCredential = "Authorization header requires 'Credential' parameter. "
	noSignature  = "Authorization header requires 'Signature' parameter. "
	noHeaders    = "Authorization header requires 'SignedHeaders' parameter. "
	noDate       = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
	badShape     = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '***"
)

// authorization replaces what matches in the Authorization header.
func authorization(pattern, with string) func(*http.Request) {
	return func(r *http.Request) {
		old := r.Header.Get("Authorization")
		changed := regexp.MustCompile(pattern).ReplaceAllString(old, with)
		if changed == old {
			panic(pattern + " is not in the Authorization header")
		}
		r.Header.Set("Authorization", changed)
	}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func without(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Del(name) }
}

// badSignatures are calls of KMS that nobody has signed as they arrive.
func (h *house) badSignatures() []refusal {
	listKeys := func() *http.Request { return h.post("TrentService.ListKeys", "{}") }
	by := func(change func(*signer)) *http.Request { // signed in another way
		s := h.operator
		change(&s)
		return s.sign(listKeys())
	}
	then := func(changes ...func(*http.Request)) *http.Request { // signed well, and changed on the way
		r := h.operator.sign(listKeys())
		for _, change := range changes {
			change(r)
		}
		return r
	}
	ago := func(d time.Duration) *http.Request { return by(func(s *signer) { s.at = time.Now().Add(-d) }) }
	unsignedTarget := h.operator.sign(h.request(http.MethodPost, "/", "{}"))
	unsignedTarget.Header.Set("X-Amz-Target", "TrentService.ListKeys")
	twice := then()
	twice.Header.Add("Authorization", twice.Header.Get("Authorization"))
	elsewhere := listKeys()
	elsewhere.URL.Path = "/keys"
	h.operator.sign(elsewhere).URL.Path = "/"

	const (
		missing    = "MissingAuthenticationTokenException"
		incomplete = "IncompleteSignatureException"
		invalid    = "InvalidSignatureException"
		unknown    = "UnrecognizedClientException"
	)
	today := time.Now().UTC().Format("20060102")
	rows := []refusal{
		{name: "no Authorization", request: listKeys(), code: missing, message: noToken},
		{name: "another scheme", request: then(header("Authorization", "Basic dXNlcjpwYXNzd29yZA==")), code: missing, message: noToken},
		{name: "another algorithm", request: then(authorization("^AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")), code: incomplete,
			message: "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now)."},
		{name: "no Credential", request: then(authorization("Credential=[^,]*, ", "")), code: incomplete, message: noCredential + hashedHeader},
		{name: "no Signature", request: then(authorization(", Signature=.*", "")), code: incomplete, message: noSignature + hashedHeader},
		{name: "no SignedHeaders", request: then(authorization("SignedHeaders=[^,]*, ", "")), code: incomplete, message: noHeaders + hashedHeader},
		{name: "no date", request: then(without("X-Amz-Date")), code: incomplete, message: noDate + hashedHeader},
		{name: "nothing of it", request: then(authorization(" .*", " x=1"), without("X-Amz-Date")), code: incomplete,
			message: noCredential + noSignature + noHeaders + noDate + hashedHeader},
		{name: "a part that is none", request: then(authorization("SignedHeaders=", "SignedHeaders")), code: incomplete,
			message: "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '<AUTHORIZATION>'."},
		{name: "Authorization twice", request: twice, code: incomplete, message: "Authorization header must be given only once."},
		{name: "a Credential of four parts", request: then(authorization("/aws4_request", "")), code: incomplete, message: badShape + "'"},
		{name: "a Credential of six parts", request: then(authorization("=AKIA", "=me/AKIA")), code: incomplete,
			message: badShape + "/" + today + "/us-east-1/kms/aws4_request'"},
		{name: "another terminator", request: then(authorization("aws4_request", "aws5_request")), code: invalid,
			message: "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."},
		{name: "the date of another day", request: then(authorization("/"+today+"/", "/20200229/")), code: invalid,
			message: "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20200229' != '" + today + "', from '<SIGNED>'."},
		{name: "another service", request: by(func(s *signer) { s.service = "sts" }), code: invalid,
			message: "Credential should be scoped to correct service: 'kms'."},
		{name: "a region that cannot be", request: by(func(s *signer) { s.region = "US_EAST_1" }), code: invalid,
			message: "Credential should be scoped to a valid region, not 'US_EAST_1'."},
		{name: "a region that is none", request: by(func(s *signer) { s.region = "moon" }), code: invalid,
			message: "Credential should be scoped to a valid region, not 'moon'."},
		{name: "a date in another form", request: then(header("X-Amz-Date", "2026-01-02T03:04:05Z")), code: incomplete,
			message: "Date must be in ISO-8601 'basic format'. Got '2026-01-02T03:04:05Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{name: "too old", request: ago(6 * time.Minute), code: invalid,
			message: "Signature expired: <SIGNED> is now earlier than TIME (TIME - 5 min.)"},
		{name: "too new", request: ago(-6 * time.Minute), code: invalid,
			message: "Signature not yet current: <SIGNED> is still later than TIME (TIME + 5 min.)"},
		{name: "by the server's clock, which was moved", request: ago(-8 * 24 * time.Hour), code: invalid,
			message: "Signature not yet current: <SIGNED> is still later than TIME (TIME + 5 min.)"},
		{name: "an access key that is nobody's", request: by(func(s *signer) { s.id = "AKIAIOSFODNN7EXAMPLE" }), code: unknown, message: invalidToken},
		{name: "a long-term key with a session token", request: by(func(s *signer) { s.token = "IQoJb3JpZ2luX2Vj" }), code: unknown, message: invalidToken},
		{name: "another's secret", request: by(func(s *signer) { s.secret = h.alien.secret }), code: invalid, message: doesNotMatch},
		{name: "no secret", request: by(func(s *signer) { s.secret = "" }), code: invalid, message: doesNotMatch},
		{name: "a signature that is none", request: then(authorization("Signature=.{64}", "Signature=x")), code: invalid, message: doesNotMatch},
		{name: "a signature's last digit", request: then(authorization("Signature=(.{63}).", "Signature=${1}x")), code: invalid, message: doesNotMatch},
		{name: "another body", request: then(func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("[]")) }), code: invalid, message: doesNotMatch},
		{name: "another header", request: then(header("Content-Type", "application/x-amz-json-1.1;")), code: invalid, message: doesNotMatch},
		{name: "another operation", request: then(header("X-Amz-Target", "TrentService.ListAliases")), code: invalid, message: doesNotMatch},
		{name: "another host", request: then(func(r *http.Request) { r.Host = "kms.us-east-1.amazonaws.com" }), code: invalid, message: doesNotMatch},
		{name: "another query", request: then(func(r *http.Request) { r.URL.RawQuery = "Limit=1" }), code: invalid, message: doesNotMatch},
		{name: "another path", request: elsewhere, code: invalid, message: doesNotMatch},
		{name: "another region", request: then(authorization("us-east-1", "us-east-2")), code: invalid, message: doesNotMatch},
		{name: "another owner", request: then(authorization(h.operator.id, h.alien.id)), code: invalid, message: doesNotMatch},
		{name: "the host not signed", request: then(authorization("host;", "")), code: invalid,
			message: "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{name: "the target not signed", request: unsignedTarget, code: invalid, message: "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."},
		{name: "a query that cannot be read", request: then(func(r *http.Request) { r.URL.RawQuery = "a=%zz" }),
			code: "MalformedQueryString", message: "Illegal hex character in escape % pattern: %zz"},
		{name: "signed in the query too", request: then(func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256" }), code: invalid,
			message: "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."},
		{name: "of another operation", request: then(header("X-Amz-Target", "TrentService.CreateGrant")), code: invalid, message: doesNotMatch},
	}
	for i := range rows {
		rows[i].status = http.StatusBadRequest
	}
	return rows
}

// whoAmI is what a presigned URL most often asks.
const whoAmI = "Action=GetCallerIdentity&Version=2011-06-15"

// badSignaturesOfSTS are the same in the query protocol, which has codes and statuses of its own.
func (h *house) badSignaturesOfSTS() []refusal {
	me := h.operator.to("sts")
	stranger, liar, late := me, me, me
	stranger.id, liar.secret, late.at = "AKIAIOSFODNN7EXAMPLE", "x", time.Now().Add(-time.Hour)
	parts := me.sign(h.form(whoAmI))
	authorization(", Signature=.*", "")(parts)
	return []refusal{
		{"no Authorization", h.form(whoAmI), 403, "MissingAuthenticationToken", noToken, ""},
		{"no Signature", parts, 400, "IncompleteSignature", noSignature + hashedHeader, ""},
		{"an access key that is nobody's", stranger.sign(h.form(whoAmI)), 403, "InvalidClientTokenId", invalidToken, ""},
		{"another secret", liar.sign(h.form(whoAmI)), 403, "SignatureDoesNotMatch", doesNotMatch, ""},
		{"too old", late.sign(h.form(whoAmI)), 403, "SignatureDoesNotMatch", "Signature expired: <SIGNED> is now earlier than TIME (TIME - 5 min.)", ""},
		{"another service", h.operator.sign(h.form(whoAmI)), 403, "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'sts'.", ""},
	}
}

// presign is a URL that asks STS who has signed it, for as many seconds as are given, signed by the SDK at some time.
func (h *house) presign(t *testing.T, expires string, at time.Time) *http.Request {
	r := h.request(http.MethodGet, "/?"+whoAmI+"&X-Amz-Expires="+expires, "")
	c, _ := h.operator.Retrieve(t.Context())
	const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	url, headers, err := awsv4.NewSigner().PresignHTTP(t.Context(), c, r, emptyHash, "sts", "us-east-1", at)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range headers {
		if name != "Host" {
			signed.Header[name] = values
		}
	}
	return signed
}

// badPresigned are presigned URLs that are no good, or no longer.
func (h *house) badPresigned(t *testing.T) []refusal {
	now := time.Now()
	query := func(pattern, with string) *http.Request {
		r := h.presign(t, "60", now)
		old := r.URL.RawQuery
		if r.URL.RawQuery = regexp.MustCompile(pattern).ReplaceAllString(old, with); r.URL.RawQuery == old {
			t.Fatalf("%s is not in the query", pattern)
		}
		return r
	}
	both := h.presign(t, "60", now)
	both.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x")
	const required = "AWS query-string parameters must include '%'. Re-examine the query-string parameters."
	lacks := func(name string) string { return strings.Replace(required, "%", name, 1) }
	return []refusal{
		{"expired", h.presign(t, "60", now.Add(-2*time.Minute)), 403, "SignatureDoesNotMatch",
			"Signature expired: <SIGNED> is now earlier than TIME (TIME - 1 min.)", ""},
		{"not yet", h.presign(t, "60", now.Add(time.Hour)), 403, "SignatureDoesNotMatch",
			"Signature not yet current: <SIGNED> is still later than TIME (TIME + 5 min.)", ""},
		{"for more than a week", h.presign(t, "604801", now), 400, "IncompleteSignature",
			"X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds", ""},
		{"for no time", h.presign(t, "0", now), 400, "IncompleteSignature", "X-Amz-Expires must be at least one second", ""},
		{"for a while", h.presign(t, "soon", now), 400, "IncompleteSignature", "X-Amz-Expires should be a number", ""},
		{"for longer than it was signed", query("X-Amz-Expires=60", "X-Amz-Expires=600"), 403, "SignatureDoesNotMatch", doesNotMatch, ""},
		{"with another parameter", query("$", "&More=1"), 403, "SignatureDoesNotMatch", doesNotMatch, ""},
		{"for another operation", query("GetCallerIdentity", "GetSessionToken"), 403, "SignatureDoesNotMatch", doesNotMatch, ""},
		{"without its signature", query("&X-Amz-Signature=[^&]*", ""), 400, "IncompleteSignature", lacks("X-Amz-Signature"), ""},
		{"without its credential", query("&X-Amz-Credential=[^&]*", ""), 400, "IncompleteSignature", lacks("X-Amz-Credential"), ""},
		{"with an Authorization header", both, 403, "SignatureDoesNotMatch",
			"Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.", ""},
	}
}

// TestPresigned is the other side of badPresigned: a URL that is good is answered, and the call is on record.
func TestPresigned(t *testing.T) {
	h := newHouse(t)
	byHand := h.presign(t, "60", time.Now())
	bySDK, err := sts.NewPresignClient(sts.New(sts.Options{Region: "eu-west-1", BaseEndpoint: &h.URL, Credentials: h.operator})).
		PresignGetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	fromSDK, err := http.NewRequest(bySDK.Method, bySDK.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*http.Request{byHand, fromSDK} {
		resp, body := send(t, r)
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "<Arn>"+h.names["ROOT"]+"</Arn>") {
			t.Errorf("%s: %s", resp.Status, body)
		}
		id, found := resp.Header.Get("X-Amzn-Requestid"), 0
		for _, event := range h.events(t) {
			if strings.Contains(event, id) && strings.Contains(event, `"eventName":"GetCallerIdentity"`) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("it is on record %d times", found)
		}
	}
}
