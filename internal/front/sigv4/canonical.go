package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// canonical is the room to build a canonical request in. AWS's definition of it is in the IAM User Guide under
// "Create a signed AWS API request", step 1.
type canonical struct {
	buf   []byte
	key   []byte // a header's name as http.Header spells it
	query []byte
	pairs []queryPair
}

var canonicals = sync.Pool{New: func() any {
	return &canonical{buf: make([]byte, 0, 4<<10), key: make([]byte, 0, 64)}
}}

// release gives the room back, unless an unusual request made it large.
func (c *canonical) release() {
	if cap(c.buf)+cap(c.query) <= 128<<10 {
		canonicals.Put(c)
	}
}

// stringToSign leaves in c.buf what is signed: algorithm, time, scope and the hash of the canonical request of r.
func (c *canonical) stringToSign(r *http.Request, s *Signature, payloadHash string) error {
	if err := c.request(r, s, payloadHash); err != nil {
		return err
	}
	sum := sha256.Sum256(c.buf)
	c.buf = append(c.buf[:0], algorithm+"\n"...)
	c.buf = append(c.buf, s.stamp...)
	c.buf = append(c.buf, '\n')
	c.buf = append(c.buf, s.scope...)
	c.buf = append(c.buf, '\n')
	c.buf = hex.AppendEncode(c.buf, sum[:])
	return nil
}

// request leaves the canonical request in c.buf.
func (c *canonical) request(r *http.Request, s *Signature, payloadHash string) error {
	c.buf = append(c.buf[:0], r.Method...)
	c.buf = append(c.buf, '\n')
	if pathsAsTheyAre(s.Service) {
		c.buf = appendPathAsItIs(c.buf, wirePath(r))
	} else {
		c.buf = appendPath(c.buf, wirePath(r))
	}
	c.buf = append(c.buf, '\n')
	if err := c.appendQuery(r.URL.RawQuery, s.Presigned); err != nil {
		return err
	}
	c.buf = append(c.buf, '\n')
	if err := c.appendHeaders(r, s); err != nil {
		return err
	}
	c.buf = append(c.buf, '\n')
	c.buf = append(c.buf, s.SignedHeaders...)
	c.buf = append(c.buf, '\n')
	c.buf = append(c.buf, payloadHash...)
	return nil
}

// wirePath is the path as it was, or will be, sent. A server has it in RequestURI; URL.EscapedPath would differ from
// that for bytes which a client should have escaped and didn't.
func wirePath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

// pathsAsTheyAre names the services with S3's rule for paths: an object's key may hold "//" and "..", so its path isn't
// normalised, and it is encoded once.
func pathsAsTheyAre(service string) bool {
	switch service {
	case "s3", "s3-object-lambda", "s3-outposts", "s3express":
		return true
	}
	return false
}

// appendPath appends the canonical form of a path as it is on the wire: empty segments and "." removed, ".." resolved,
// and all of it encoded, which for what the client had already encoded is the second time.
func appendPath(dst []byte, path string) []byte {
	start := len(dst)
	for rest, more := path, true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		switch segment {
		case "", ".":
		case "..":
			if i := bytes.LastIndexByte(dst[start:], '/'); i >= 0 {
				dst = dst[:start+i]
			}
		default:
			dst = append(dst, '/')
			for i := range len(segment) {
				dst = appendEscaped(dst, segment[i])
			}
		}
	}
	if len(dst) == start || strings.HasSuffix(path, "/") {
		dst = append(dst, '/')
	}
	return dst
}

// appendPathAsItIs appends the canonical form of a path to an object in S3: each byte of the key encoded exactly once,
// however the client spelt it.
func appendPathAsItIs(dst []byte, path string) []byte {
	if path == "" {
		return append(dst, '/')
	}
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '/' {
			dst = append(dst, '/')
			continue
		}
		if c == '%' && i+2 < len(path) && hexDigit(path[i+1]) >= 0 && hexDigit(path[i+2]) >= 0 {
			c = byte(hexDigit(path[i+1])<<4 | hexDigit(path[i+2]))
			i += 2
		}
		dst = appendEscaped(dst, c)
	}
	return dst
}

