// Package xks is a client of external key store proxies: it asks a key manager outside to encrypt and decrypt with keys
// that it never gives away, in the words of the AWS KMS External Key Store Proxy API, version 1
// (github.com/aws/aws-kms-xksproxy-api-spec, 1.0.3). It knows HTTP and the specification, and nothing of KMS.
//
//   - operations.go   the four operations, and what an answer has to hold
//   - exchange.go     one signed request and its answer
//   - failure.go      what can go wrong
//   - dial.go         where proxies may be
package xks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// DefaultTimeout is how long a proxy has for an answer, from the first packet to the last byte. It is AWS's.
const DefaultTimeout = 250 * time.Millisecond

// Options are how proxies are reached. The zero value is as AWS reaches them, by the system's certificate authorities.
type Options struct {
	// Timeout is for a whole exchange; 0 is DefaultTimeout.
	Timeout time.Duration
	// Roots are the certificate authorities that are trusted; nil is the system's.
	Roots *x509.CertPool
	// AllowLocal allows proxies at addresses of this machine and its links, which are refused otherwise.
	AllowLocal bool
	// Dial connects to host:port in place of the network; nil is the network. AllowLocal does not apply to it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client talks to any number of proxies, and keeps connections to each. It is used by many goroutines.
type Client struct {
	http    *http.Client
	timeout time.Duration
}

// NewClient makes a client. It does not follow redirects and has no HTTP proxy of its own, so it connects to what a key
// store names and to nothing else.
func NewClient(options Options) *Client {
	if options.Timeout <= 0 {
		options.Timeout = DefaultTimeout
	}
	dial := options.Dial
	if dial == nil {
		dialer := &net.Dialer{}
		if !options.AllowLocal {
			dialer.Control = refuseLocal
		}
		dial = dialer.DialContext
	}
	return &Client{
		timeout: options.Timeout,
		http: &http.Client{
			Transport: &http.Transport{
				DialContext:            dial,
				TLSClientConfig:        &tls.Config{RootCAs: options.Roots, MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites},
				ForceAttemptHTTP2:      true,
				MaxIdleConnsPerHost:    64,
				IdleConnTimeout:        90 * time.Second,
				MaxResponseHeaderBytes: 16 << 10,
				DisableCompression:     true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// cipherSuites are those of TLS 1.2 that the specification allows. Those of TLS 1.3 are all good.
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
}

// Close closes the connections that nothing uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Timeout is how long a proxy has for an answer.
func (c *Client) Timeout() time.Duration { return c.timeout }

// Proxy is where a proxy is, and as whom it knows us.
type Proxy struct {
	Endpoint   string // https://proxy.example.com
	Path       string // /prefix/kms/xks/v1
	Region     string // of the key store
	Credential Credential
}

// Credential is what requests to a proxy are signed with. It has nothing to do with IAM. However it is printed, the
// secret is not.
type Credential struct {
	AccessKeyID string
	secret      func() string // a function because fmt and encoders look into everything else
}

// NewCredential makes a credential.
func NewCredential(accessKeyID, secret string) Credential {
	return Credential{accessKeyID, func() string { return secret }}
}

// Secret is the secret itself, for wrapping and for nothing else.
func (c Credential) Secret() string { return c.secret() }

// Format implements fmt.Formatter.
func (c Credential) Format(f fmt.State, _ rune) { io.WriteString(f, "xks credential "+c.AccessKeyID) }

// Caller is why a proxy is asked: requestMetadata. A proxy may log it and decide by it. Empty members are left out.
type Caller struct {
	PrincipalARN string `json:"awsPrincipalArn,omitempty"` // not sent with Health
	SourceVPC    string `json:"awsSourceVpc,omitempty"`
	SourceVPCE   string `json:"awsSourceVpce,omitempty"`
	KeyARN       string `json:"kmsKeyArn,omitempty"` // of the KMS key; of Encrypt and Decrypt only
	Operation    string `json:"kmsOperation"`        // of KMS, such as GenerateDataKey
	RequestID    string `json:"kmsRequestId"`
	ViaService   string `json:"kmsViaService,omitempty"`
}
