package sigv4

import (
	"encoding/hex"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// Parse finds the signature of r, in its Authorization header or in its query string, and checks all about it that
// can be checked without a secret and a clock. It verifies nothing. Every error is an *Error.
//
// It is stricter than AWS in small ways that no signer in use is known to trip over: no part may be given twice, and
// SignedHeaders has to be in the order that the specification asks for.
func Parse(r *http.Request) (*Signature, error) {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	authorization := r.Header["Authorization"]
	switch {
	case len(authorization) > 0 && query.presigned():
		return nil, refuse(Mismatch, textBothForms)
	case query.presigned():
		return parsePresigned(r, query)
	case len(authorization) == 0 || !strings.HasPrefix(authorization[0], "AWS4-"):
		return nil, refuse(MissingToken, textMissingToken)
	case len(authorization) > 1:
		return nil, refuse(Incomplete, "Authorization header must be given only once.")
	}
	return parseHeader(r, authorization[0])
}

// parseHeader reads
//
//	AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/kms/aws4_request, SignedHeaders=host;x-amz-date, Signature=<64 hex>
//
// whose parts may come in any order and with or without the spaces.
func parseHeader(r *http.Request, authorization string) (*Signature, error) {
	if len(authorization) > maxAuthorization {
		return nil, refuse(Incomplete, "Authorization header must be at most "+strconv.Itoa(maxAuthorization)+" bytes long.")
	}
	name, rest, _ := strings.Cut(authorization, " ")
	if name != algorithm {
		return nil, errAlgorithm(name)
	}
	var credential, signedHeaders, signature string
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		if part = textproto.TrimString(part); part == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		if !found {
			return nil, refuse(Incomplete, "Invalid key=value pair (missing equal-sign) in Authorization header "+
				"(hashed with SHA-256 and encoded with Base64): '"+hashed(authorization)+"'.")
		}
		var into *string
		switch key {
		case "Credential":
			into = &credential
		case "SignedHeaders":
			into = &signedHeaders
		case "Signature":
			into = &signature
		default:
			continue
		}
		if *into != "" {
			return nil, refuse(Incomplete, "Authorization header must have its '"+key+"' parameter only once.")
		}
		*into = value
	}
	date, err := headerDate(r.Header)
	if err != nil {
		return nil, err
	}

	var missing strings.Builder
	for _, part := range [...]struct{ name, value string }{
		{"Credential", credential}, {"Signature", signature}, {"SignedHeaders", signedHeaders},
	} {
		if part.value == "" {
			missing.WriteString("Authorization header requires '" + part.name + "' parameter. ")
		}
	}
	if date == "" {
		missing.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if missing.Len() > 0 {
		return nil, refuse(Incomplete, missing.String()+
			"(Hashed with SHA-256 and encoded with Base64) Authorization="+hashed(authorization))
	}

	token, err := onlyValue(r.Header, "X-Amz-Security-Token")
	if err != nil {
		return nil, err
	}
	s := &Signature{SignedHeaders: signedHeaders, SessionToken: token}
	if err := s.parse(credential, date, signature); err != nil {
		return nil, err
	}
	return s, nil
}

// parsePresigned reads a signature from the parameters of a presigned URL.
func parsePresigned(r *http.Request, q queryAuth) (*Signature, error) {
	var missing strings.Builder
	for _, p := range [...]struct{ name, value string }{
		{"X-Amz-Algorithm", q.algorithm}, {"X-Amz-Credential", q.credential}, {"X-Amz-Signature", q.signature},
		{"X-Amz-SignedHeaders", q.signedHeaders}, {"X-Amz-Date", q.date},
	} {
		if p.value == "" {
			missing.WriteString("AWS query-string parameters must include '" + p.name + "'. ")
		}
	}
	if missing.Len() > 0 {
		return nil, refuse(Incomplete, missing.String()+"Re-examine the query-string parameters.")
	}
	if q.repeated != "" {
		return nil, refuse(Incomplete, "AWS query-string parameters must include '"+q.repeated+"' only once. "+
			"Re-examine the query-string parameters.")
	}
	if q.algorithm != algorithm {
		return nil, errAlgorithm(q.algorithm)
	}
	token := q.token
	if token == "" {
		// A signer may leave the token in its header; as an X-Amz-* header it has to be signed there.
		var err error
		if token, err = onlyValue(r.Header, "X-Amz-Security-Token"); err != nil {
			return nil, err
		}
	}
	s := &Signature{SignedHeaders: q.signedHeaders, SessionToken: token, Presigned: true, Expires: defaultExpires}
	if q.expires != "" {
		seconds, err := strconv.ParseInt(q.expires, 10, 64)
		switch {
		case err != nil:
			return nil, refuse(Incomplete, textExpiresNumber)
		case seconds < 0:
			return nil, refuse(Incomplete, textExpiresNegative)
		case seconds == 0:
			return nil, refuse(Incomplete, textExpiresZero)
		case seconds > int64(MaxExpires/time.Second):
			return nil, refuse(Incomplete, textExpiresTooLong)
		}
		s.Expires = time.Duration(seconds) * time.Second
	}
	if err := s.parse(q.credential, q.date, q.signature); err != nil {
		return nil, err
	}
	return s, nil
}

// parse does what both forms have in common, in the order in which AWS is seen to complain.
func (s *Signature) parse(credential, date, signature string) error {
	if err := checkSignedHeaders(s.SignedHeaders); err != nil {
		return err
	}
	if err := s.parseDate(date); err != nil {
		return err
	}
	if err := s.parseCredential(credential); err != nil {
		return err
	}
	// What isn't 64 lower-case hex digits can't be the signature of anything.
	if len(signature) != hex.EncodedLen(len(s.mac)) || strings.ContainsAny(signature, "ABCDEF") {
		return refuse(Mismatch, textMismatch)
	}
	if _, err := hex.Decode(s.mac[:], []byte(signature)); err != nil {
		return refuse(Mismatch, textMismatch)
	}
	return nil
}

// checkSignedHeaders requires what the specification does: lower-case names, sorted, and the host among them.
func checkSignedHeaders(list string) error {
	host, last := false, ""
	for rest, more := list, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, ";")
		if name <= last || !headerName(name) {
			return refuse(Incomplete, textSignedHeaders)
		}
		host = host || name == "host" || name == ":authority"
		last = name
	}
	if !host {
		return refuse(NotSigned, textHostNotSigned)
	}
	return nil
}

