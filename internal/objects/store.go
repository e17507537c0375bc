package objects

import (
	"context"
	"errors"
	"io"
	"time"
)

// Store keeps objects and uploads. Files is the one in the data directory, Remote that in an S3-compatible store. Names of buckets and keys have been checked
// when they reach it; whose a bucket is it does not know.
//
// A change is whole or has not happened, whenever the process may end, and is on stable storage when its method returns nil.
type Store interface {
	// Make has a bucket be there, if the store has any itself.
	Make(ctx context.Context, bucket, region string) error
	// Local says that nothing is asked of other machines, so that it can be done in a transaction.
	Local() bool
	// Put reads body to its end and makes it the object's contents. info.Key and info.Metadata are the caller's, all else is found out.
	// Before the object appears, settle is shown what it will be, to add to it or to refuse it, and what it takes the place of, or
	// nil. When body fails or settle does, nothing has changed and that error is returned.
	Put(ctx context.Context, bucket string, info Info, body io.Reader, settle Settle) (Info, error)
	// Get opens an object, and Head only says what it is. Both return ErrNotFound for one that is not there.
	Get(ctx context.Context, bucket, key string) (*Object, error)
	Head(ctx context.Context, bucket, key string) (Info, error)
	// Delete removes an object, if there is one.
	Delete(ctx context.Context, bucket, key string) error
	// List finds objects in the order of their keys' bytes.
	List(ctx context.Context, bucket string, q Query) (Page, error)
	// Drop removes all that there is of a bucket, which has no objects: its unfinished uploads.
	Drop(bucket string) error

	CreateUpload(ctx context.Context, bucket string, info Info) (id string, err error)
	Upload(ctx context.Context, bucket, id string) (Info, error) // ErrNotFound
	PutPart(ctx context.Context, bucket, id string, number int, body io.Reader, settle func(*Part) error) (Part, error)
	Parts(ctx context.Context, bucket, id string) ([]Part, error) // by number
	// Complete makes an object of parts that Parts has told of, and ends the upload. The contents pass through sum before settle is asked.
	Complete(ctx context.Context, bucket, id string, info Info, parts []Part, sum io.Writer, settle Settle) (Info, error)
	Abort(ctx context.Context, bucket, id string) error
}

// Settle is asked before an object appears.
type Settle func(next, present *Info) error

// ErrNotFound says that there is no such object or upload.
var ErrNotFound = errors.New("objects: not found")

// Info is what is known of an object.
type Info struct {
	Key      string    `json:"key"`
	Size     int64     `json:"size"` // bytes
	ETag     string    `json:"etag"` // without quotation marks: the MD5 in hexadecimal, or that of the parts' and their number
	Modified time.Time `json:"modified"`
	Metadata
	Conditions `json:"-"`
}

// Conditions of a write, as the headers of these names have them. Settle sees that they hold; a store elsewhere is told of them too, as others may
// write there meanwhile.
type Conditions struct{ IfMatch, IfNoneMatch string }

// Metadata is what the writer of an object says of it.
type Metadata struct {
	ContentType        string            `json:"contentType,omitempty"`
	ContentEncoding    string            `json:"contentEncoding,omitempty"`
	ContentLanguage    string            `json:"contentLanguage,omitempty"`
	ContentDisposition string            `json:"contentDisposition,omitempty"`
	CacheControl       string            `json:"cacheControl,omitempty"`
	Expires            string            `json:"expires,omitempty"`
	User               map[string]string `json:"user,omitempty"` // x-amz-meta-*, names in lower case without that prefix
	// Checksum is in base64, by the algorithm: CRC32, CRC32C, CRC64NVME, SHA1, SHA256. Of an upload in parts it may be that of the
	// parts' checksums and their number, which ChecksumType then says.
	ChecksumAlgorithm string `json:"checksumAlgorithm,omitempty"`
	Checksum          string `json:"checksum,omitempty"`
	ChecksumType      string `json:"checksumType,omitempty"` // FULL_OBJECT or COMPOSITE
	// Encryption is nil for an object whose contents lie as they are.
	Encryption *Encryption `json:"encryption,omitempty"`
}

// Object is an open object.
type Object struct {
	Info
	io.ReadSeekCloser
}

// Part is one part of an upload.
type Part struct {
	Number            int       `json:"number"`
	Size              int64     `json:"size"`
	ETag              string    `json:"etag"`
	Modified          time.Time `json:"modified"`
	ChecksumAlgorithm string    `json:"checksumAlgorithm,omitempty"`
	Checksum          string    `json:"checksum,omitempty"`
}

// Query is what a listing asks for.
type Query struct {
	Prefix    string
	Delimiter string // keys that have it after Prefix are rolled into one common prefix, which ends with it
	After     string // only what comes after it
	Max       int    // of keys and common prefixes together
}

// Page is a page of a listing.
type Page struct {
	Objects  []Info
	Prefixes []string
	Last     string // the last key or common prefix
	More     bool
}
