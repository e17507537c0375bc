package objects

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// timeLayout is that of the documents of S3.
const timeLayout = "2006-01-02T15:04:05.000Z"

// maxDocument is the size of a document in a request, in bytes: AWS's is that of CompleteMultipartUpload with 10,000 parts.
const maxDocument = 4 << 20

func bucketARN(name string) arn.ARN { return arn.New("s3", "", "", name) }

// allow finds the bucket of a request and asks whether the caller may do action in it: on the bucket itself, or on a key in it.
func (o *Objects) allow(c *call.Call, action, name, key string, conditions policy.Context) (*bucket, error) {
	b, err := o.bucket(name)
	if err != nil {
		return nil, err
	}
	resource := bucketARN(name).String()
	if key != "" {
		resource += "/" + key
	}
	err = c.Allow(action, policy.Resource{ARN: resource, Account: b.account, CrossAccount: true}, conditions)
	if err != nil && b.account != c.Account() {
		return b, errDenied // why, S3 says only in the bucket's own account
	}
	return b, err
}

// expectOwner refuses a bucket that is not the account's which the client takes for its owner, if it says one.
func (o *Objects) expectOwner(name, account string) error {
	if b, err := o.bucket(name); err == nil && account != "" && b.account != account {
		return errDenied
	}
	return nil
}

// Kinds of resources.
const (
	bucketType = "AWS::S3::Bucket"
	objectType = "AWS::S3::Object"
)

// touch notes a bucket for the record.
func touch(c *call.Call, b *bucket) { c.TouchOf(bucketType, bucketARN(b.name), b.account) }

// touchData notes what a data event is about: an object, or those of a bucket that are listed, and the bucket, if it is the caller's own.
func (o *Objects) touchData(c *call.Call, in *call.RESTRequest) {
	if in.Key != "" {
		c.TouchOf(objectType, bucketARN(in.Bucket+"/"+in.Key), "")
	} else {
		c.TouchAll(objectType, bucketARN(in.Bucket+"/"+in.Query.Get("prefix")))
	}
	if b, err := o.bucket(in.Bucket); err == nil && b.account == c.Account() {
		touch(c, b)
	}
}

func readDocument(in *call.RESTRequest, into any) error {
	text, err := io.ReadAll(&limited{in.Body, maxDocument})
	if err != nil {
		return err
	}
	if err := xml.Unmarshal(text, into); err != nil {
		return errMalformedXML
	}
	return nil
}

type owner struct{ ID, DisplayName string }

// ownerOf is an account as S3's documents name it.
func ownerOf(account string) owner { return owner{account, account} }

type listedBuckets struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
	Owner   owner
	Buckets struct{ Bucket []listedBucket }
}

type listedBucket struct{ Name, CreationDate, BucketRegion string }

