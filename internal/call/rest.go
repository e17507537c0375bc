package call

import (
	"context"
	"io"
	"net/http"
	"net/url"
)

// REST is an API whose operations are methods on resources, with bodies of any size: S3's. The door authenticates, journals and
// answers its calls as it does those of a Service; what differs is that a request's body is read by the operation itself, and
// that an answer's body may be one to be sent as it is.
type REST struct {
	Name        string // the signing name: s3
	EventSource string // s3.amazonaws.com
	// Route finds the operation that a request asks for, by its method, its resource and its query. An error is an *Error.
	Route func(*RESTRequest) (*RESTOperation, error)
}

// RESTOperation is one operation of such an API as a value.
type RESTOperation struct {
	Name     string // as in the API: GetObject
	ReadOnly bool   // readOnly of its record
	Data     bool   // a data event, which is not journaled, unless DataType says that it may be
	DataType string // of a data event that is journaled when a trail asks for those of this type of resources: AWS::S3::Object
	Do       func(ctx context.Context, c *Call, in *RESTRequest) (*RESTAnswer, error)
}

// RESTRequest is a request. It belongs to one goroutine, and nothing of it is kept.
type RESTRequest struct {
	Method string
	Bucket string // empty for the service itself
	Key    string // of the object, decoded; empty for the bucket itself
	Query  url.Values
	Header http.Header
	Host   string
	// Body is the contents as they are meant: what a signature covers has been checked when it ends, and the framing of
	// aws-chunked is off. An error other than io.EOF is an *Error or one of the connection's, and nothing that was read may be kept then.
	Body    io.Reader
	Length  int64              // of Body in bytes, or -1 when the client has not said
	Trailer func() http.Header // what came after Body, once that has ended
	Noted   map[string]any     // requestParameters of the record, beside the bucket's name and the host, as JSON has them
}

// Note puts a member into the record's requestParameters. The value must not be secret.
func (r *RESTRequest) Note(name string, value any) {
	if r.Noted == nil {
		r.Noted = map[string]any{}
	}
	r.Noted[name] = value
}

// RESTAnswer is what an operation answers: a document, a body, or neither.
type RESTAnswer struct {
	Status int         // 0 means 200
	Header http.Header // names are written as they are given
	XML    any         // for encoding/xml; nil for none
	// Body is sent as it is, and closed. Length is its length, and that of the body that an answer to HEAD does not have.
	Body   io.ReadCloser
	Length int64
}
