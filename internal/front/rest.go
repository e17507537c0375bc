package front

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/front/sigv4"
	"vigil/internal/journal"
)

// A request of a REST API comes the same way as any other: route, authenticate, perform, commit, answer. It differs in what is known
// when. Whose it is, is known before its body is read, which is read by the operation itself and may be large. And so that
// the body can be checked as it goes by, its form is part of the signature (payload.go).

// rest is the API and, of its hosts, those under which a bucket may be the first label of the name.
type rest struct {
	call.REST
	hosts   []string
	request *request // for what the journal and errors want to know of an API
}

func newREST(api call.REST, hosts []string) *rest {
	if api.Route == nil {
		return nil
	}
	return &rest{api, hosts, &request{service: &service{Service: call.Service{Name: api.Name, EventSource: api.EventSource, InternalError: "InternalError"}}}}
}

// isFor says whether a request is one of this API: it is signed for it, or not signed and for a path that no other API has.
func (t *rest) isFor(r *http.Request) bool {
	if t == nil || len(r.Header["X-Amz-Target"]) > 0 || len(r.Header["Smithy-Protocol"]) > 0 {
		return false
	}
	if len(r.Header["Authorization"]) > 0 || strings.Contains(r.URL.RawQuery, "X-Amz-Credential=") {
		return t.isSigned(r)
	}
	return r.URL.Path != "/" && r.Method != http.MethodPost
}

// isSigned says whether a request claims to be signed for this API.
func (t *rest) isSigned(r *http.Request) bool {
	if authorization := r.Header["Authorization"]; len(authorization) > 0 {
		return strings.Contains(authorization[0], "/"+t.Name+"/aws4_request") || strings.HasPrefix(authorization[0], "AWS ")
	}
	_, credential, _ := strings.Cut(r.URL.RawQuery, "X-Amz-Credential=")
	credential, _, _ = strings.Cut(credential, "&")
	credential, _ = url.QueryUnescape(credential)
	return strings.HasSuffix(credential, "/"+t.Name+"/aws4_request")
}

// IsSignedREST says whether a request claims to be signed for the API of methods on resources, and so is the door's whatever its path:
// a bucket may have any name.
func (d *Door) IsSignedREST(r *http.Request) bool { return d.rest != nil && d.rest.isSigned(r) }

// serveREST answers one request.
func (d *Door) serveREST(w http.ResponseWriter, r *http.Request) {
	t := d.rest
	in, err := t.read(r)
	now := d.clock.Now()
	c := &call.Call{Service: t.Name, Time: now, RequestID: uuid.NewString(), EventID: call.NewEventID(now),
		SourceIP: sourceIP(r), UserAgent: r.UserAgent(), Referer: r.Referer(), TLS: tlsDetails(r)}
	if err == nil {
		err = d.admit(w, r, c, in)
	}
	if err != nil {
		d.refusals.note(r, err)
		d.answerREST(w, r, c, in, nil, err)
		return
	}
	op, err := t.Route(in)
	if err != nil { // it is no operation's
		d.answerREST(w, r, c, in, nil, err)
		return
	}
	c.Operation = op.Name
	answer, err := d.performREST(r.Context(), c, op, in)
	if err != nil {
		c.DropEffect()
	}
	if !op.Data || d.asked(c, op.DataType) {
		err = d.commitREST(r.Context(), c, op, in, err)
	}
	d.answerREST(w, r, c, in, answer, err)
}

// read finds the resource that a request is about.
func (t *rest) read(r *http.Request) (*call.RESTRequest, error) {
	in := &call.RESTRequest{Method: r.Method, Header: r.Header, Host: r.Host, Length: r.ContentLength}
	path := r.URL.EscapedPath()
	if strings.HasPrefix(r.RequestURI, "/") { // as it was sent
		path, _, _ = strings.Cut(r.RequestURI, "?")
	}
	path, err := url.PathUnescape(path)
	if err != nil {
		return in, call.Errorf("InvalidURI", "Couldn't parse the specified URI.")
	}
	if in.Query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return in, call.Errorf("InvalidURI", "Couldn't parse the specified URI.")
	}
	path = strings.TrimPrefix(path, "/")
	if in.Bucket = t.virtualHost(r.Host); in.Bucket != "" {
		in.Key = path
	} else {
		in.Bucket, in.Key, _ = strings.Cut(path, "/")
	}
	return in, nil
}

