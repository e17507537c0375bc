// Package objects keeps buckets, and answers the part of the S3 API by which people and tools fill and read them.
//
// Which buckets there are, and whose, is in the database, as that changes by recorded calls. What is in them is in a Store: plain files in
// the data directory, or an S3-compatible store elsewhere. The operations are those of the S3 API Reference (https://docs.aws.amazon.com/AmazonS3/latest/API/); versions,
// access control lists, bucket policies, tags and locks are not built, and a request that asks for one of them is answered
// with NotImplemented; objects are encrypted with KMS keys only for the services that put them so (encrypt.go). A bucket is its account's alone, and is served in whichever region it is asked for.
package objects

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/store"
)

// Config is what Objects needs of the house.
type Config struct {
	DB    store.DB
	Clock clock.Clock
	Store Store
	// UseKey calls an operation of KMS. Without it, objects cannot be encrypted.
	UseKey UseKey
}

// Objects is the service.
type Objects struct {
	clock   clock.Clock
	store   Store
	useKey  UseKey
	mu      sync.RWMutex
	buckets map[string]*bucket
}

// bucket is one bucket.
type bucket struct {
	name, account, region string
	created               time.Time
	// changing is held for reading while something is put, and for writing by the bucket's deletion, which does not wait for it.
	changing sync.RWMutex
	// closing is when its deletion was found possible, in nanoseconds since 1970: what is put from then on would be lost.
	closing atomic.Int64
}

const tables = `CREATE TABLE objects_buckets (name TEXT PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, created BIGINT NOT NULL)`

