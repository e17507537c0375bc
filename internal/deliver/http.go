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
	method := s.Method
	if method == "" {
		method = http.MethodPost
	}
	var credentials Credentials
	if s.Connection != "" {
		var f *failure
		if credentials, f = o.connect(s.Connection); f != nil {
			return f
		}
	}
	request, f := newRequest(ctx, method, s, &credentials)
	if f != nil {
		return f
	}
	token := ""
	if credentials.TokenEndpoint != "" {
		if token, f = o.token(ctx, s, &credentials); f != nil {
			return f
		}
		request.Header.Set("Authorization", token)
	}
	answer, err := o.client.Do(request)
	if err != nil {
		return networkFailure(ctx, err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // whatever it says, the status has said what counts
	switch {
	case answer.StatusCode/100 == 2:
		return nil
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusProxyAuthRequired:
		o.tokens.forget(s.Connection, token)
	}
	return o.statusFailure(s.Policy, answer)
}

// newRequest is the request of an attempt, with what its connection adds but for a token.
func newRequest(ctx context.Context, method string, s *stored, c *Credentials) (*http.Request, *failure) {
	endpoint, err := url.Parse(s.URL)
	if err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" {
		return nil, &failure{code: codeParameter, message: "the endpoint is not a URL of scheme http or https", final: true}
	}
	body, ok := withMembers(s.body, c.Body)
	if !ok {
		return nil, &failure{code: codeParameter, message: "the body is no JSON object, which the connection's body parameters could be added to", final: true}
	}
	addQuery(endpoint, c.Query)
	request, err := http.NewRequestWithContext(ctx, method, endpoint.String(), bytes.NewReader(body))
	if err != nil {
		return nil, &failure{code: codeParameter, message: "the request cannot be made", final: true}
	}
	for name, value := range s.Header {
		request.Header.Set(name, value)
	}
	for name, value := range c.Header {
		request.Header.Set(name, value)
	}
	return request, nil
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