// virtualHost is the bucket that a request's host names before one of the server's own names.
func (t *rest) virtualHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	for _, own := range t.hosts {
		if bucket, ok := strings.CutSuffix(strings.ToLower(host), "."+strings.ToLower(own)); ok && net.ParseIP(host) == nil {
			return bucket
		}
	}
	return ""
}

// admit finds out whose call it is, and makes its body one that is checked while it is read.
func (d *Door) admit(w http.ResponseWriter, r *http.Request, c *call.Call, in *call.RESTRequest) error {
	sig, err := sigv4.Parse(r)
	if err != nil {
		return restRefusal(err, r, sig)
	}
	if err := sig.ScopedTo(d.rest.Name); err != nil {
		return restRefusal(err, r, sig)
	}
	if !IsRegion(sig.Region) {
		return call.Errorf("AuthorizationHeaderMalformed", "The authorization header is malformed; the region '%s' is wrong", clip(sig.Region))
	}
	form, err := payloadForm(r, sig)
	if err != nil {
		return err
	}
	secret, principal, err := d.secret(sig.AccessKeyID, sig.SessionToken)
	if errors.Is(err, call.ErrExpiredToken) {
		return call.Errorf("ExpiredToken", "The provided token has expired.")
	}
	if err != nil {
		return &call.Error{Code: "InvalidAccessKeyId", Message: "The AWS Access Key Id you provided does not exist in our records.", Status: http.StatusForbidden}
	}
	key, cached := d.keys.get(sig, secret)
	if err := sig.Verify(r, form, key, time.Now()); err != nil {
		return restRefusal(err, r, sig)
	}
	if !cached {
		d.keys.put(sig, secret, key)
	}
	c.Principal, c.Region = principal, sig.Region
	c.Note("SignatureVersion", "SigV4")
	method := "AuthHeader"
	if sig.Presigned {
		method = "QueryString"
	}
	c.Note("AuthenticationMethod", method)
	return openPayload(w, r, in, sig, form, key)
}

// restRefusal is the fault of a signature in the words of S3's "Error responses".
func restRefusal(err error, r *http.Request, sig *sigv4.Signature) error {
	var e *sigv4.Error
	if !errors.As(err, &e) {
		return err
	}
	refuse := func(code string, status int, message string) error {
		return &call.Error{Code: code, Status: status, Message: message}
	}
	presigned := len(r.Header["Authorization"]) == 0
	switch e.Reason {
	case sigv4.MissingToken:
		if !presigned || r.URL.Query().Has("AWSAccessKeyId") { // of an older version
			return refuse("InvalidRequest", http.StatusBadRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
		}
		return refuse("AccessDenied", http.StatusForbidden, "Access Denied")
	case sigv4.Incomplete, sigv4.BadScope:
		if presigned {
			return refuse("AuthorizationQueryParametersError", http.StatusBadRequest, e.Message)
		}
		return refuse("AuthorizationHeaderMalformed", http.StatusBadRequest, e.Message)
	case sigv4.MalformedQuery:
		return refuse("InvalidURI", http.StatusBadRequest, "Couldn't parse the specified URI.")
	case sigv4.NotSigned:
		return refuse("AccessDenied", http.StatusForbidden, "There were headers present in the request which were not signed")
	case sigv4.Expired, sigv4.NotYet:
		if sig.Presigned && e.Reason == sigv4.Expired {
			return refuse("AccessDenied", http.StatusForbidden, "Request has expired")
		}
		return refuse("RequestTimeTooSkewed", http.StatusForbidden, "The difference between the request time and the current time is too large.")
	}
	return errRESTSignature
}

var errRESTSignature = &call.Error{Code: "SignatureDoesNotMatch", Status: http.StatusForbidden,
	Message: "The request signature we calculated does not match the signature you provided. Check your key and signing method."}

func (d *Door) performREST(ctx context.Context, c *call.Call, op *call.RESTOperation, in *call.RESTRequest) (answer *call.RESTAnswer, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, fmt.Errorf("%s:%s panicked: %v\n%s", c.Service, c.Operation, p, debug.Stack())
		}
	}()
	return op.Do(ctx, c, in)
}

