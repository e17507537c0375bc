package objects

import (
	"context"
	"net/http"
	"strconv"

	"vigil/internal/call"
)

// API are the operations that Vigil has of S3.
func (o *Objects) API() call.REST {
	return call.REST{Name: "s3", EventSource: "s3.amazonaws.com", Route: o.route}
}

// route finds the operation by what is asked of which resource. A parameter that names another part of a resource, such as ?acl, asks for
// another operation, and is never passed over.
func (o *Objects) route(r *call.RESTRequest) (*call.RESTOperation, error) {
	operations, known := o.ofService, serviceParameters
	switch {
	case r.Bucket != "" && r.Key != "":
		operations, known = o.ofObject, objectParameters
		if !validKey(r.Key) {
			return nil, errKey(r.Key)
		}
	case r.Bucket != "":
		operations, known = o.ofBucket, bucketParameters
	}
	for name := range r.Query {
		if !known[name] && !common[name] {
			return nil, notBuilt("The parameter " + strconv.Quote(clip(name)))
		}
	}
	if err := refuseHeaders(r.Header); err != nil {
		return nil, err
	}
	op, err := operations(r)
	if err != nil {
		return nil, err
	}
	if owner := r.Header.Get("X-Amz-Expected-Bucket-Owner"); owner != "" && op.Name != "CreateBucket" {
		do := op.Do
		op.Do = func(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
			if err := o.expectOwner(in.Bucket, owner); err != nil {
				return nil, err
			}
			return do(ctx, c, in)
		}
	}
	if op.Data {
		do := op.Do
		op.DataType, op.Do = objectType, func(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
			o.touchData(c, in)
			return do(ctx, c, in)
		}
	}
	return &op, nil
}

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, name := range names {
		m[name] = true
	}
	return m
}

var (
	common = set("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
		"X-Amz-Security-Token", "X-Amz-Content-Sha256", "x-id")
	serviceParameters = set("prefix", "max-buckets", "continuation-token", "bucket-region")
	bucketParameters  = set("location", "list-type", "prefix", "delimiter", "marker", "max-keys", "encoding-type", "continuation-token",
		"start-after", "fetch-owner", "delete")
	objectParameters = set("uploads", "uploadId", "partNumber", "part-number-marker", "max-parts", "response-content-type",
		"response-content-language", "response-expires", "response-cache-control", "response-content-disposition", "response-content-encoding")
)

// refuseHeaders refuses what would change what an operation means, and is not built. A header that says what Vigil does anyway is fine.
func refuseHeaders(h http.Header) error {
	for name, means := range map[string]string{
		"X-Amz-Acl": "private", "X-Amz-Storage-Class": "STANDARD", "X-Amz-Server-Side-Encryption": "", "X-Amz-Tagging": "",
		"X-Amz-Server-Side-Encryption-Customer-Algorithm": "", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Algorithm": "",
		"X-Amz-Object-Lock-Mode": "", "X-Amz-Object-Lock-Legal-Hold": "", "X-Amz-Object-Lock-Retain-Until-Date": "",
		"X-Amz-Bucket-Object-Lock-Enabled": "false", "X-Amz-Website-Redirect-Location": "", "X-Amz-Write-Offset-Bytes": "",
		"X-Amz-Grant-Full-Control": "", "X-Amz-Grant-Read": "", "X-Amz-Grant-Read-Acp": "", "X-Amz-Grant-Write": "", "X-Amz-Grant-Write-Acp": "",
		"X-Amz-Copy-Source-Range": "",
	} {
		if value := h.Get(name); value != "" && value != means {
			return notBuilt("The header " + name + " with this value")
		}
	}
	return nil
}

func (o *Objects) ofService(r *call.RESTRequest) (call.RESTOperation, error) {
	if r.Method == http.MethodGet {
		return call.RESTOperation{Name: "ListBuckets", ReadOnly: true, Do: o.listBuckets}, nil
	}
	return call.RESTOperation{}, errMethod
}

func (o *Objects) ofBucket(r *call.RESTRequest) (call.RESTOperation, error) {
	switch {
	case r.Method == http.MethodGet && r.Query.Has("location"):
		return call.RESTOperation{Name: "GetBucketLocation", ReadOnly: true, Do: o.getBucketLocation}, nil
	case r.Method == http.MethodPost && r.Query.Has("delete"):
		return call.RESTOperation{Name: "DeleteObjects", Data: true, Do: o.deleteObjects}, nil
	case r.Query.Has("location") || r.Query.Has("delete"):
	case r.Method == http.MethodGet:
		return call.RESTOperation{Name: "ListObjects", ReadOnly: true, Data: true, Do: o.listObjects}, nil
	case r.Method == http.MethodHead:
		return call.RESTOperation{Name: "HeadBucket", ReadOnly: true, Data: true, Do: o.headBucket}, nil
	case r.Method == http.MethodPut:
		return call.RESTOperation{Name: "CreateBucket", Do: o.createBucket}, nil
	case r.Method == http.MethodDelete:
		return call.RESTOperation{Name: "DeleteBucket", Do: o.deleteBucket}, nil
	}
	return call.RESTOperation{}, errMethod
}

func (o *Objects) ofObject(r *call.RESTRequest) (call.RESTOperation, error) {
	upload, copied := r.Query.Has("uploadId"), r.Header.Get("X-Amz-Copy-Source") != ""
	op := call.RESTOperation{Data: true}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		op.Name, op.Do, op.ReadOnly = "GetObject", o.getObject, true
		switch {
		case r.Method == http.MethodHead:
			op.Name, op.Do = "HeadObject", o.headObject
		case upload:
			op.Name, op.Do = "ListParts", o.listParts
		}
		if !upload && r.Query.Has("partNumber") {
			return op, notBuilt("Reading one part of an object")
		}
	case http.MethodPut:
		op.Name, op.Do = "PutObject", o.putObject
		switch {
		case upload && copied:
			return op, notBuilt("UploadPartCopy")
		case upload:
			op.Name, op.Do = "UploadPart", o.uploadPart
		case copied:
			op.Name, op.Do = "CopyObject", o.copyObject
		}
	case http.MethodPost:
		op.Name, op.Do = "CreateMultipartUpload", o.createUpload
		if upload {
			op.Name, op.Do = "CompleteMultipartUpload", o.completeUpload
		} else if !r.Query.Has("uploads") {
			return op, errMethod
		}
	case http.MethodDelete:
		op.Name, op.Do = "DeleteObject", o.deleteObject
		if upload {
			op.Name, op.Do = "AbortMultipartUpload", o.abortUpload
		}
	default:
		return op, errMethod
	}
	return op, nil
}

// clip shortens a client's text for a message.
func clip(s string) string { return s[:min(len(s), 64)] }
