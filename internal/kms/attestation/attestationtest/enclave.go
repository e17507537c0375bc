// Package attestationtest makes attestation documents as the Nitro hypervisor does, of a root of its own, for tests.
package attestationtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// ModuleID is that of the enclave.
const ModuleID = "i-123456789abcde123-enc123456789abcde12"

// Authority is a certificate with its key.
type Authority struct {
	Certificate *x509.Certificate
	Key         *ecdsa.PrivateKey
}

// Enclave makes documents. What it makes them of can be changed, so that they are wrong.
type Enclave struct {
	Root    *Authority
	Path    []*Authority // from the root to the one that signs
	Key     *rsa.PrivateKey
	Content map[string]any // the payload, but for certificate, cabundle and timestamp where it has none
	Header  any            // protected
	Tagged  bool           // with CBOR's tag 18
}

// rsaKey is one for all tests, for the time that it takes.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// New is an enclave with a root of its own, whose certificates are valid for three hours around a time.
func New(t testing.TB, now time.Time) *Enclave {
	t.Helper()
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	publicKey, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pcrs := map[uint64]any{}
	for i := range uint64(16) {
		pcrs[i] = PCR(int(i))
	}
	e := &Enclave{Key: key, Header: map[int]int{1: -35}, Content: map[string]any{
		"module_id": ModuleID, "digest": "SHA384", "pcrs": pcrs, "public_key": publicKey, "user_data": nil, "nonce": nil,
	}}
	e.Root = Issue(t, nil, now, "aws.nitro-enclaves", nil)
	e.Path = []*Authority{e.Root}
	for _, name := range []string{"region", "zone", "instance"} {
		e.Path = append(e.Path, Issue(t, e.Path[len(e.Path)-1], now, name, nil))
	}
	e.Path = append(e.Path, Issue(t, e.Path[len(e.Path)-1], now, "enclave", Leaf))
	return e
}

// PCR is the value of the enclave's PCR of that index.
func PCR(index int) []byte { return bytes.Repeat([]byte{byte(index), 0xab}, 24) }

// Leaf makes a certificate one that signs documents.
func Leaf(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }

// Issue makes a certificate authority under another, or a root under nil; change changes its certificate first.
func Issue(t testing.TB, by *Authority, now time.Time, name string, change func(*x509.Certificate)) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name, Country: []string{"US"}},
		NotBefore: now.Add(-90 * time.Minute), NotAfter: now.Add(90 * time.Minute),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if change != nil {
		change(template)
	}
	if by == nil {
		by = &Authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, &key.PublicKey, by.Key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{certificate, key}
}

// RootPEM is the enclave's root certificate.
func (e *Enclave) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Root.Certificate.Raw})
}

// Document is one of that time.
func (e *Enclave) Document(t testing.TB, at time.Time) []byte {
	t.Helper()
	return e.Sign(t, e.Payload(t, at))
}

// Payload is what is signed in a document of that time.
func (e *Enclave) Payload(t testing.TB, at time.Time) []byte {
	t.Helper()
	signer := e.Path[len(e.Path)-1]
	var bundle [][]byte
	for _, authority := range e.Path[:len(e.Path)-1] {
		bundle = append(bundle, authority.Certificate.Raw)
	}
	content := map[string]any{"certificate": signer.Certificate.Raw, "cabundle": bundle, "timestamp": uint64(at.UnixMilli())}
	for name, value := range e.Content {
		if content[name] = value; value == Absent {
			delete(content, name)
		}
	}
	return encode(t, content)
}

// Absent is the value of a member of Content that is to be left out.
const Absent = "absent"

// Sign is a document with that payload.
func (e *Enclave) Sign(t testing.TB, payload []byte) []byte {
	t.Helper()
	protected := encode(t, e.Header)
	digest := sha512.Sum384(encode(t, []any{"Signature1", protected, []byte{}, payload}))
	first, second, err := ecdsa.Sign(rand.Reader, e.Path[len(e.Path)-1].Key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := slices.Concat(first.FillBytes(make([]byte, 48)), second.FillBytes(make([]byte, 48)))
	var message any = []any{protected, map[int]int{}, payload, signature}
	if e.Tagged {
		message = cbor.Tag{Number: 18, Content: message}
	}
	return encode(t, message)
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(fmt.Errorf("CBOR: %w", err))
	}
	return data
}