// appendHeaders appends "name:value\n" for each signed header. It refuses a request that lacks one of them, or that
// has an X-Amz-* header which isn't among them.
func (c *canonical) appendHeaders(r *http.Request, s *Signature) error {
	signedAmz := 0
	for rest, more := s.SignedHeaders, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, ";")
		c.buf = append(c.buf, name...)
		c.buf = append(c.buf, ':')
		if !c.appendHeader(r, name) {
			return refuse(Mismatch, textMismatch+" The signed header '"+clip(name)+"' is not in the request.")
		}
		c.buf = append(c.buf, '\n')
		if mustBeSigned(name, s.Presigned) {
			signedAmz++
		}
	}
	amz := 0
	for name := range r.Header {
		if mustBeSigned(name, s.Presigned) {
			amz++
		}
	}
	if amz > signedAmz {
		return errNotSigned(r, s)
	}
	return nil
}

// mustBeSigned says whether a request may not have the header, in either spelling, without signing it. The
// specification asks for "any x-amz-* headers that you plan to include in your request", for the host, which Parse has
// seen to, and in some of its versions for Content-Type, which not all signers sign. Of AWS's services only S3 insists on
// X-Amz-* ("There were headers present in the request which were not signed"); the others take such a header
// unsigned. Here every service insists: X-Amz-Target chooses the operation and X-Amz-Security-Token the session, and
// nobody between client and server may choose those. In a presigned URL the date is a parameter, and the header of that
// name means nothing.
func mustBeSigned(name string, presigned bool) bool {
	const prefix = "x-amz-"
	return len(name) > len(prefix) && name[0]|0x20 == 'x' && strings.EqualFold(name[:len(prefix)], prefix) &&
		!(presigned && strings.EqualFold(name, "x-amz-date"))
}

func errNotSigned(r *http.Request, s *Signature) *Error {
	first := ""
	for name := range r.Header {
		if mustBeSigned(name, s.Presigned) && !s.signs(strings.ToLower(name)) && (first == "" || name < first) {
			first = name
		}
	}
	return refuse(NotSigned, "'"+clip(first)+"' must be a 'SignedHeader' in the AWS Authorization.")
}

func (s *Signature) signs(name string) bool {
	for signed := range strings.SplitSeq(s.SignedHeaders, ";") {
		if signed == name {
			return true
		}
	}
	return false
}

// appendHeader appends the value of a header, given its name in lower case: its values trimmed, runs of spaces made
// one, joined by commas in the order in which they came. It says whether the request has the header.
func (c *canonical) appendHeader(r *http.Request, name string) bool {
	// net/http keeps some headers outside of Header, in fields that are what it acts upon.
	switch name {
	case "host", ":authority":
		host := r.Host
		if host == "" {
			host = r.URL.Host // a client's request without a Host of its own
		}
		c.buf = appendValue(c.buf, host)
		return true
	case "content-length":
		c.buf = strconv.AppendInt(c.buf, max(r.ContentLength, 0), 10)
		return r.ContentLength >= 0
	case "transfer-encoding":
		return c.appendValues(r.TransferEncoding)
	}
	c.key = append(c.key[:0], name...)
	upper := true
	for i, b := range c.key {
		if upper && b >= 'a' && b <= 'z' {
			c.key[i] = b - 'a' + 'A'
		}
		upper = b == '-'
	}
	return c.appendValues(r.Header[string(c.key)])
}

func (c *canonical) appendValues(values []string) bool {
	for i, value := range values {
		if i > 0 {
			c.buf = append(c.buf, ',')
		}
		c.buf = appendValue(c.buf, value)
	}
	return len(values) > 0
}

// appendValue appends a header's value without the whitespace around it and with each run of whitespace in it made one
// space, even between quotation marks. A tab counts as a space, as in AWS's signers for Java, Python and C; other
// whitespace doesn't get through net/http.
func appendValue(dst []byte, value string) []byte {
	if value == "" {
		return dst
	}
	if strings.IndexByte(value, '\t') < 0 && value[0] != ' ' && value[len(value)-1] != ' ' && !strings.Contains(value, "  ") {
		return append(dst, value...)
	}
	start, gap := len(dst), false
	for i := range len(value) {
		b := value[i]
		if b == ' ' || b == '\t' {
			gap = true
			continue
		}
		if gap && len(dst) > start {
			dst = append(dst, ' ')
		}
		gap = false
		dst = append(dst, b)
	}
	return dst
}

// appendEscaped appends one byte of a path or query, percent-encoded unless it is one of RFC 3986's unreserved
// characters: letters, digits, '-', '.', '_' and '~'.
func appendEscaped(dst []byte, b byte) []byte {
	if unreserved[b] {
		return append(dst, b)
	}
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[b>>4], digits[b&15])
}

var unreserved = func() (set [256]bool) {
	for b := range set {
		c := byte(b)
		set[b] = c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' ||
			c == '-' || c == '.' || c == '_' || c == '~'
	}
	return set
}()
