package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-jose/go-jose/v4"

	"vigil/internal/identity"
)

// idp is a provider of web identities over HTTPS.
type idp struct {
	*httptest.Server
	mu   sync.Mutex
	keys []jose.JSONWebKey
	gets int          // of the keys
	met  atomic.Int64 // connections
}

func newIDP(t *testing.T) *idp {
	p := &idp{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch r.URL.Path {
		case "/realm/.well-known/openid-configuration":
			json.NewEncoder(w).Encode(map[string]string{"issuer": p.issuer(), "jwks_uri": p.URL + "/keys"})
		case "/keys":
			p.gets++
			json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
		default:
			http.NotFound(w, r)
		}
	}))
	p.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.met.Add(1)
		}
	}
	p.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that were to fail
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *idp) issuer() string { return p.URL + "/realm" }

func (p *idp) host() string { return strings.TrimPrefix(p.issuer(), "https://") }

// newKey makes a key and shows its public half.
func (p *idp) newKey(t *testing.T, id string, algorithm jose.SignatureAlgorithm) jose.SigningKey {
	t.Helper()
	var key crypto.Signer
	var err error
	if strings.HasPrefix(string(algorithm), "ES") {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = append(p.keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: string(algorithm), Use: "sig"})
	return jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}
}

// claims are those of a good token, with changes.
func (p *idp) claims(changes map[string]any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{"iss": p.issuer(), "sub": "repo:octo/app", "aud": "sts.amazonaws.com", "iat": now, "nbf": now, "exp": now + 600}
	for name, value := range changes {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

func token(t *testing.T, key jose.SigningKey, claims any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWebIdentity(t *testing.T) {
	p := newIDP(t)
	roots := x509.NewCertPool()
	roots.AddCert(p.Certificate())
	h := newHouseWith(t, identity.Config{Roots: roots})
	key := p.newKey(t, "one", jose.RS256)
	arn := *do[iam.CreateOpenIDConnectProviderOutput](h.root, "CreateOpenIDConnectProvider", &iam.CreateOpenIDConnectProviderInput{
		Url: new(p.issuer()), ClientIDList: []string{"sts.amazonaws.com"}}).OpenIDConnectProviderArn
	trust := func(sub string) *string {
		return new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"` + arn + `"},` +
			`"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"],"Condition":{"StringEquals":{"` + p.host() + `:aud":"sts.amazonaws.com"},` +
			`"StringLike":{"` + p.host() + `:sub":"` + sub + `"}}}}`)
	}
	role, other := h.role("R", trust("repo:octo/*")), h.role("Other", trust("repo:else/*"))
	stranger := &caller{h, "", ""}
	with := func(role, token string) *sts.AssumeRoleWithWebIdentityInput {
		return &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: new("s"), WebIdentityToken: &token}
	}

	good := token(t, key, p.claims(map[string]any{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"Team": []string{"red"}}}}))
	out := do[sts.AssumeRoleWithWebIdentityOutput](stranger, "AssumeRoleWithWebIdentity", with(role, good))
	if *out.Provider != arn || *out.Audience != "sts.amazonaws.com" || *out.SubjectFromWebIdentityToken != "repo:octo/app" ||
		*out.AssumedRoleUser.Arn != "arn:aws:sts::111122223333:assumed-role/R/s" {
		t.Errorf("got %+v", out)
	}
	s := h.session(out.Credentials)
	s.wantMay("kms:Encrypt", "!kms:Decrypt")
	if who, err := s.principal(); err != nil || who.Session.FederatedProvider != arn || who.Tags["Team"] != "red" {
		t.Errorf("%+v %v", who, err)
	}
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS512, jose.PS256, jose.ES256} {
		p.mu.Lock()
		p.keys = nil
		p.mu.Unlock()
		h.restart() // keys are fetched again
		key := p.newKey(t, "k", algorithm)
		do[sts.AssumeRoleWithWebIdentityOutput](stranger, "AssumeRoleWithWebIdentity", with(role, token(t, key, p.claims(nil))))
	}
	p.mu.Lock()
	p.keys = nil
	p.mu.Unlock()
	h.restart()
	key = p.newKey(t, "one", jose.RS256)
	hidden := newIDP(t).newKey(t, "one", jose.RS256)
	now := time.Now().Unix()
	for name, test := range map[string]struct{ role, token, want string }{
		"not a token":       {role, "abcd", "InvalidIdentityTokenException: The ID Token provided is not a valid JWT."},
		"another issuer":    {role, token(t, key, p.claims(map[string]any{"iss": "https://else.example.com"})), "InvalidIdentityTokenException: No OpenIDConnect provider found in your account for https://else.example.com"},
		"another's key":     {role, token(t, hidden, p.claims(nil)), "InvalidIdentityTokenException: The ID Token's signature is not valid."},
		"a secret key":      {role, token(t, jose.SigningKey{Algorithm: jose.HS256, Key: make([]byte, 32)}, p.claims(nil)), "InvalidIdentityTokenException: The ID Token provided is not a valid JWT."},
		"expired":           {role, token(t, key, p.claims(map[string]any{"exp": now - 1})), "ExpiredTokenException: Token expired"},
		"without an end":    {role, token(t, key, p.claims(map[string]any{"exp": nil})), "InvalidIdentityTokenException: "},
		"from the future":   {role, token(t, key, p.claims(map[string]any{"nbf": now + 3600})), "InvalidIdentityTokenException: The ID Token is not valid yet."},
		"for someone else":  {role, token(t, key, p.claims(map[string]any{"aud": []string{"a", "b"}})), "InvalidIdentityTokenException: Incorrect token audience"},
		"a role that isn't": {role + "x", token(t, key, p.claims(nil)), "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		"another subject":   {other, token(t, key, p.claims(nil)), "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		"another account":   {strings.Replace(role, ours, theirs, 1), token(t, key, p.claims(nil)), "InvalidIdentityTokenException: No OpenIDConnect provider found"},
	} {
		t.Run(name, func(t *testing.T) {
			stranger.h.t = t
			stranger.refused("AssumeRoleWithWebIdentity", with(test.role, test.token), test.want)
		})
	}
	h.t = t
	if p.gets > 6 {
		t.Errorf("the keys were fetched %d times", p.gets)
	}
}

// A provider whose certificate no known authority vouches for is trusted by a thumbprint, and without one is not.
func TestThumbprints(t *testing.T) {
	p := newIDP(t)
	h := newHouse(t)
	key := p.newKey(t, "one", jose.RS256)
	arn := *do[iam.CreateOpenIDConnectProviderOutput](h.root, "CreateOpenIDConnectProvider", &iam.CreateOpenIDConnectProviderInput{
		Url: new(p.issuer()), ClientIDList: []string{"sts.amazonaws.com"}}).OpenIDConnectProviderArn
	role := h.role("R", trusting(`{"Federated":"`+arn+`"}`, "sts:AssumeRoleWithWebIdentity"))
	in := &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: new("s"), WebIdentityToken: new(token(t, key, p.claims(nil)))}
	stranger := &caller{h, "", ""}
	pin := func(print string) {
		do[iam.UpdateOpenIDConnectProviderThumbprintOutput](h.root, "UpdateOpenIDConnectProviderThumbprint",
			&iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: &arn, ThumbprintList: []string{print}})
	}
	const unverified = "InvalidIdentityTokenException: Couldn't retrieve verification key from your identity provider"
	for range 3 {
		stranger.refused("AssumeRoleWithWebIdentity", in, unverified)
	}
	if n := p.met.Load(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	pin(strings.Repeat("0", 40))
	stranger.refused("AssumeRoleWithWebIdentity", in, unverified)
	sum := sha1.Sum(p.Certificate().Raw)
	pin(strings.ToUpper(hex.EncodeToString(sum[:])))
	do[sts.AssumeRoleWithWebIdentityOutput](stranger, "AssumeRoleWithWebIdentity", in)
}
