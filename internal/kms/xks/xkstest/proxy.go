// Package xkstest is an external key store proxy for tests, written from the specification of its API and from nothing
// of the client. It listens on TLS, verifies signatures, and has real keys. Tests can spoil its answers.
package xkstest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil/internal/front/sigv4"
	"vigil/internal/kms/xks"
)

// What the proxy is reached by and knows.
const (
	Endpoint    = "https://proxy.example.com" // any other name under example.com will do too
	Path        = "/acme/kms/xks/v1"
	AccessKeyID = "ABCDEFGHIJKLMNOPQRSTUVWX"
	Secret      = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG="
	Region      = "us-west-2"
)

// Proxy is a running proxy.
type Proxy struct {
	server *httptest.Server

	mu       sync.Mutex
	secrets  map[string]string // of access key ids
	paths    map[string]bool
	keys     map[string]*Key
	managers []xks.Manager
	spoil    func(*Answer)
	requests []Request
}

// Key is an external key.
type Key struct {
	Spec, Status string
	Usage        []string
	secret       [32]byte
}

// Request is what the proxy was asked, with what it was told of the reason.
type Request struct {
	Operation  string // of the proxy's API
	KeyID      string
	Caller     xks.Caller
	Additional []byte
	Plaintext  []byte
}

// Answer is what the proxy is about to answer.
type Answer struct {
	Operation string
	Status    int
	Body      []byte
	Wait      <-chan struct{} // it answers when this is closed, or the client is gone; nil for at once
}

// New starts a proxy that knows one credential and one path, and has one key manager and no keys.
func New(t testing.TB) *Proxy {
	p := &Proxy{
		secrets:  map[string]string{AccessKeyID: Secret},
		paths:    map[string]bool{Path: true},
		keys:     map[string]*Key{},
		managers: []xks.Manager{{ID: "hsm-1", Model: "Luna 5.0", Status: xks.Active}},
	}
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	return p
}

// Options reach the proxy. Its time limit is far beyond what a busy machine needs.
func (p *Proxy) Options() xks.Options {
	return xks.Options{Timeout: 20 * time.Second, Roots: p.Roots(), Dial: p.dial}
}

// Roots trust the proxy's certificate.
func (p *Proxy) Roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(p.server.Certificate())
	return roots
}

// dial connects to the proxy whatever the name.
func (p *Proxy) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, p.server.Listener.Addr().String())
}

// Close ends the proxy: nobody listens any more.
func (p *Proxy) Close() { p.server.Close() }

// Add makes a good key and returns it.
func (p *Proxy) Add(id string) *Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := &Key{Spec: "AES_256", Status: "ENABLED", Usage: []string{"ENCRYPT", "DECRYPT"}}
	rand.Read(k.secret[:])
	p.keys[id] = k
	return k
}

// Set changes what the proxy has under its lock.
func (p *Proxy) Set(change func(keys map[string]*Key, secrets map[string]string, paths map[string]bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p.keys, p.secrets, p.paths)
}

// Managers says what the key managers are from now on.
func (p *Proxy) Managers(all ...xks.Manager) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.managers = all
}

// Spoil has answers changed before they go out; nil ends it.
func (p *Proxy) Spoil(with func(*Answer)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoil = with
}

