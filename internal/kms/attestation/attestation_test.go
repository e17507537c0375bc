package attestation_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil/internal/kms/attestation"
	"vigil/internal/kms/attestation/attestationtest"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func trust(t testing.TB, e *attestationtest.Enclave) *attestation.Trust {
	t.Helper()
	trusted, err := attestation.ParseRoots(e.RootPEM())
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

func TestDocument(t *testing.T) {
	e := attestationtest.New(t, now)
	for _, e.Tagged = range []bool{false, true} {
		e.Content["user_data"], e.Content["nonce"] = []byte("hello"), []byte{}
		d, err := trust(t, e).Verify(e.Document(t, now.Add(-attestation.MaxAge)), now)
		if err != nil {
			t.Fatalf("tagged %t: %v", e.Tagged, err)
		}
		if d.ModuleID != attestationtest.ModuleID || !d.Time.Equal(now.Add(-attestation.MaxAge)) || d.TPM || string(d.UserData) != "hello" ||
			len(d.PCRs) != 16 || !bytes.Equal(d.PCRs[8], attestationtest.PCR(8)) || d.CanEncrypt() != nil {
			t.Errorf("%+v", d)
		}
	}
}

func TestNitroTPMDocument(t *testing.T) {
	e := attestationtest.New(t, now)
	e.Content["nitrotpm_pcrs"], e.Content["pcrs"] = e.Content["pcrs"], attestationtest.Absent
	e.Content["user_data"] = make([]byte, 1024)
	d, err := trust(t, e).Verify(e.Document(t, now), now)
	if err != nil {
		t.Fatal(err)
	}
	if !d.TPM || !bytes.Equal(d.PCRs[7], attestationtest.PCR(7)) {
		t.Errorf("%+v", d)
	}
}

// Every restriction of the attestation process is one.
func TestRefusedContent(t *testing.T) {
	pcrs := func(index uint64, value any) map[uint64]any { return map[uint64]any{0: make([]byte, 48), index: value} }
	many := map[uint64]any{}
	for i := range uint64(33) {
		many[i] = make([]byte, 48)
	}
	for _, test := range []struct {
		member string
		value  any
	}{
		{"module_id", ""}, {"module_id", nil}, {"module_id", attestationtest.Absent}, {"module_id", []byte("i-1")}, {"module_id", 7},
		{"digest", "SHA256"}, {"digest", nil}, {"digest", attestationtest.Absent},
		{"timestamp", 0}, {"timestamp", -1}, {"timestamp", "now"}, {"timestamp", 1.5}, {"timestamp", nil}, {"timestamp", uint64(math.MaxUint64)},
		{"timestamp", attestationtest.Absent},
		{"pcrs", map[uint64]any{}}, {"pcrs", many}, {"pcrs", nil}, {"pcrs", attestationtest.Absent}, {"pcrs", pcrs(32, make([]byte, 48))},
		{"pcrs", pcrs(1, make([]byte, 47))}, {"pcrs", pcrs(1, []byte{})}, {"pcrs", pcrs(1, nil)}, {"pcrs", pcrs(1, strings.Repeat("x", 48))},
		{"pcrs", map[string]any{"0": make([]byte, 48)}}, {"pcrs", map[int]any{-1: make([]byte, 48)}},
		{"nitrotpm_pcrs", pcrs(1, make([]byte, 48))},
		{"certificate", []byte{}}, {"certificate", nil}, {"certificate", make([]byte, 1025)}, {"certificate", make([]byte, 100)},
		{"certificate", attestationtest.Absent},
		{"cabundle", [][]byte{}}, {"cabundle", nil}, {"cabundle", attestationtest.Absent}, {"cabundle", [][]byte{{}}}, {"cabundle", [][]byte{make([]byte, 1025)}},
		{"cabundle", []any{nil}}, {"cabundle", []string{"x"}}, {"cabundle", [][]byte{make([]byte, 100)}}, {"cabundle", make([][]byte, 65)},
		{"public_key", []byte{}}, {"public_key", make([]byte, 1025)}, {"public_key", "text"},
		{"user_data", make([]byte, 513)}, {"user_data", "text"}, {"nonce", make([]byte, 513)}, {"nonce", []int{1, 2}},
		{"surprise", 1},
	} {
		e := attestationtest.New(t, now)
		e.Content[test.member] = test.value
		if _, err := trust(t, e).Verify(e.Document(t, now), now); !errors.Is(err, attestation.ErrMalformed) {
			t.Errorf("%s = %v: %v", test.member, test.value, err)
		}
	}
}

func TestRefusedSigning(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*attestationtest.Enclave)
		want   error
	}{
		{"ES256", func(e *attestationtest.Enclave) { e.Header = map[int]int{1: -7} }, attestation.ErrMalformed},
		{"no algorithm", func(e *attestationtest.Enclave) { e.Header = map[int]int{} }, attestation.ErrMalformed},
		{"a critical header", func(e *attestationtest.Enclave) { e.Header = map[int]any{1: -35, 2: []int{1}} }, attestation.ErrMalformed},
		{"a header that is none", func(e *attestationtest.Enclave) { e.Header = "alg" }, attestation.ErrMalformed},
		{"another key", func(e *attestationtest.Enclave) { e.Path[4].Key = e.Path[3].Key }, attestation.ErrUntrusted},
		{"another root", func(e *attestationtest.Enclave) {
			e.Root = attestationtest.Issue(t, nil, now, "aws.nitro-enclaves", nil)
		}, attestation.ErrUntrusted},
		{"no root", func(e *attestationtest.Enclave) { e.Path = e.Path[1:] }, attestation.ErrUntrusted},
		{"a gap", func(e *attestationtest.Enclave) { e.Path = slices.Delete(e.Path, 2, 3) }, attestation.ErrUntrusted},
		{"another order", func(e *attestationtest.Enclave) { e.Path[1], e.Path[2] = e.Path[2], e.Path[1] }, attestation.ErrUntrusted},
		{"the reverse order", func(e *attestationtest.Enclave) { slices.Reverse(e.Path[:4]) }, attestation.ErrUntrusted},
		{"signed by an authority", func(e *attestationtest.Enclave) { e.Path = e.Path[:4] }, attestation.ErrUntrusted},
	} {
		e := attestationtest.New(t, now)
		test.change(e)
		if _, err := trust(t, e).Verify(e.Document(t, now), now); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// Each certificate of the path is refused when it is not one for its place.
func TestRefusedCertificates(t *testing.T) {
	past := func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }
	future := func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) }
	for _, test := range []struct {
		name   string
		at     int
		change func(*x509.Certificate)
	}{
		{"an expired root", 0, past}, {"an expired authority", 2, past}, {"an expired signer", 4, past},
		{"a root of the future", 0, future}, {"an authority of the future", 2, future}, {"a signer of the future", 4, future},
		{"an authority that is none", 2, func(c *x509.Certificate) { c.IsCA = false }},
		{"an authority that may not sign", 2, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }},
		{"an authority without a use", 2, func(c *x509.Certificate) { c.KeyUsage = 0 }},
		{"an authority of shorter paths", 1, func(c *x509.Certificate) { c.MaxPathLen = 1 }},
		{"a root of shorter paths", 0, func(c *x509.Certificate) { c.MaxPathLen = 2 }},
		{"a signer that is an authority", 4, func(c *x509.Certificate) { c.IsCA = true }},
		{"a signer that may not sign", 4, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }},
	} {
		e := attestationtest.New(t, now)
		e.Path = nil
		var by *attestationtest.Authority
		for i := range 5 {
			by = attestationtest.Issue(t, by, now, string(rune('a'+i)), func(c *x509.Certificate) {
				if i == 4 {
					attestationtest.Leaf(c)
				}
				if i == test.at {
					test.change(c)
				}
			})
			e.Path = append(e.Path, by)
		}
		trusted := trustAnything(t, e, e.Path[0])
		if _, err := trusted.Verify(e.Document(t, now), now); !errors.Is(err, attestation.ErrUntrusted) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func trustAnything(t *testing.T, e *attestationtest.Enclave, root *attestationtest.Authority) *attestation.Trust {
	e.Root = root
	return trust(t, e)
}

func TestSignerOfAnotherCurve(t *testing.T) {
	e := attestationtest.New(t, now)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := *e.Path[4].Certificate
	der, err := x509.CreateCertificate(rand.Reader, &template, e.Path[3].Certificate, &key.PublicKey, e.Path[3].Key)
	if err != nil {
		t.Fatal(err)
	}
	e.Path[4] = &attestationtest.Authority{Key: key}
	if e.Path[4].Certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if _, err := trust(t, e).Verify(e.Document(t, now), now); !errors.Is(err, attestation.ErrUntrusted) {
		t.Error(err)
	}
}

// No part of a document can be changed, and no byte can be missing or added.
func TestTampering(t *testing.T) {
	e := attestationtest.New(t, now)
	trusted, document := trust(t, e), e.Document(t, now)
	for i := 0; i < len(document); i += 11 {
		for _, flip := range []byte{1, 0x80} {
			changed := slices.Clone(document)
			changed[i] ^= flip
			if _, err := trusted.Verify(changed, now); err == nil {
				t.Fatalf("byte %d of %d changed by %x is not noticed", i, len(document), flip)
			}
		}
	}
	for i := range document {
		if _, err := trusted.Verify(document[:i], now); !errors.Is(err, attestation.ErrMalformed) {
			t.Fatalf("%d of %d bytes: %v", i, len(document), err)
		}
	}
	if _, err := trusted.Verify(append(slices.Clone(document), 0), now); !errors.Is(err, attestation.ErrMalformed) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestAge(t *testing.T) {
	e := attestationtest.New(t, now)
	trusted := trust(t, e)
	for _, off := range []time.Duration{attestation.MaxAge + time.Millisecond, -attestation.MaxAge - time.Millisecond} {
		if _, err := trusted.Verify(e.Document(t, now.Add(-off)), now); !errors.Is(err, attestation.ErrExpired) {
			t.Errorf("%s old: %v", off, err)
		}
	}
}

func TestRoots(t *testing.T) {
	e := attestationtest.New(t, now)
	leaf := *e
	leaf.Root = e.Path[4]
	key := []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	for name, text := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("root"), "a key": append(e.RootPEM(), key...), "no authority": leaf.RootPEM(),
		"junk": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
	} {
		if _, err := attestation.ParseRoots(text); err == nil {
			t.Errorf("%s is taken for roots", name)
		}
	}
	both, err := attestation.ParseRoots(append(attestationtest.New(t, now).RootPEM(), e.RootPEM()...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := both.Verify(e.Document(t, now), now); err != nil {
		t.Errorf("the second of two roots: %v", err)
	}
}

func TestPublicKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"small": &small.PublicKey, "curve": &curve.PublicKey, "junk": nil, "none": attestationtest.Absent} {
		e := attestationtest.New(t, now)
		switch key := key.(type) {
		case nil:
			e.Content["public_key"] = []byte("key")
		case string:
			e.Content["public_key"] = key
		default:
			if e.Content["public_key"], err = x509.MarshalPKIXPublicKey(key); err != nil {
				t.Fatal(err)
			}
		}
		d, err := trust(t, e).Verify(e.Document(t, now), now)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := d.Encrypt([]byte("x")); !errors.Is(err, attestation.ErrPublicKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var update = flag.Bool("update", false, "make the stored document anew")

// A document that was stored with its root is as true as it was, at its time.
func TestStoredDocument(t *testing.T) {
	if *update {
		e := attestationtest.New(t, now)
		for name, data := range map[string][]byte{"root.pem": e.RootPEM(), "document": e.Document(t, now)} {
			if err := os.WriteFile(filepath.Join("testdata", name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	trusted, document := stored(t)
	if _, err := trusted.Verify(document, now); err != nil {
		t.Error(err)
	}
	if _, err := trusted.Verify(document, now.Add(24*time.Hour)); !errors.Is(err, attestation.ErrUntrusted) {
		t.Errorf("a day later: %v", err)
	}
}

func stored(t testing.TB) (*attestation.Trust, []byte) {
	t.Helper()
	root, err := os.ReadFile("testdata/root.pem")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("testdata/document")
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := attestation.ParseRoots(root)
	if err != nil {
		t.Fatal(err)
	}
	return trusted, document
}

// Nothing but the stored document is true under its root, whose key nobody has.
func FuzzVerify(f *testing.F) {
	trusted, document := stored(f)
	f.Add(document)
	f.Add(append([]byte{0xd2}, document...))
	f.Add([]byte{0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x41, 0xa0, 0x41, 0x00})
	f.Fuzz(func(t *testing.T, sent []byte) {
		d, err := trusted.Verify(sent, now)
		switch {
		case err == nil && d.ModuleID != attestationtest.ModuleID:
			t.Errorf("%+v", d)
		case err != nil && !errors.Is(err, attestation.ErrMalformed) && !errors.Is(err, attestation.ErrUntrusted) && !errors.Is(err, attestation.ErrExpired):
			t.Error(err)
		}
	})
}

// FuzzContent is what is in a document, whoever signed it.
func FuzzContent(f *testing.F) {
	_, document := stored(f)
	payload, err := attestation.Payload(document)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := attestation.ParseContent(payload)
		switch {
		case err != nil && !errors.Is(err, attestation.ErrMalformed):
			t.Error(err)
		case err == nil && (d.ModuleID == "" || len(d.PCRs) == 0 || len(d.PCRs) > 32 || d.Time.UnixMilli() <= 0):
			t.Errorf("%+v", d)
		}
	})
}
