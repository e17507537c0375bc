package objects

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"vigil/internal/call"
)

// Limits of what is written, in bytes.
const (
	maxPut      = 5 << 30 // of one request
	maxObject   = 5 << 40 // of all parts together
	minPart     = 5 << 20 // of every part of an upload but the last
	maxParts    = 10000
	maxMetadata = 2 << 10 // of the names and values of the writer's own
)

// metadataOf is what the writer of an object says of it.
func metadataOf(h http.Header) (Metadata, error) {
	m := Metadata{
		ContentType: h.Get("Content-Type"), ContentEncoding: withoutChunked(h.Get("Content-Encoding")), ContentLanguage: h.Get("Content-Language"),
		ContentDisposition: h.Get("Content-Disposition"), CacheControl: h.Get("Cache-Control"), Expires: h.Get("Expires"),
	}
	if m.ContentType == "" {
		m.ContentType = "binary/octet-stream"
	}
	size := 0
	for name, values := range h {
		name, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-")
		if !ok {
			continue
		}
		if m.User == nil {
			m.User = map[string]string{}
		}
		if m.User[name] = strings.Join(values, ","); !utf8.ValidString(name + m.User[name]) {
			return m, errArgument("User metadata must be UTF-8.")
		}
		size += len(name) + len(m.User[name])
	}
	if size > maxMetadata {
		return m, call.Errorf("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
	}
	return m, nil
}

// withoutChunked is a Content-Encoding without that of the request itself.
func withoutChunked(encoding string) string {
	var kept []string
	for one := range strings.SplitSeq(encoding, ",") {
		if one = strings.TrimSpace(one); one != "" && !strings.EqualFold(one, "aws-chunked") {
			kept = append(kept, one)
		}
	}
	return strings.Join(kept, ",")
}

func conditionsOf(h http.Header) Conditions {
	return Conditions{IfMatch: h.Get("If-Match"), IfNoneMatch: h.Get("If-None-Match")}
}

// mayReplace says whether the conditions of a write hold: If-None-Match: * writes only what is not there, and If-Match what is as it was.
func mayReplace(h http.Header, present *Info) error {
	if none := h.Get("If-None-Match"); none != "" {
		if none != "*" {
			return notBuilt("If-None-Match of a write with anything but *")
		}
		if present != nil {
			return errPrecondition
		}
	}
	if match := h.Get("If-Match"); match != "" {
		if present == nil {
			return errNoSuchKey
		}
		if !hasETag(match, present.ETag) {
			return errPrecondition
		}
	}
	return nil
}

func checkLength(in *call.RESTRequest) error {
	switch {
	case in.Length < 0:
		return errMissingContents
	case in.Length > maxPut:
		return errTooLarge
	}
	return nil
}

func (o *Objects) putObject(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	b, err := o.allow(c, "s3:PutObject", in.Bucket, in.Key, nil)
	if err != nil {
		return nil, err
	}
	if err := checkLength(in); err != nil {
		return nil, err
	}
	m, err := metadataOf(in.Header)
	if err != nil {
		return nil, err
	}
	whole, err := expect(in, "")
	if err != nil {
		return nil, err
	}
	end, err := b.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	info, err := o.store.Put(ctx, b.name, Info{Key: in.Key, Metadata: m, Conditions: conditionsOf(in.Header)}, whole.body(maxPut), func(next, present *Info) error {
		if err := mayReplace(in.Header, present); err != nil {
			return err
		}
		sum, err := whole.check()
		if sum != "" {
			next.Checksum, next.ChecksumAlgorithm, next.ChecksumType = sum, whole.algorithm, "FULL_OBJECT"
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	h := http.Header{"ETag": {`"` + info.ETag + `"`}}
	writeChecksum(h, info.ChecksumAlgorithm, info.Checksum, info.ChecksumType)
	return &call.RESTAnswer{Header: h}, nil
}

func writeChecksum(h http.Header, algorithm, sum, typ string) {
	if sum == "" {
		return
	}
	h["x-amz-checksum-"+strings.ToLower(algorithm)] = []string{sum}
	if typ != "" {
		h["x-amz-checksum-type"] = []string{typ}
	}
}

type copied struct {
	XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
	ETag, LastModified string
}

func (o *Objects) copyObject(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	bucket, key, err := copySource(in.Header.Get("X-Amz-Copy-Source"))
	if err != nil {
		return nil, err
	}
	b, err := o.allow(c, "s3:PutObject", in.Bucket, in.Key, nil)
	if err != nil {
		return nil, err
	}
	if err := o.expectOwner(bucket, in.Header.Get("X-Amz-Source-Expected-Bucket-Owner")); err != nil {
		return nil, err
	}
	if _, err := o.allow(c, "s3:GetObject", bucket, key, nil); err != nil {
		return nil, err
	}
	end, err := b.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	source, err := o.store.Get(ctx, bucket, key)
	if err != nil {
		return nil, o.missing(c, bucket, err)
	}
	if holds, modified := conditions(in.Header, source.Info, "X-Amz-Copy-Source-"); !holds || !modified {
		source.Close()
		return nil, errPrecondition
	}
	if err := o.unseal(ctx, c.Principal, bucket, source); err != nil {
		return nil, err
	}
	defer source.Close()
	m := source.Metadata
	m.Encryption = nil // the copy is not asked to be encrypted
	switch directive := in.Header.Get("X-Amz-Metadata-Directive"); {
	case directive == "REPLACE":
		sum, algorithm, typ := m.Checksum, m.ChecksumAlgorithm, m.ChecksumType
		if m, err = metadataOf(in.Header); err != nil {
			return nil, err
		}
		m.Checksum, m.ChecksumAlgorithm, m.ChecksumType = sum, algorithm, typ
	case directive != "" && directive != "COPY":
		return nil, errArgument("Unknown metadata directive.")
	case bucket == in.Bucket && key == in.Key:
		return nil, call.Errorf("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if m.ChecksumType == "COMPOSITE" { // the copy has no parts
		m.Checksum, m.ChecksumAlgorithm, m.ChecksumType = "", "", ""
	}
	info, err := o.store.Put(ctx, b.name, Info{Key: in.Key, Metadata: m, Conditions: conditionsOf(in.Header)}, &limited{source, maxPut}, func(_, present *Info) error {
		return mayReplace(in.Header, present)
	})
	if err != nil {
		return nil, err
	}
	return &call.RESTAnswer{XML: copied{ETag: `"` + info.ETag + `"`, LastModified: info.Modified.Format(timeLayout)}}, nil
}

func copySource(text string) (bucket, key string, err error) {
	path, query, _ := strings.Cut(text, "?")
	if path, err = url.PathUnescape(path); err != nil || query != "" {
		return "", "", errArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	bucket, key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if bucket == "" || !validKey(key) {
		return "", "", errArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	return bucket, key, nil
}

func (o *Objects) deleteObject(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	b, err := o.allow(c, "s3:DeleteObject", in.Bucket, in.Key, nil)
	if err != nil {
		return nil, err
	}
	if in.Header.Get("If-Match") != "" {
		return nil, notBuilt("A condition of a deletion")
	}
	if err := o.store.Delete(ctx, b.name, in.Key); err != nil {
		return nil, err
	}
	return &call.RESTAnswer{Status: http.StatusNoContent}, nil
}

type deletion struct {
	Object []deletionOf
	Quiet  bool
}

// deletionOf is one object to delete, with the conditions under which.
type deletionOf struct {
	Key, VersionId, ETag, LastModifiedTime, Size string
}

type deletions struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []deletedKey
	Error   []deletionError
}

type deletedKey struct{ Key string }
type deletionError struct{ Key, Code, Message string }

// deleteObjects removes up to 1000 objects, each by itself: what one may not be is said of that one.
func (o *Objects) deleteObjects(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	b, err := o.bucket(in.Bucket)
	if err != nil {
		return nil, err
	}
	whole, err := expect(in, "")
	if err != nil {
		return nil, err
	}
	var asked deletion
	checked := *in
	checked.Body = whole.body(maxDocument)
	if err := readDocument(&checked, &asked); err != nil {
		return nil, err
	}
	if _, err := whole.check(); err != nil {
		return nil, err
	}
	if len(asked.Object) == 0 || len(asked.Object) > maxKeys {
		return nil, errMalformedXML
	}
	var out deletions
	for _, one := range asked.Object {
		if err := o.deleteOne(ctx, c, b, one); err != nil {
			var e *call.Error
			if !errors.As(err, &e) {
				return nil, err
			}
			out.Error = append(out.Error, deletionError{one.Key, e.Code, e.Message})
		} else if !asked.Quiet {
			out.Deleted = append(out.Deleted, deletedKey{one.Key})
		}
	}
	return &call.RESTAnswer{XML: out}, nil
}

func (o *Objects) deleteOne(ctx context.Context, c *call.Call, b *bucket, one deletionOf) error {
	switch {
	case one.VersionId != "" && one.VersionId != "null":
		return notBuilt("A version of an object")
	case one.ETag != "" || one.LastModifiedTime != "" || one.Size != "":
		return notBuilt("A condition of a deletion")
	case !validKey(one.Key):
		return errKey(one.Key)
	}
	if _, err := o.allow(c, "s3:DeleteObject", b.name, one.Key, nil); err != nil {
		return err
	}
	return o.store.Delete(ctx, b.name, one.Key)
}