func (o *Objects) listBuckets(_ context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	if err := c.Allow("s3:ListAllMyBuckets", policy.Resource{ARN: "*", Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	out := listedBuckets{Owner: ownerOf(c.Account())}
	for _, b := range o.of(c.Account()) {
		if region := in.Query.Get("bucket-region"); strings.HasPrefix(b.name, in.Query.Get("prefix")) && (region == "" || region == b.region) {
			out.Buckets.Bucket = append(out.Buckets.Bucket, listedBucket{b.name, b.created.Format(timeLayout), b.region})
		}
	}
	return &call.RESTAnswer{XML: out}, nil
}

type location struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
	Region  string   `xml:",chardata"`
}

const firstRegion = "us-east-1" // whose name GetBucketLocation does not say

func (o *Objects) getBucketLocation(_ context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	b, err := o.allow(c, "s3:GetBucketLocation", in.Bucket, "", nil)
	if b != nil {
		touch(c, b)
	}
	if err != nil {
		return nil, err
	}
	out := location{Region: b.region}
	if b.region == firstRegion {
		out.Region = ""
	}
	return &call.RESTAnswer{XML: out}, nil
}

func (o *Objects) headBucket(_ context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	b, err := o.allow(c, "s3:ListBucket", in.Bucket, "", nil)
	if err != nil {
		return nil, err
	}
	return &call.RESTAnswer{Header: http.Header{"x-amz-bucket-region": {b.region}}}, nil
}

type createConfiguration struct {
	LocationConstraint string
	Bucket             *struct{} // of directory buckets
	Location           *struct{}
	Tags               *struct{}
}

func (o *Objects) createBucket(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	c.TouchOf("AWS::S3::Bucket", bucketARN(in.Bucket), c.Account())
	if !validBucket(in.Bucket) {
		return nil, call.Errorf("InvalidBucketName", "The specified bucket is not valid.")
	}
	var config createConfiguration
	if in.Length != 0 {
		switch err := readDocument(in, &config); {
		case err == errMalformedXML && in.Length < 0: // there may have been none
		case err != nil:
			return nil, err
		}
	}
	if config.Bucket != nil || config.Location != nil || config.Tags != nil {
		return nil, notBuilt("CreateBucketConfiguration with more than a LocationConstraint")
	}
	if config.LocationConstraint != "" {
		in.Note("CreateBucketConfiguration", map[string]string{"LocationConstraint": config.LocationConstraint, "xmlns": namespace})
	}
	if err := c.Allow("s3:CreateBucket", policy.Resource{ARN: bucketARN(in.Bucket).String(), Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	region, err := regionFor(config.LocationConstraint, c.Region)
	if err != nil {
		return nil, err
	}
	b := &bucket{name: in.Bucket, account: c.Account(), region: region, created: c.Time.UTC()}
	if _, err := o.bucket(b.name); err != nil { // whose it is, is seen below
		if err := o.store.Make(ctx, b.name, region); err != nil {
			return nil, err
		}
	}
	c.Effect(func(tx store.Tx) error {
		if present, err := o.bucket(b.name); err == nil {
			return alreadyThere(present, b)
		}
		_, err := tx.Exec(`INSERT INTO objects_buckets (name, account, region, created) VALUES ($1, $2, $3, $4)`,
			b.name, b.account, b.region, b.created.UnixMilli())
		if err != nil {
			return err
		}
		tx.OnCommit(func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.buckets[b.name] = b
		})
		return nil
	})
	return &call.RESTAnswer{Header: http.Header{"Location": {"/" + b.name}}}, nil
}

// regionFor is the region of a bucket that is made by a request to one region with the constraint of another, or none.
func regionFor(constraint, asked string) (string, error) {
	switch {
	case constraint == "" && asked == firstRegion, constraint == asked && asked != firstRegion:
		return asked, nil
	case constraint == "":
		return "", call.Errorf("IllegalLocationConstraintException", "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.")
	case asked == firstRegion && constraint != firstRegion && isRegion(constraint):
		return constraint, nil
	case asked == firstRegion:
		return "", call.Errorf("InvalidLocationConstraint", "The specified location-constraint is not valid")
	}
	return "", call.Errorf("IllegalLocationConstraintException", "The %s location constraint is incompatible for the region specific endpoint this request was sent to.", clip(constraint))
}

func isRegion(name string) bool {
	return len(name) <= 32 && strings.Count(name, "-") >= 2 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// alreadyThere answers who makes a bucket again. In the first region, that is no error for its owner.
func alreadyThere(present, wanted *bucket) error {
	switch {
	case present.account != wanted.account:
		return &call.Error{Code: "BucketAlreadyExists", Message: "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.", Status: http.StatusConflict}
	case present.region == firstRegion && wanted.region == firstRegion:
		return nil
	}
	return &call.Error{Code: "BucketAlreadyOwnedByYou", Message: "Your previous request to create the named bucket succeeded and you already own it.", Status: http.StatusConflict}
}

func (o *Objects) deleteBucket(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	b, err := o.allow(c, "s3:DeleteBucket", in.Bucket, "", nil)
	if b != nil {
		touch(c, b)
	}
	if err != nil {
		return nil, err
	}
	if err := o.mustBeEmpty(ctx, b); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if !b.changing.TryLock() {
			return errAborted
		}
		defer b.changing.Unlock()
		if present, err := o.bucket(b.name); err != nil || present != b {
			return errNoSuchBucket
		}
		if o.store.Local() { // elsewhere, what has come meanwhile stays where it is
			if err := o.mustBeEmpty(ctx, b); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`DELETE FROM objects_buckets WHERE name = $1`, b.name); err != nil {
			return err
		}
		b.closing.Store(time.Now().UnixNano())
		tx.OnCommit(func() { o.forget(b) })
		return nil
	})
	return &call.RESTAnswer{Status: http.StatusNoContent}, nil
}

func (o *Objects) mustBeEmpty(ctx context.Context, b *bucket) error {
	page, err := o.store.List(ctx, b.name, Query{Max: 1})
	if err == nil && len(page.Objects) > 0 {
		return errBucketNotEmpty
	}
	if errors.Is(err, errNoSuchBucket) { // there is none elsewhere any more
		return nil
	}
	return err
}

// forget removes a deleted bucket, with the uploads that were not completed.
func (o *Objects) forget(b *bucket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.buckets, b.name)
	o.store.Drop(b.name)
}
