package identity

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keySets keeps the public keys of providers of web identities: OpenID Connect Discovery 1.0, section 4, says where they are.
type keySets struct {
	roots *x509.CertPool
	dial  func(ctx context.Context, network, address string) (net.Conn, error)

	mu         sync.Mutex
	byProvider map[string]*keySet // by its ARN and its thumbprints
}

// keySet is the keys of one provider. One request at a time fetches them.
type keySet struct {
	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // when the keys came
	tried   time.Time // when they were last asked for
}

// errResting says that a provider has just been asked in vain.
var errResting = errors.New("the provider did not answer a moment ago")

const (
	keysFresh    = 5 * time.Minute  // how long keys are used without being fetched again
	keysRest     = 10 * time.Second // how long a provider is left alone after it was asked, whatever strangers send
	fetchTimeout = 5 * time.Second
	maxDocument  = 1 << 20 // bytes of what a provider answers
)

func (s *keySets) init(config Config) {
	s.roots, s.dial, s.byProvider = config.Roots, config.Dial, map[string]*keySet{}
	if s.dial == nil {
		s.dial = (&net.Dialer{Timeout: fetchTimeout}).DialContext
	}
}

// find are the keys of a provider that a token with this key id, which may be empty, can be signed by.
func (s *keySets) find(ctx context.Context, p *oidcProvider, kid string) ([]jose.JSONWebKey, error) {
	s.mu.Lock()
	name := p.arn() + " " + strings.Join(p.Thumbprints, " ")
	set := s.byProvider[name]
	if set == nil {
		set = new(keySet)
		s.byProvider[name] = set
	}
	s.mu.Unlock()

	set.mu.Lock()
	defer set.mu.Unlock()
	fresh, resting := time.Since(set.fetched) < keysFresh, time.Since(set.tried) < keysRest
	found := set.named(kid)
	switch {
	case fresh && (len(found) > 0 || resting):
		return found, nil
	case resting:
		return nil, errResting
	}
	set.tried = time.Now()
	keys, err := s.fetch(ctx, p)
	if err != nil {
		return nil, err
	}
	set.keys, set.fetched = keys, time.Now()
	return set.named(kid), nil
}

// named are the keys of that id, or all for a token that names none.
func (s *keySet) named(kid string) []jose.JSONWebKey {
	if kid == "" {
		return s.keys
	}
	return (&jose.JSONWebKeySet{Keys: s.keys}).Key(kid)
}

// fetch asks a provider for its keys. It goes on when the client that it is for has gone: others wait for them too.
func (s *keySets) fetch(ctx context.Context, p *oidcProvider) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	var about struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := s.get(ctx, p, "https://"+strings.TrimSuffix(p.URL, "/")+"/.well-known/openid-configuration", &about); err != nil {
		return nil, err
	}
	if about.Issuer != "https://"+p.URL {
		return nil, errors.New("the provider's configuration is another issuer's")
	}
	var keys jose.JSONWebKeySet
	if err := s.get(ctx, p, about.Keys, &keys); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(keys.Keys, func(k jose.JSONWebKey) bool { return !k.IsPublic() || k.Use != "" && k.Use != "sig" }), nil
}

// get reads a JSON document.
func (s *keySets) get(ctx context.Context, p *oidcProvider, address string, v any) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return errors.New("the provider's keys are not at an https address")
	}
	transport := &http.Transport{DialContext: s.dial, TLSClientConfig: s.tls(u.Hostname(), p.Thumbprints), DisableKeepAlives: true,
		TLSHandshakeTimeout: fetchTimeout, MaxResponseHeaderBytes: 64 << 10}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the provider answered %s", answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument))
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// tls trusts the authorities that are known, and a certificate of the server's own chain that the provider's thumbprints name, as IAM
// does.
func (s *keySets) tls(host string, thumbprints []string) *tls.Config {
	config := &tls.Config{RootCAs: s.roots, ServerName: host, MinVersion: tls.VersionTLS12}
	if len(thumbprints) == 0 {
		return config
	}
	config.InsecureSkipVerify = true // VerifyConnection does it, with one more root
	config.VerifyConnection = func(state tls.ConnectionState) error {
		return verifyChain(state.PeerCertificates, host, s.roots, thumbprints)
	}
	return config
}

func verifyChain(chain []*x509.Certificate, host string, roots *x509.CertPool, thumbprints []string) error {
	if len(chain) == 0 {
		return errors.New("the provider showed no certificate")
	}
	options := x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	if err == nil {
		return nil
	}
	options.Roots = x509.NewCertPool()
	for _, c := range chain {
		sum := sha1.Sum(c.Raw)
		print := hex.EncodeToString(sum[:])
		if slices.ContainsFunc(thumbprints, func(t string) bool { return strings.EqualFold(t, print) }) {
			options.Roots.AddCert(c)
		}
	}
	if _, pinned := chain[0].Verify(options); pinned == nil {
		return nil
	}
	return err
}