// New brings the tables to their newest form and reads which buckets there are.
func New(ctx context.Context, cfg Config) (*Objects, error) {
	if err := cfg.DB.Migrate(ctx, "objects", tables); err != nil {
		return nil, fmt.Errorf("objects: %w", err)
	}
	o := &Objects{clock: cfg.Clock, store: cfg.Store, useKey: cfg.UseKey, buckets: map[string]*bucket{}}
	err := cfg.DB.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT name, account, region, created FROM objects_buckets`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			b, created := new(bucket), int64(0)
			if err := rows.Scan(&b.name, &b.account, &b.region, &created); err != nil {
				return err
			}
			b.created = time.UnixMilli(created).UTC()
			o.buckets[b.name] = b
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("objects: %w", err)
	}
	return o, nil
}

// bucket finds a bucket by its name.
func (o *Objects) bucket(name string) (*bucket, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if b := o.buckets[name]; b != nil {
		return b, nil
	}
	return nil, errNoSuchBucket
}

// of are an account's buckets by name.
func (o *Objects) of(account string) []*bucket {
	o.mu.RLock()
	defer o.mu.RUnlock()
	var own []*bucket
	for _, b := range o.buckets {
		if b.account == account {
			own = append(own, b)
		}
	}
	slices.SortFunc(own, func(a, b *bucket) int { return cmp.Compare(a.name, b.name) })
	return own
}

// For those inside the server that keep their files in buckets. Their errors are of the S3 API: NoSuchBucket, NoSuchKey, and
// AccessDenied for a bucket of another account.

// Put writes an object on behalf of an account. Nothing of it is there unless it is whole.
func (o *Objects) Put(ctx context.Context, account, bucket, key string, m Metadata, body io.Reader) (Info, error) {
	b, err := o.owned(account, bucket)
	if err != nil {
		return Info{}, err
	}
	if !validKey(key) {
		return Info{}, errKey(key)
	}
	end, err := b.begin()
	if err != nil {
		return Info{}, err
	}
	defer end()
	return o.store.Put(ctx, bucket, Info{Key: key, Metadata: m}, body, func(_, _ *Info) error { return nil })
}

// Get opens an object, which the caller closes. One that is encrypted with a KMS key is AccessDenied: its readers have to be named to KMS.
func (o *Objects) Get(ctx context.Context, account, bucket, key string) (*Object, error) {
	if _, err := o.owned(account, bucket); err != nil {
		return nil, err
	}
	found, err := o.store.Get(ctx, bucket, key)
	if err == ErrNotFound {
		return nil, errNoSuchKey
	}
	if err == nil && found.Encryption != nil {
		found.Close()
		return nil, &call.Error{Code: "AccessDenied", Message: "The object is encrypted with a KMS key.", Status: http.StatusForbidden}
	}
	return found, err
}

// List finds objects in the order of their keys' bytes.
func (o *Objects) List(ctx context.Context, account, bucket string, q Query) (Page, error) {
	if _, err := o.owned(account, bucket); err != nil {
		return Page{}, err
	}
	return o.store.List(ctx, bucket, q)
}

// Delete removes an object, if it is there.
func (o *Objects) Delete(ctx context.Context, account, bucket, key string) error {
	if _, err := o.owned(account, bucket); err != nil {
		return err
	}
	return o.store.Delete(ctx, bucket, key)
}

// Region is where a bucket is.
func (o *Objects) Region(account, bucket string) (string, error) {
	b, err := o.owned(account, bucket)
	if err != nil {
		return "", err
	}
	return b.region, nil
}

func (o *Objects) owned(account, name string) (*bucket, error) {
	b, err := o.bucket(name)
	if err == nil && b.account != account {
		return nil, errDenied
	}
	return b, err
}

// closingLasts is how long a deletion may take that was found possible. One that has not happened by then has failed.
const closingLasts = 30 * time.Second

// begin has a bucket stay while something is put into it, until the function returned is called.
func (b *bucket) begin() (end func(), err error) {
	b.changing.RLock()
	if time.Since(time.Unix(0, b.closing.Load())) < closingLasts {
		b.changing.RUnlock()
		return nil, errAborted
	}
	return b.changing.RUnlock, nil
}

// The errors of the S3 API that are the same wherever they come from, from its page "Error responses".
var (
	errDenied          = &call.Error{Code: "AccessDenied", Message: "Access Denied", Status: http.StatusForbidden}
	errNoSuchBucket    = &call.Error{Code: "NoSuchBucket", Message: "The specified bucket does not exist", Status: http.StatusNotFound}
	errNoSuchKey       = &call.Error{Code: "NoSuchKey", Message: "The specified key does not exist.", Status: http.StatusNotFound}
	errNoSuchUpload    = &call.Error{Code: "NoSuchUpload", Message: "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.", Status: http.StatusNotFound}
	errMalformedXML    = &call.Error{Code: "MalformedXML", Message: "The XML you provided was not well-formed or did not validate against our published schema", Status: http.StatusBadRequest}
	errMethod          = &call.Error{Code: "MethodNotAllowed", Message: "The specified method is not allowed against this resource.", Status: http.StatusMethodNotAllowed}
	errPrecondition    = &call.Error{Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold", Status: http.StatusPreconditionFailed}
	errAborted         = &call.Error{Code: "OperationAborted", Message: "A conflicting conditional operation is currently in progress against this resource. Please try again.", Status: http.StatusConflict}
	errTooLarge        = &call.Error{Code: "EntityTooLarge", Message: "Your proposed upload exceeds the maximum allowed size", Status: http.StatusBadRequest}
	errBucketNotEmpty  = &call.Error{Code: "BucketNotEmpty", Message: "The bucket you tried to delete is not empty", Status: http.StatusConflict}
	errMissingContents = &call.Error{Code: "MissingContentLength", Message: "You must provide the Content-Length HTTP header.", Status: http.StatusLengthRequired}
)

func errArgument(format string, args ...any) error {
	return call.Errorf("InvalidArgument", format, args...)
}

func notBuilt(what string) error {
	return &call.Error{Code: "NotImplemented", Message: what + " is not supported by this version of Vigil.", Status: http.StatusNotImplemented}
}

func errKey(key string) error {
	if len(key) > MaxKey {
		return call.Errorf("KeyTooLongError", "Your key is too long")
	}
	return call.Errorf("InvalidURI", "Couldn't parse the specified URI.")
}

// notFound puts a Store's ErrNotFound into the API's terms.
func notFound(err, meaning error) error {
	if errors.Is(err, ErrNotFound) {
		return meaning
	}
	return err
}

// validBucket says whether a name is one that a bucket may be given, by the S3 user guide's "General purpose bucket naming rules".
func validBucket(name string) bool {
	if len(name) < 3 || len(name) > 63 || strings.Contains(name, "..") || isAddress(name) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alphanumeric && (c != '-' && c != '.' || i == 0 || i == len(name)-1) {
			return false
		}
	}
	for _, prefix := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	for _, suffix := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	return true
}

// isAddress says whether a name has the form of an IPv4 address.
func isAddress(name string) bool {
	parts := strings.Split(name, ".")
	return len(parts) == 4 && !slices.ContainsFunc(parts, func(p string) bool { return p == "" || strings.Trim(p, "0123456789") != "" })
}
