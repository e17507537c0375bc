package deliver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const defaultTimeout = 15 * time.Second

// maxAnswer is how much of an answer is read, so that the connection can be used again. What it says is not kept.
const maxAnswer = 64 << 10

// Codes of failures, which are those that EventBridge gives its dead letters in ERROR_CODE.
const (
	codeConnection = "CONNECTION_FAILURE"
	codeTarget     = "ERROR_FROM_TARGET"
	codeThrottling = "THROTTLING"
	codeTimeout    = "TIMEOUT"
	codeNotAllowed = "NO_PERMISSIONS"
	codeNoResource = "NO_RESOURCE"
	codeParameter  = "INVALID_PARAMETER"
	codeInternal   = "INTERNAL_ERROR"
)

// failure is why an attempt failed. It holds nothing of the request.
type failure struct {
	code, message string
	final         bool          // it is not attempted again
	after         time.Duration // not before this has passed
}

// post makes an attempt over HTTP.
func (o *Outbox) post(ctx context.Context, s *stored) *failure {
	endpoint, err := url.Parse(s.URL)
	if err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" {
		return &failure{code: codeParameter, message: "the endpoint is not a URL of scheme http or https", final: true}
	}
	method := s.Method
	if method == "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, s.URL, bytes.NewReader(s.body))
	if err != nil {
		return &failure{code: codeParameter, message: "the request cannot be made", final: true}
	}
	for name, value := range s.Header {
		request.Header.Set(name, value)
	}
	answer, err := o.client.Do(request)
	if err != nil {
		return networkFailure(ctx, err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // whatever it says, the status has said what counts
	if answer.StatusCode/100 == 2 {
		return nil
	}
	return o.statusFailure(s.Policy, answer)
}

func (o *Outbox) statusFailure(p Policy, answer *http.Response) *failure {
	f := &failure{code: codeTarget, message: "the endpoint answered " + statusLine(answer.StatusCode), final: !p.retries(answer.StatusCode)}
	switch answer.StatusCode {
	case http.StatusTooManyRequests:
		f.code = codeThrottling
	case http.StatusNotFound, http.StatusGone:
		f.code = codeNoResource
	}
	if p.RetryAfter && !f.final {
		f.after = retryAfter(answer.Header.Get("Retry-After"), o.clock.Now())
		f.final = f.after < 0
	}
	return f
}

// networkFailure is a failure without an answer. The error of an http.Client begins with the URL, which may hold a secret.
func networkFailure(ctx context.Context, err error) *failure {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		return &failure{code: codeNotAllowed, message: refused.Error(), final: true}
	case errors.Is(ctx.Err(), context.DeadlineExceeded), outer != nil && outer.Timeout():
		return &failure{code: codeTimeout, message: "the endpoint did not answer in time"}
	}
	return &failure{code: codeConnection, message: err.Error()}
}

func statusLine(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}
