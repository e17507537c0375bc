package front

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"time"

	"vigil/internal/call"
	"vigil/internal/front/sigv4"
)

// payloadForm is how a request says that its body is covered by its signature: a SHA-256 in hexadecimal, or one of the values that stand
// for it. See the S3 API Reference, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
func payloadForm(r *http.Request, sig *sigv4.Signature) (string, error) {
	form := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case form == "" && sig.Presigned:
		if form = r.URL.Query().Get("X-Amz-Content-Sha256"); form == "" {
			form = sigv4.UnsignedPayload
		}
	case form == "":
		return "", call.Errorf("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	}
	switch form {
	case sigv4.UnsignedPayload, sigv4.StreamingPayload, sigv4.StreamingPayloadTrailer, sigv4.StreamingUnsigned:
		return form, nil
	}
	if !isHash(form) {
		return "", call.Errorf("InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "+
			"STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.")
	}
	return form, nil
}

// openPayload gives the operation a body that fails at its end when it is not what was signed.
func openPayload(w http.ResponseWriter, r *http.Request, in *call.RESTRequest, sig *sigv4.Signature, form string, key sigv4.Key) error {
	p := &payload{from: &patient{from: r.Body, control: http.NewResponseController(w)}, left: r.ContentLength}
	in.Trailer = func() http.Header { return nil }
	switch form {
	case sigv4.UnsignedPayload:
	case sigv4.StreamingPayload, sigv4.StreamingPayloadTrailer, sigv4.StreamingUnsigned:
		length, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil || length < 0 {
			return &call.Error{Code: "MissingContentLength", Message: "You must provide the Content-Length HTTP header.", Status: http.StatusLengthRequired}
		}
		chunks := sig.Chunks(p.from, form, key)
		p.from, p.left, in.Length, in.Trailer = chunks, length, length, chunks.Trailer
	default:
		p.hash, p.want = sha256.New(), form
	}
	p.counted = p.left >= 0
	in.Body = p
	return nil
}

// payload is a body that is checked at its end.
type payload struct {
	from    io.Reader
	left    int64 // bytes that are still to come, if they are counted
	counted bool
	hash    hash.Hash // nil when nothing is to be compared
	want    string
}

var (
	errIncomplete = call.Errorf("IncompleteBody", "The request body terminated unexpectedly")
	errHash       = call.Errorf("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
	errSlow       = call.Errorf("RequestTimeout", "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.")
)

// Read implements io.Reader. Its errors are those of the API.
func (p *payload) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.left -= int64(n)
	if p.hash != nil {
		p.hash.Write(b[:n])
	}
	var mismatch *sigv4.Error
	switch {
	case p.counted && p.left < 0:
		return 0, errIncomplete
	case err == nil:
		return n, nil
	case errors.As(err, &mismatch):
		return 0, errRESTSignature
	case errors.Is(err, sigv4.ErrChunks), errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF && p.counted && p.left > 0:
		return 0, errIncomplete
	case err != io.EOF:
		return 0, errSlow
	case p.hash != nil && hex.EncodeToString(p.hash.Sum(nil)) != p.want:
		return 0, errHash
	}
	return n, io.EOF
}

// patience is how long a client may take over the next bytes of a body, however many there are in all.
const patience = time.Minute

// patient moves the connection's deadline while bytes come in.
type patient struct {
	from    io.Reader
	control *http.ResponseController
	moved   time.Time
}

func (p *patient) Read(b []byte) (int, error) {
	if now := time.Now(); now.Sub(p.moved) > patience/10 {
		p.moved = now
		_ = p.control.SetReadDeadline(now.Add(patience)) // without one there is the server's own
	}
	return p.from.Read(b)
}