// commitREST is commit for a call of a REST API.
func (d *Door) commitREST(ctx context.Context, c *call.Call, op *call.RESTOperation, in *call.RESTRequest, err error) error {
	parameters := map[string]any{"Host": in.Host}
	for name, value := range in.Noted {
		parameters[name] = value
	}
	if in.Bucket != "" {
		parameters["bucketName"] = in.Bucket
	}
	if in.Key != "" {
		parameters["key"] = in.Key
	}
	params, jsonErr := json.Marshal(parameters)
	if jsonErr != nil {
		return jsonErr
	}
	answer := err
	failed := d.journal.Commit(ctx, c.PendingEffect(), func(effectErr error) []journal.Record {
		if effectErr != nil {
			answer = d.apiError(d.rest.request, effectErr)
		}
		own := recordOf(c, d.rest.request, nil, nil, d.apiError(d.rest.request, answer))
		own.ReadOnly, own.RequestParameters = op.ReadOnly, params
		if op.Data {
			own.ManagementEvent, own.EventCategory = false, vigil.CategoryData
		}
		return []journal.Record{{Time: c.Time, Data: own.AppendJSON(nil)}}
	})
	if failed != nil {
		return fmt.Errorf("%s:%s is not answered, as it could not be recorded: %w", c.Service, c.Operation, failed)
	}
	return answer
}

// restError is the document of an error.
type restError struct {
	XMLName                 xml.Name `xml:"Error"`
	Code, Message           string
	Key, BucketName, Region string `xml:",omitempty"`
	Resource                string `xml:",omitempty"`
	RequestId, HostId       string
}

// answerREST writes what the client is told.
func (d *Door) answerREST(w http.ResponseWriter, r *http.Request, c *call.Call, in *call.RESTRequest, answer *call.RESTAnswer, err error) {
	h := w.Header()
	h["x-amz-request-id"], h["x-amz-id-2"] = []string{c.RequestID}, []string{c.EventID}
	if e := d.apiError(d.rest.request, err); e != nil {
		if e.Cause != nil {
			d.log.Error("A call failed inside.", "request", c.RequestID, "error", e.Cause)
		}
		if answer != nil && answer.Body != nil {
			answer.Body.Close()
		}
		answer = errorAnswer(e, c, in)
	}
	for name, values := range answer.Header {
		h[name] = values
	}
	status := answer.Status
	if status == 0 {
		status = http.StatusOK
	}
	if answer.XML != nil {
		writeDocument(w, r, status, answer.XML)
		return
	}
	writeContents(w, r, status, answer)
}

func errorAnswer(e *call.Error, c *call.Call, in *call.RESTRequest) *call.RESTAnswer {
	document := restError{Code: e.Code, Message: cmp.Or(e.Message, "We encountered an internal error. Please try again."), RequestId: c.RequestID, HostId: c.EventID}
	switch {
	case e.Code == "NoSuchBucket" || in.Key == "":
		document.BucketName = in.Bucket
	case e.Code == "NoSuchKey":
		document.Key = in.Key
	default:
		document.Resource = "/" + in.Bucket + "/" + in.Key
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	return &call.RESTAnswer{Status: status, XML: document}
}

func writeDocument(w http.ResponseWriter, r *http.Request, status int, document any) {
	text, err := xml.Marshal(document)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header()["Content-Type"] = []string{"application/xml"}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		io.WriteString(w, xml.Header)
		w.Write(text)
	}
}

// writeContents writes a body as it is, without holding it in memory where the connection can do that.
func writeContents(w http.ResponseWriter, r *http.Request, status int, answer *call.RESTAnswer) {
	body := answer.Body
	if body == nil {
		if r.Method != http.MethodHead || answer.Length == 0 {
			w.WriteHeader(status)
			return
		}
		body = http.NoBody
	}
	if s, ok := w.(interface{ Stream(io.ReadCloser, int64) }); ok {
		w.WriteHeader(status)
		s.Stream(body, answer.Length)
		return
	}
	defer body.Close()
	w.Header()["Content-Length"] = []string{strconv.FormatInt(answer.Length, 10)}
	w.WriteHeader(status)
	_, _ = io.Copy(w, body) // a client that has gone is its own affair
}

func isHash(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == 32 && strings.ToLower(text) == text
}
