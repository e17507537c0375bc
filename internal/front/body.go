package front

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"vigil/internal/call"
)

// MaxBody is the largest request body that is read, in bytes, but for those of bodyLimits.
const MaxBody = 1 << 20

// bodyLimits are the operations whose bodies may be larger: AWS's limit for them is of what a batch holds, about 1 MiB, and not
// of how it is written. A batch of imported records is Vigil's own. A byte of a log event may take six in JSON, and a number of a metric far more than it does compressed.
var bodyLimits = map[string]int{
	"ImportRecords": 8 << 20,
	"PutEvents":     8 << 20,
	"PutLogEvents":  8 << 20,
	"PutMetricData": 8 << 20,
}

// bodyLimit is the size in bytes up to which a body is read that is for the operation, compressed and not.
func bodyLimit(operation string) int {
	if limit, ok := bodyLimits[operation]; ok {
		return limit
	}
	return MaxBody
}

// operationOf is the operation that a request names in its headers or its path. A form has it in the body, and is not found here.
func operationOf(r *http.Request) string {
	if len(r.Header["Smithy-Protocol"]) > 0 {
		return r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	}
	target := r.Header.Get("X-Amz-Target")
	return target[strings.LastIndexByte(target, '.')+1:]
}

func tooLarge(limit int) *call.Error {
	return &call.Error{Code: "RequestEntityTooLargeException",
		Message: fmt.Sprintf("The request body is larger than %d bytes.", limit), Status: http.StatusRequestEntityTooLarge}
}

// readBody reads the whole body into buf, as it was sent, which is what a signature covers.
func readBody(w http.ResponseWriter, r *http.Request, buf []byte) ([]byte, error) {
	limit := bodyLimit(operationOf(r))
	if r.ContentLength > int64(limit) {
		w.Header().Set("Connection", "close")
		return buf[:0], tooLarge(limit)
	}
	body := http.MaxBytesReader(w, r.Body, int64(limit))
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		var past *http.MaxBytesError
		switch {
		case err == io.EOF:
			return buf, nil
		case errors.As(err, &past):
			return buf, tooLarge(limit)
		case err != nil:
			return buf, call.Errorf("SerializationException", "The request body could not be read.")
		}
	}
}

// putBack keeps what a request worked in for the next one, unless it has grown out of the ordinary.
func (d *Door) putBack(s *scratch) {
	if cap(s.body)+cap(s.plain)+cap(s.answer) <= 4*MaxBody {
		d.scratch.Put(s)
	}
}

// isGzip says that a request's body is compressed. The SDKs do that to large requests of PutMetricData, and agents to
// PutLogEvents; other encodings that clients name, such as amz-1.0, change nothing.
func isGzip(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Content-Encoding"), "gzip")
}

// inflater decompresses one body at a time.
type inflater struct {
	body bytes.Reader
	gzip gzip.Reader
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// inflate appends to dst, which is empty, the contents of a compressed body, which may be no more than limit bytes.
func inflate(dst, body []byte, limit int) ([]byte, error) {
	damaged := call.Errorf("SerializationException", "The request body is not valid gzip")
	if len(body) == 0 {
		return dst, nil
	}
	z := inflaters.Get().(*inflater)
	defer func() {
		z.body.Reset(nil)
		inflaters.Put(z)
	}()
	z.body.Reset(body)
	if err := z.gzip.Reset(&z.body); err != nil {
		return dst, damaged
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := z.gzip.Read(dst[len(dst):min(cap(dst), limit+1)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return dst, tooLarge(limit)
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, damaged
		}
	}
}
