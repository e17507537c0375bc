package objects

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vigil/internal/call"
)

func (o *Objects) getObject(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	if _, err := o.allow(c, "s3:GetObject", in.Bucket, in.Key, nil); err != nil {
		return nil, err
	}
	found, err := o.store.Get(ctx, in.Bucket, in.Key)
	if err != nil {
		return nil, o.missing(c, in.Bucket, err)
	}
	answer, err := answerObject(in, found.Info)
	if err != nil {
		found.Close()
		return nil, err
	}
	if answer.Status == http.StatusNotModified {
		found.Close()
		return answer, nil
	}
	from, err := selectRange(in, found.Info, answer)
	if err != nil {
		found.Close()
		return nil, err
	}
	if err := o.unseal(ctx, c.Principal, in.Bucket, found); err != nil {
		return nil, err
	}
	if from > 0 {
		_, err = found.Seek(from, io.SeekStart)
	}
	if err != nil {
		found.Close()
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(found, answer.Length), found}
	return answer, nil
}

func (o *Objects) headObject(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	if _, err := o.allow(c, "s3:GetObject", in.Bucket, in.Key, nil); err != nil {
		return nil, err
	}
	info, err := o.store.Head(ctx, in.Bucket, in.Key)
	if err != nil {
		return nil, o.missing(c, in.Bucket, err)
	}
	answer, err := answerObject(in, info)
	if err != nil || answer.Status == http.StatusNotModified {
		return answer, err
	}
	_, err = selectRange(in, info, answer)
	return answer, err
}

// missing answers who reads an object that is not there: only who may list the bucket learns that.
func (o *Objects) missing(c *call.Call, bucket string, err error) error {
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	if _, denied := o.allow(c, "s3:ListBucket", bucket, "", nil); denied != nil {
		return denied
	}
	return errNoSuchKey
}

// answerObject is the answer to who reads an object, without its body, by the conditions of the request.
func answerObject(in *call.RESTRequest, info Info) (*call.RESTAnswer, error) {
	h := http.Header{
		"ETag":          {`"` + info.ETag + `"`},
		"Last-Modified": {info.Modified.UTC().Format(http.TimeFormat)},
		"Accept-Ranges": {"bytes"},
	}
	holds, modified := conditions(in.Header, info, "")
	if !holds {
		return nil, errPrecondition
	}
	if !modified {
		return &call.RESTAnswer{Status: http.StatusNotModified, Header: h}, nil
	}
	info.Metadata.write(h)
	for name, header := range responseHeaders {
		if value := in.Query.Get(name); value != "" {
			if strings.ContainsAny(value, "\r\n\x00") {
				return nil, errArgument("The value of %s is not one of a header.", name)
			}
			h[header] = []string{value}
		}
	}
	if in.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" && info.Checksum != "" && in.Header.Get("Range") == "" {
		h["x-amz-checksum-"+strings.ToLower(info.ChecksumAlgorithm)] = []string{info.Checksum}
		h["x-amz-checksum-type"] = []string{info.ChecksumType}
	}
	return &call.RESTAnswer{Header: h, Length: info.Size}, nil
}

var responseHeaders = map[string]string{
	"response-content-type": "Content-Type", "response-content-language": "Content-Language", "response-expires": "Expires",
	"response-cache-control": "Cache-Control", "response-content-disposition": "Content-Disposition", "response-content-encoding": "Content-Encoding",
}

// write puts what the object's writer has said into the headers of an answer. The names of the writer's own go out in lower case: some
// readers look for them in no other.
func (m Metadata) write(h http.Header) {
	for name, value := range map[string]string{
		"Content-Type": m.ContentType, "Content-Encoding": m.ContentEncoding, "Content-Language": m.ContentLanguage,
		"Content-Disposition": m.ContentDisposition, "Cache-Control": m.CacheControl, "Expires": m.Expires,
	} {
		if value != "" {
			h[name] = []string{value}
		}
	}
	m.Encryption.write(h)
	for name, value := range m.User {
		h["x-amz-meta-"+name] = []string{value}
	}
}

// conditions says whether the conditions of a request hold, and whether the object is another than the client has, by RFC 9110, section
// 13.2.2. prefix is that of the headers' names.
func conditions(h http.Header, info Info, prefix string) (holds, modified bool) {
	since := func(name string) (time.Time, bool) {
		t, err := http.ParseTime(h.Get(prefix + name))
		return t, err == nil
	}
	at := info.Modified.Truncate(time.Second)
	if match := h.Get(prefix + "If-Match"); match != "" {
		if !hasETag(match, info.ETag) {
			return false, true
		}
	} else if t, ok := since("If-Unmodified-Since"); ok && at.After(t) {
		return false, true
	}
	if match := h.Get(prefix + "If-None-Match"); match != "" {
		return true, !hasETag(match, info.ETag)
	}
	t, ok := since("If-Modified-Since")
	return true, !ok || at.After(t)
}

func hasETag(list, etag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.Trim(strings.TrimPrefix(strings.TrimSpace(one), "W/"), `"`); one == "*" || one == etag {
			return true
		}
	}
	return false
}