// Requests are those that were asked of an operation, with a good signature.
func (p *Proxy) Requests(operation string) (found []Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests {
		if r.Operation == operation {
			found = append(found, r)
		}
	}
	return found
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p.mu.Lock()
	a := p.answer(r, body)
	if p.spoil != nil {
		p.spoil(&a)
	}
	p.mu.Unlock()
	if a.Wait != nil {
		select {
		case <-a.Wait:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	w.Write(a.Body)
}

func refuse(operation string, status int, name string) Answer {
	body, _ := json.Marshal(map[string]string{"errorName": name, "errorMessage": "said by the test's proxy"})
	return Answer{Operation: operation, Status: status, Body: body}
}

func (p *Proxy) answer(r *http.Request, body []byte) Answer {
	if r.Method != http.MethodPost {
		return Answer{Status: http.StatusMethodNotAllowed}
	}
	base, rest, ok := strings.Cut(r.URL.Path, "/v1/")
	operation := map[string]string{"health": xks.OpHealth, "metadata": xks.OpMetadata, "encrypt": xks.OpEncrypt, "decrypt": xks.OpDecrypt}[rest[strings.LastIndex(rest, "/")+1:]]
	if !ok || !p.paths[base+"/v1"] || operation == "" {
		return refuse(operation, http.StatusNotFound, xks.InvalidURIPath)
	}
	if !p.signed(r, body) {
		return refuse(operation, http.StatusUnauthorized, xks.AuthenticationFailed)
	}
	var in request
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&in) != nil || r.Header.Get("Content-Type") != "application/json" || in.RequestMetadata.Operation == "" || in.RequestMetadata.RequestID == "" {
		return refuse(operation, http.StatusBadRequest, xks.Validation)
	}
	id := ""
	if parts := strings.Split(rest, "/"); len(parts) == 3 && parts[0] == "keys" {
		id = parts[1]
	}
	p.requests = append(p.requests, Request{operation, id, in.RequestMetadata, in.AdditionalAuthenticatedData, in.Plaintext})
	if operation == xks.OpHealth {
		if in.RequestMetadata.PrincipalARN != "" {
			return refuse(operation, http.StatusBadRequest, xks.Validation)
		}
		return good(operation, map[string]any{"xksProxyFleetSize": 1, "xksProxyVendor": "Acme", "xksProxyModel": "Proxy 1", "ekmVendor": "Acme", "ekmFleetDetails": p.managers})
	}
	if in.RequestMetadata.PrincipalARN == "" || (operation != xks.OpMetadata && in.RequestMetadata.KeyARN == "") {
		return refuse(operation, http.StatusBadRequest, xks.Validation)
	}
	key := p.keys[id]
	switch {
	case key == nil:
		return refuse(operation, http.StatusNotFound, xks.KeyNotFound)
	case operation == xks.OpMetadata:
		return good(operation, map[string]any{"keySpec": key.Spec, "keyUsage": key.Usage, "keyStatus": key.Status})
	case key.Status != "ENABLED":
		return refuse(operation, http.StatusBadRequest, xks.InvalidState)
	case in.EncryptionAlgorithm != "AES_GCM":
		return refuse(operation, http.StatusBadRequest, xks.Validation)
	case operation == xks.OpEncrypt:
		return key.encrypt(&in)
	}
	return key.decrypt(&in)
}

// request has the members of all requests.
type request struct {
	RequestMetadata                       xks.Caller
	Plaintext                             []byte
	Ciphertext                            []byte
	EncryptionAlgorithm                   string
	AdditionalAuthenticatedData           []byte
	CiphertextDataIntegrityValueAlgorithm string
	InitializationVector                  []byte
	AuthenticationTag                     []byte
	CiphertextMetadata                    []byte
}

func (p *Proxy) signed(r *http.Request, body []byte) bool {
	s, err := sigv4.Parse(r)
	if err != nil || s.ScopedTo("kms-xks-proxy") != nil || s.Region != Region {
		return false
	}
	secret, known := p.secrets[s.AccessKeyID]
	sum := sha256.Sum256(body)
	key := sigv4.DeriveKey(secret, s.Date, s.Region, s.Service)
	return known && s.Verify(r, hex.EncodeToString(sum[:]), key, time.Now()) == nil
}

func good(operation string, body any) Answer {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return Answer{Operation: operation, Status: http.StatusOK, Body: text}
}

// version is the metadata that the proxy wants to see again.
var version = []byte("key_version=1")

// bound is what the key authenticates: the additional data and the metadata, as the specification advises.
func bound(additional, metadata []byte) []byte {
	dst := binary.BigEndian.AppendUint16(nil, uint16(len(additional)))
	dst = append(dst, additional...)
	dst = append(dst, byte(len(metadata)))
	return append(dst, metadata...)
}

func (k *Key) aead() cipher.AEAD {
	block, err := aes.NewCipher(k.secret[:])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func (k *Key) encrypt(in *request) Answer {
	iv := make([]byte, 12)
	rand.Read(iv)
	sealed := k.aead().Seal(nil, iv, in.Plaintext, bound(in.AdditionalAuthenticatedData, version))
	text, tag := sealed[:len(in.Plaintext)], sealed[len(in.Plaintext):]
	out := map[string]any{"ciphertext": text, "initializationVector": iv, "authenticationTag": tag, "ciphertextMetadata": version}
	if in.CiphertextDataIntegrityValueAlgorithm == "SHA_256" {
		sum := sha256.Sum256(bytes.Join([][]byte{in.AdditionalAuthenticatedData, version, iv, text, tag}, nil))
		out["ciphertextDataIntegrityValue"] = sum[:]
	}
	return good(xks.OpEncrypt, out)
}

func (k *Key) decrypt(in *request) Answer {
	if len(in.InitializationVector) != 12 {
		return refuse(xks.OpDecrypt, http.StatusBadRequest, xks.InvalidCiphertext)
	}
	plaintext, err := k.aead().Open(nil, in.InitializationVector, append(bytes.Clone(in.Ciphertext), in.AuthenticationTag...),
		bound(in.AdditionalAuthenticatedData, in.CiphertextMetadata))
	if err != nil {
		return refuse(xks.OpDecrypt, http.StatusBadRequest, xks.InvalidCiphertext)
	}
	return good(xks.OpDecrypt, map[string]any{"plaintext": plaintext})
}
