package objects

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"vigil/internal/call"
)

// Remote is a Store whose objects are in an S3-compatible store elsewhere, in its buckets of the same names. Uploads in parts come together in files, and
// are put there when they are completed, as one object: of 5 GB at most, as S3 has it.
//
// What the store refuses is a *call.Error with its code, or AccessDenied if it does not take the credentials. Other errors are those of a store that is away.
type Remote struct {
	*Files // uploads, and what is on its way
	client *s3.Client
}

// RemoteConfig is where a store is.
type RemoteConfig struct {
	Endpoint    string // its URL; empty for AWS's own
	Region      string // that requests are signed for
	Credentials aws.CredentialsProvider
}

// How long a store may take: to be reached, and to begin to answer. A request is tried three times.
const (
	remoteDial   = 5 * time.Second
	remoteAnswer = time.Minute
	remoteTries  = 3
)

// NewS3 is a client of an S3-compatible store. It names buckets in the path, as not every store has a name for each.
func NewS3(c RemoteConfig) (*s3.Client, error) {
	options := s3.Options{
		Region: c.Region, Credentials: c.Credentials, UsePathStyle: true,
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = remoteTries, 2*time.Second }),
		HTTPClient: awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) { d.Timeout = remoteDial }).
			WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = remoteAnswer }),
		// Not every store knows checksums of the newer kinds; the signature covers the contents anyway.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
			return nil, errors.New("it is not a URL of http or https, without user and query")
		}
		options.BaseEndpoint = &c.Endpoint
	}
	return s3.New(options), nil
}

// OpenRemote keeps objects in the client's store, and what is on its way there in files.
func OpenRemote(client *s3.Client, files *Files) *Remote { return &Remote{files, client} }

// Make implements Store. A bucket that is there already is taken as it is.
func (r *Remote) Make(ctx context.Context, bucket, region string) error {
	_, err := r.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
	if err = explainRemote(err); !errors.Is(err, ErrNotFound) && !errors.Is(err, errNoSuchBucket) {
		return err
	}
	in := &s3.CreateBucketInput{Bucket: &bucket}
	if at := r.client.Options().Region; at != firstRegion {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(at)}
	}
	_, err = r.client.CreateBucket(ctx, in)
	if owned := (*types.BucketAlreadyOwnedByYou)(nil); errors.As(err, &owned) {
		return nil
	}
	return explainRemote(err)
}

// Local implements Store.
func (r *Remote) Local() bool { return false }

// Put implements Store.
func (r *Remote) Put(ctx context.Context, bucket string, info Info, body io.Reader, settle Settle) (Info, error) {
	tmp, err := r.receive(body)
	if err != nil {
		return Info{}, err
	}
	defer tmp.discard()
	info.Size, info.ETag = tmp.size, hex.EncodeToString(tmp.md5)
	return r.send(ctx, bucket, info, tmp, settle)
}

// send puts what was received. Who puts the same key at the same time, there or here, may come in between settle and the end, unless the store minds
// the conditions too.
func (r *Remote) send(ctx context.Context, bucket string, info Info, tmp *received, settle Settle) (Info, error) {
	var present *Info
	switch before, err := r.Head(ctx, bucket, info.Key); {
	case err == nil:
		present = &before
	case !errors.Is(err, ErrNotFound):
		return Info{}, err
	}
	info.Modified = r.clock.Now().UTC()
	if err := settle(&info, present); err != nil {
		return Info{}, err
	}
	file, err := os.Open(tmp.path)
	if err != nil {
		return Info{}, fmt.Errorf("buckets: %w", err)
	}
	defer file.Close()
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &info.Key, Body: file, ContentLength: &info.Size, Metadata: info.User,
		ContentType: filled(info.ContentType), ContentEncoding: filled(info.ContentEncoding), ContentLanguage: filled(info.ContentLanguage),
		ContentDisposition: filled(info.ContentDisposition), CacheControl: filled(info.CacheControl),
		IfMatch: filled(info.IfMatch), IfNoneMatch: filled(info.IfNoneMatch)}
	if at, err := http.ParseTime(info.Expires); err == nil {
		in.Expires = &at
	}
	if info.ChecksumType == "COMPOSITE" || strings.Contains(info.Checksum, "-") { // what is put has no parts
		info.Checksum, info.ChecksumAlgorithm, info.ChecksumType = "", "", ""
	}
	switch sum := filled(info.Checksum); info.ChecksumAlgorithm {
	case "CRC32":
		in.ChecksumCRC32 = sum
	case "CRC32C":
		in.ChecksumCRC32C = sum
	case "CRC64NVME":
		in.ChecksumCRC64NVME = sum
	case "SHA1":
		in.ChecksumSHA1 = sum
	case "SHA256":
		in.ChecksumSHA256 = sum
	}
	missing := errNoSuchBucket
	if info.IfMatch != "" { // what settle has seen is not there any more
		missing = errNoSuchKey
	}
	out, err := r.client.PutObject(ctx, in)
	if err != nil {
		return Info{}, notFound(explainRemote(err), missing)
	}
	if tag := strings.Trim(aws.ToString(out.ETag), `"`); tag != "" {
		info.ETag = tag
	}
	return info, nil
}