// selectRange makes answer that of the range which is asked for, and says where it begins. What is no range of bytes, or more than one,
// is passed over, as S3 does.
func selectRange(in *call.RESTRequest, info Info, answer *call.RESTAnswer) (from int64, err error) {
	text, ok := strings.CutPrefix(in.Header.Get("Range"), "bytes=")
	first, last, isRange := strings.Cut(text, "-")
	if !ok || !isRange || strings.Contains(text, ",") || first == "" && last == "" {
		return 0, nil
	}
	end := info.Size - 1
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return 0, nil
		}
		from = max(info.Size-int64(n), 0)
		if n == 0 {
			from = info.Size
		}
	} else {
		n, err := strconv.ParseUint(first, 10, 63)
		if err != nil {
			return 0, nil
		}
		from = int64(n)
		if last != "" {
			n, err := strconv.ParseUint(last, 10, 63)
			if err != nil || int64(n) < from {
				return 0, nil
			}
			end = min(end, int64(n))
		}
	}
	if from >= info.Size {
		return 0, &call.Error{Code: "InvalidRange", Message: "The requested range is not satisfiable", Status: http.StatusRequestedRangeNotSatisfiable}
	}
	answer.Status, answer.Length = http.StatusPartialContent, end-from+1
	answer.Header["Content-Range"] = []string{fmt.Sprintf("bytes %d-%d/%d", from, end, info.Size)}
	return from, nil
}

type listing struct {
	XMLName                                  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name, Prefix                             string
	Marker, NextMarker                       *string
	ContinuationToken, NextContinuationToken string `xml:",omitempty"`
	StartAfter                               string `xml:",omitempty"`
	KeyCount                                 *int
	MaxKeys                                  int
	Delimiter, EncodingType                  string `xml:",omitempty"`
	IsTruncated                              bool
	Contents                                 []listed
	CommonPrefixes                           []commonPrefix
}

type listed struct {
	Key, LastModified, ETag string
	ChecksumAlgorithm       string `xml:",omitempty"`
	ChecksumType            string `xml:",omitempty"`
	Size                    int64
	StorageClass            string
	Owner                   *owner
}

type commonPrefix struct{ Prefix string }

const maxKeys = 1000

// listObjects is ListObjects and, with list-type=2, ListObjectsV2.
func (o *Objects) listObjects(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	q := in.Query
	b, err := o.allow(c, "s3:ListBucket", in.Bucket, "", func(key string) ([]string, bool) {
		name, ok := strings.CutPrefix(key, "s3:")
		if !ok || name != "prefix" && name != "delimiter" && name != "max-keys" {
			return nil, false
		}
		return q[name], q.Has(name)
	})
	if err != nil {
		return nil, err
	}
	most := maxKeys
	if text := q.Get("max-keys"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return nil, errArgument("Argument maxKeys must be an integer between 0 and 2147483647")
		}
		most = min(int(n), maxKeys)
	}
	encode := func(s string) string { return s }
	switch q.Get("encoding-type") {
	case "":
	case "url":
		encode = encodeURL
	default:
		return nil, errArgument("Invalid Encoding Method specified in Request")
	}
	out := listing{Name: b.name, Prefix: encode(q.Get("prefix")), Delimiter: encode(q.Get("delimiter")), MaxKeys: most, EncodingType: q.Get("encoding-type")}
	find := Query{Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), Max: most}
	second := q.Get("list-type") == "2"
	switch {
	case q.Has("list-type") && !second:
		return nil, errArgument("Invalid List Type specified in Request")
	case second && q.Has("continuation-token"):
		after, err := url.QueryUnescape(q.Get("continuation-token"))
		if err != nil || after == "" {
			return nil, errArgument("The continuation token provided is incorrect")
		}
		find.After, out.ContinuationToken = after, q.Get("continuation-token")
	case second:
		find.After = q.Get("start-after")
	default:
		find.After = q.Get("marker")
		marker := encode(find.After)
		out.Marker = &marker
	}
	if second {
		out.StartAfter = encode(q.Get("start-after"))
	}
	var page Page
	if most > 0 {
		if page, err = o.store.List(ctx, b.name, find); err != nil {
			return nil, err
		}
	}
	who := ownerOf(b.account)
	for _, info := range page.Objects {
		one := listed{Key: encode(info.Key), LastModified: info.Modified.UTC().Format(timeLayout), ETag: `"` + info.ETag + `"`,
			ChecksumAlgorithm: info.ChecksumAlgorithm, ChecksumType: info.ChecksumType, Size: info.Size, StorageClass: "STANDARD"}
		if !second || q.Get("fetch-owner") == "true" {
			one.Owner = &who
		}
		out.Contents = append(out.Contents, one)
	}
	for _, prefix := range page.Prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{encode(prefix)})
	}
	out.IsTruncated = page.More
	if second {
		n := len(page.Objects) + len(page.Prefixes)
		out.KeyCount = &n
		if page.More {
			out.NextContinuationToken = url.QueryEscape(page.Last)
		}
	} else if page.More && find.Delimiter != "" {
		next := encode(page.Last)
		out.NextMarker = &next
	}
	return &call.RESTAnswer{XML: out}, nil
}

// encodeURL is the encoding of encoding-type=url: all is percent-encoded but letters, digits, -._~ and the slash.
func encodeURL(s string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(s))
}
