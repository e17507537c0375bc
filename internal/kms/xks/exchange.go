package xks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"vigil/internal/front/sigv4"
)

// signingName is the service in the signature's scope.
const signingName = "kms-xks-proxy"

// maxAnswer is how long an answer may be. The longest that is right, of Encrypt, has some 6 KB.
const maxAnswer = 64 << 10

// exchange sends a request and reads the answer of a 200 into out. Its error is a *Failure, unless ctx ended.
// It returns the certificate with which the proxy has shown who it is, when it came that far.
func (c *Client) exchange(ctx context.Context, to Proxy, path string, in, out any) (*x509.Certificate, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	status, answer, certificate, err := c.send(within, to, path, body)
	switch {
	case ctx.Err() != nil:
		return certificate, ctx.Err()
	case err != nil:
		return certificate, asFailure(err)
	case status != http.StatusOK:
		return certificate, refusal(status, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return certificate, badAnswer("it is not the JSON that it should be")
	}
	return certificate, nil
}

func (c *Client) send(ctx context.Context, to Proxy, path string, body []byte) (
	status int, answer []byte, certificate *x509.Certificate, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Endpoint+to.Path+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	// The time is the machine's, whatever the server's clock has been moved to: the proxy compares it with its own.
	if err := to.sign(req, body, time.Now().UTC()); err != nil {
		return 0, nil, nil, err
	}
	response, err := c.http.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		certificate = response.TLS.PeerCertificates[0]
	}
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = badAnswer("it is too long")
	}
	return response.StatusCode, answer, certificate, err
}

func (p Proxy) sign(req *http.Request, body []byte, at time.Time) error {
	sum := sha256.Sum256(body)
	key := sigv4.DeriveKey(p.Credential.secret(), at.Format("20060102"), p.Region, signingName)
	return sigv4.Sign(req, hex.EncodeToString(sum[:]), p.Credential.AccessKeyID, "", key, p.Region, signingName, at)
}

// asFailure says what a failure to get any answer is.
func asFailure(err error) error {
	var failure *Failure
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &failure):
		return failure
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return &Failure{Name: TimedOut, Detail: "no answer in time"}
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert):
		return &Failure{Name: NoTLS, Detail: err.Error()}
	}
	return &Failure{Name: Unreachable, Detail: err.Error()}
}

// refusal reads an answer that is no 200.
func refusal(status int, answer []byte) error {
	var said struct {
		Name    string `json:"errorName"`
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(answer, &said) != nil || !refusals[said.Name] {
		return &Failure{Name: BadAnswer, Status: status, Detail: "an answer that is neither a success nor one of the specification's errors"}
	}
	return &Failure{Name: said.Name, Status: status, Detail: printable(said.Message)}
}
