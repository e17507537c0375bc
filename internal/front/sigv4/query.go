package sigv4

import (
	"bytes"
	"slices"
	"strings"
)

// Query strings are read here and not by url.ParseQuery, which drops pairs with a semicolon: a signature has to
// cover what was sent. Otherwise the two agree: pairs are separated by '&', an empty pair is nothing, a name without
// '=' has the empty value, '+' is a space.

// queryAuth holds the parameters of a presigned URL, decoded.
type queryAuth struct {
	algorithm, credential, date, expires, signedHeaders, signature, token string

	repeated string // one of the names above that was there twice
}

// presigned says whether the query string means to carry a signature.
func (q *queryAuth) presigned() bool {
	return q.algorithm != "" || q.credential != "" || q.signature != ""
}

func parseQuery(raw string) (q queryAuth, err error) {
	if len(raw) > maxQuery {
		return q, refuse(MalformedQuery, "The query string is too long.")
	}
	for pairs := 0; raw != ""; pairs++ {
		if pairs == maxQueryPairs {
			return q, refuse(MalformedQuery, "The query string has too many parameters.")
		}
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		if name, err = unescape(name); err != nil {
			return q, err
		}
		into := q.field(name)
		if into == nil {
			continue
		}
		if value, err = unescape(value); err != nil {
			return q, err
		}
		if *into != "" {
			q.repeated = name
		}
		*into = value
	}
	return q, nil
}

func (q *queryAuth) field(name string) *string {
	switch name {
	case "X-Amz-Algorithm":
		return &q.algorithm
	case "X-Amz-Credential":
		return &q.credential
	case "X-Amz-Date":
		return &q.date
	case "X-Amz-Expires":
		return &q.expires
	case "X-Amz-SignedHeaders":
		return &q.signedHeaders
	case "X-Amz-Signature":
		return &q.signature
	case "X-Amz-Security-Token":
		return &q.token
	}
	return nil
}

// unescape decodes a name or value of a query string.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		c, n, err := unescapeByte(s[i:])
		if err != nil {
			return "", err
		}
		b = append(b, c)
		i += n
	}
	return string(b), nil
}

// unescapeByte decodes the first byte of s, which isn't empty, and says how many bytes of s it took.
func unescapeByte(s string) (c byte, n int, err error) {
	switch s[0] {
	default:
		return s[0], 1, nil
	case '+':
		return ' ', 1, nil
	case '%':
		if len(s) < 3 {
			return 0, 0, refuse(MalformedQuery, "Incomplete trailing escape % sequence")
		}
		high, low := hexDigit(s[1]), hexDigit(s[2])
		if high < 0 || low < 0 {
			return 0, 0, refuse(MalformedQuery, "Illegal hex character in escape % pattern: %"+clip(s[1:3]))
		}
		return byte(high<<4 | low), 3, nil
	}
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// A queryPair is a canonical pair: where its name and its value lie in canonical.query.
type queryPair struct{ name, equals, end int }

// appendQuery appends the canonical query string: every name and value decoded and encoded again in the one way that
// AWS does it, sorted by name and then value *as encoded*, joined by '&'. A presigned URL's own signature isn't in it.
func (c *canonical) appendQuery(raw string, presigned bool) error {
	if raw == "" {
		return nil
	}
	c.query, c.pairs = c.query[:0], c.pairs[:0]
	for raw != "" {
		var pair string
		if pair, raw, _ = strings.Cut(raw, "&"); pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		var err error
		p := queryPair{name: len(c.query)}
		if c.query, err = appendReescaped(c.query, name); err != nil {
			return err
		}
		p.equals = len(c.query)
		if presigned && string(c.query[p.name:p.equals]) == "X-Amz-Signature" {
			c.query = c.query[:p.name]
			continue
		}
		c.query = append(c.query, '=')
		if c.query, err = appendReescaped(c.query, value); err != nil {
			return err
		}
		p.end = len(c.query)
		c.pairs = append(c.pairs, p)
	}
	query := c.query
	slices.SortFunc(c.pairs, func(a, b queryPair) int {
		if order := bytes.Compare(query[a.name:a.equals], query[b.name:b.equals]); order != 0 {
			return order
		}
		return bytes.Compare(query[a.equals:a.end], query[b.equals:b.end])
	})
	for i, p := range c.pairs {
		if i > 0 {
			c.buf = append(c.buf, '&')
		}
		c.buf = append(c.buf, query[p.name:p.end]...)
	}
	return nil
}

// appendReescaped decodes s, a name or value of a query string, and appends it as AWS encodes it.
func appendReescaped(dst []byte, s string) ([]byte, error) {
	for i := 0; i < len(s); {
		c, n, err := unescapeByte(s[i:])
		if err != nil {
			return dst, err
		}
		dst = appendEscaped(dst, c)
		i += n
	}
	return dst, nil
}