func filled(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Complete implements Store.
func (r *Remote) Complete(ctx context.Context, bucket, id string, info Info, parts []Part, through io.Writer, settle Settle) (Info, error) {
	dir, tmp, info, err := r.assemble(bucket, id, info, parts, through)
	if err != nil {
		return Info{}, err
	}
	defer tmp.discard()
	if info, err = r.send(ctx, bucket, info, tmp, settle); err != nil {
		return Info{}, err
	}
	os.RemoveAll(dir)
	return info, nil
}

// Head implements Store.
func (r *Remote) Head(ctx context.Context, bucket, key string) (Info, error) {
	out, err := r.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return Info{}, explainRemote(err)
	}
	return infoOf(key, &s3.GetObjectOutput{
		ContentLength: out.ContentLength, ETag: out.ETag, LastModified: out.LastModified, Metadata: out.Metadata, ContentType: out.ContentType,
		ContentEncoding: out.ContentEncoding, ContentLanguage: out.ContentLanguage, ContentDisposition: out.ContentDisposition, CacheControl: out.CacheControl,
		ExpiresString: out.ExpiresString, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
		ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256, ChecksumType: out.ChecksumType,
	}), nil
}

func infoOf(key string, out *s3.GetObjectOutput) Info {
	info := Info{Key: key, Size: aws.ToInt64(out.ContentLength), ETag: strings.Trim(aws.ToString(out.ETag), `"`), Modified: aws.ToTime(out.LastModified).UTC(),
		Metadata: Metadata{ContentType: aws.ToString(out.ContentType), ContentEncoding: aws.ToString(out.ContentEncoding),
			ContentLanguage: aws.ToString(out.ContentLanguage), ContentDisposition: aws.ToString(out.ContentDisposition),
			CacheControl: aws.ToString(out.CacheControl), Expires: aws.ToString(out.ExpiresString)}}
	if len(out.Metadata) > 0 {
		info.User = map[string]string{}
		for name, value := range out.Metadata {
			info.User[strings.ToLower(name)] = value
		}
	}
	for algorithm, sum := range map[string]*string{"CRC32": out.ChecksumCRC32, "CRC32C": out.ChecksumCRC32C, "CRC64NVME": out.ChecksumCRC64NVME,
		"SHA1": out.ChecksumSHA1, "SHA256": out.ChecksumSHA256} {
		if aws.ToString(sum) != "" {
			info.ChecksumAlgorithm, info.Checksum = algorithm, *sum
			info.ChecksumType = cmp.Or(string(out.ChecksumType), "FULL_OBJECT")
		}
	}
	return info
}

// Get implements Store.
func (r *Remote) Get(ctx context.Context, bucket, key string) (*Object, error) {
	out, err := r.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return nil, explainRemote(err)
	}
	info := infoOf(key, out)
	return &Object{info, &remoteReader{ctx: ctx, client: r.client, bucket: bucket, info: info, body: out.Body}}, nil
}

// remoteReader reads an object. Whoever seeks has it asked for anew, from there on; should it have been replaced meanwhile, that is an error.
type remoteReader struct {
	ctx    context.Context
	client *s3.Client
	bucket string
	info   Info
	body   io.ReadCloser // from the place at on; nil if it is yet to be asked for
	at     int64
}