// parseDate takes ISO 8601's basic form, the one AWS signs. HTTP's own date form reaches it rewritten by headerDate.
func (s *Signature) parseDate(date string) error {
	t, ok := parseStamp(date)
	if !ok {
		return refuse(Incomplete, "Date must be in ISO-8601 'basic format'. Got '"+clip(date)+
			"'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	s.Time, s.stamp = t, date
	return nil
}

// parseCredential reads keyid/date/region/service/aws4_request, after parseDate.
func (s *Signature) parseCredential(credential string) error {
	if strings.Count(credential, "/") != 4 {
		return errCredential(credential)
	}
	var rest, term string
	s.AccessKeyID, s.scope, _ = strings.Cut(credential, "/")
	s.Date, rest, _ = strings.Cut(s.scope, "/")
	s.Region, rest, _ = strings.Cut(rest, "/")
	s.Service, term, _ = strings.Cut(rest, "/")
	if s.AccessKeyID == "" || len(s.AccessKeyID) > maxAccessKeyID {
		return errCredential(credential)
	}

	var wrong []string
	if !scopeName(s.Region) {
		wrong = append(wrong, "Credential should be scoped to a valid region, not '"+clip(s.Region)+"'.")
	}
	if !scopeName(s.Service) {
		wrong = append(wrong, "Credential should be scoped to a valid service, not '"+clip(s.Service)+"'.")
	}
	if term != terminator {
		wrong = append(wrong, "Credential should be scoped with a valid terminator: 'aws4_request', not '"+clip(term)+"'.")
	}
	if day := s.stamp[:len("20060102")]; s.Date != day {
		wrong = append(wrong, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '"+
			clip(s.Date)+"' != '"+day+"', from '"+s.stamp+"'.")
	}
	if wrong != nil {
		return refuse(BadScope, strings.Join(wrong, " "))
	}
	return nil
}

// errCredential shows the scope but never what stands for the access key id. AWS shows the whole; but the usual way
// to get here is to have swapped the id and the secret, and secrets have slashes in them.
func errCredential(credential string) *Error {
	scope := ""
	if parts := strings.Split(credential, "/"); len(parts) >= 5 {
		scope = "/" + strings.Join(parts[len(parts)-4:], "/")
	}
	return refuse(Incomplete, "Credential must have exactly 5 slash-delimited elements, "+
		"e.g. keyid/date/region/service/term, got '***"+clip(scope)+"'")
}

func errAlgorithm(name string) *Error {
	return refuse(Incomplete, "Unsupported AWS 'algorithm': '"+clip(name)+"' (only AWS4-HMAC-SHA256 for now).")
}

// headerDate is the date of a request signed by header: X-Amz-Date, or else Date. It is empty if there is neither.
func headerDate(h http.Header) (string, error) {
	date, err := onlyValue(h, "X-Amz-Date")
	if err != nil || date != "" {
		return date, err
	}
	if date, err = onlyValue(h, "Date"); err != nil || date == "" {
		return date, err
	}
	// A Date header has most often HTTP's own form; what is signed is its ISO form.
	if t, err := http.ParseTime(date); err == nil {
		return stamp(t), nil
	}
	return date, nil
}

// onlyValue is the value of a header that may be given once; of two, neither the signer's meaning nor the server's
// reading would be sure.
func onlyValue(h http.Header, name string) (string, error) {
	switch values := h[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	default:
		return "", refuse(Incomplete, "'"+name+"' header must be given only once.")
	}
}

// parseStamp reads 20060102T150405Z. time.Parse would do, at ten times the cost.
func parseStamp(s string) (time.Time, bool) {
	if len(s) != len(stampLayout) || s[8] != 'T' || s[15] != 'Z' {
		return time.Time{}, false
	}
	number := func(from, to int) (n int) {
		for _, c := range []byte(s[from:to]) {
			if c < '0' || c > '9' {
				return -1
			}
			n = n*10 + int(c-'0')
		}
		return n
	}
	year, month, day := number(0, 4), number(4, 6), number(6, 8)
	hour, minute, second := number(9, 11), number(11, 13), number(13, 15)
	if min(year, month, day, hour, minute, second) < 0 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	// time.Date turns February 30 into March 2.
	if t.Month() != time.Month(month) || t.Day() != day {
		return time.Time{}, false
	}
	return t, true
}

// scopeName says whether a region or service of the scope is made of what such names are made of. A region becomes
// part of ARNs and of storage keys, so it can't be just anything.
func scopeName(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// headerName says whether s is a header's name in lower case (RFC 9110's token), or HTTP/2's :authority.
func headerName(s string) bool {
	for i := range len(s) {
		if !nameByte[s[i]] {
			return s == ":authority"
		}
	}
	return s != ""
}

var nameByte = func() (set [256]bool) {
	for _, b := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
		set[b] = true
	}
	return set
}()