func (r *remoteReader) Read(p []byte) (int, error) {
	if r.at >= r.info.Size {
		return 0, io.EOF
	}
	if r.body == nil {
		out, err := r.client.GetObject(r.ctx, &s3.GetObjectInput{Bucket: &r.bucket, Key: &r.info.Key, IfMatch: aws.String(`"` + r.info.ETag + `"`),
			Range: aws.String(fmt.Sprintf("bytes=%d-", r.at))})
		if err != nil {
			return 0, explainRemote(err)
		}
		r.body = out.Body
	}
	n, err := r.body.Read(p)
	r.at += int64(n)
	if err == io.EOF && r.at < r.info.Size {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (r *remoteReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.info.Size
	}
	if offset < 0 {
		return r.at, errors.New("seek to before the beginning")
	}
	if offset != r.at {
		r.Close()
		r.body, r.at = nil, offset
	}
	return r.at, nil
}

func (r *remoteReader) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}

// Delete implements Store.
func (r *Remote) Delete(ctx context.Context, bucket, key string) error {
	_, err := r.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	if err = explainRemote(err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// List implements Store.
func (r *Remote) List(ctx context.Context, bucket string, q Query) (Page, error) {
	in := &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: filled(q.Prefix), Delimiter: filled(q.Delimiter), StartAfter: filled(q.After),
		MaxKeys: aws.Int32(int32(min(q.Max, maxKeys))), EncodingType: types.EncodingTypeUrl}
	if rest, ok := strings.CutPrefix(q.After, q.Prefix); ok && q.Delimiter != "" && strings.HasSuffix(rest, q.Delimiter) {
		in.StartAfter = aws.String(q.After + "\U0010FFFF") // behind all that is rolled into this common prefix
	}
	out, err := r.client.ListObjectsV2(ctx, in)
	if err != nil {
		return Page{}, notFound(explainRemote(err), errNoSuchBucket)
	}
	text := func(s *string) string {
		if plain, err := url.QueryUnescape(aws.ToString(s)); err == nil && out.EncodingType == types.EncodingTypeUrl {
			return plain
		}
		return aws.ToString(s)
	}
	page := Page{More: aws.ToBool(out.IsTruncated)}
	for _, o := range out.Contents {
		page.Objects = append(page.Objects, Info{Key: text(o.Key), Size: aws.ToInt64(o.Size), ETag: strings.Trim(aws.ToString(o.ETag), `"`), Modified: aws.ToTime(o.LastModified).UTC()})
	}
	for _, p := range out.CommonPrefixes {
		page.Prefixes = append(page.Prefixes, text(p.Prefix))
	}
	if n := len(page.Objects); n > 0 {
		page.Last = page.Objects[n-1].Key
	}
	if n := len(page.Prefixes); n > 0 {
		page.Last = max(page.Last, page.Prefixes[n-1])
	}
	return page, nil
}

// explainRemote puts the error of a store into terms of this package: ErrNotFound, a *call.Error if the store has refused, or another.
func explainRemote(err error) error {
	if err == nil {
		return nil
	}
	var answer *awshttp.ResponseError
	var api smithy.APIError
	if !errors.As(err, &answer) {
		return fmt.Errorf("the S3-compatible store cannot be reached: %w", err)
	}
	status, code, message := answer.HTTPStatusCode(), "", ""
	if errors.As(err, &api) {
		code, message = api.ErrorCode(), api.ErrorMessage()
	}
	switch {
	case code == "NoSuchBucket":
		return errNoSuchBucket
	case status == http.StatusNotFound:
		return ErrNotFound
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return &call.Error{Code: "AccessDenied", Message: "The S3-compatible store denies access: " + code, Status: http.StatusForbidden, Cause: err}
	case status == http.StatusPreconditionFailed:
		return errPrecondition
	case status >= 300 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
		return &call.Error{Code: cmp.Or(code, "InvalidRequest"), Message: "The S3-compatible store answers: " + cmp.Or(message, http.StatusText(status)), Status: max(status, 400), Cause: err}
	}
	return fmt.Errorf("the S3-compatible store failed: %w", err)
}
