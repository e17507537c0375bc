// Package attestation verifies the attestation documents of AWS Nitro Enclaves and NitroTPM, and encrypts for who
// presents one. It is pure: it is told the time and whom to trust.
//
// A document says what an isolated machine booted (its PCRs) and names a public key of it. The Nitro hypervisor signs it
// with a certificate that chains to AWS's root. What is verified is all that AWS asks of a key management service:
// "Nitro Enclaves Attestation Process" of aws-nitro-enclaves-nsm-api, "Verifying the root of trust" of the Nitro Enclaves
// user guide and "Validate a NitroTPM Attestation Document" of the EC2 user guide.
//
//   - cose.go      the signed envelope around a document: COSE_Sign1, ES384 (RFC 9052, RFC 9053)
//   - document.go  what must be in a document (CBOR, RFC 8949)
//   - chain.go     from the document's certificate to a trusted root
//   - envelope.go  encrypting for the document's public key: CMS EnvelopedData (RFC 5652)
package attestation

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// MaxAge is how old a document may be. One from the future may be as far off, by the difference of two clocks.
const MaxAge = 5 * time.Minute

var (
	// ErrMalformed is for what is no attestation document, or not one that AWS's specification allows.
	ErrMalformed = errors.New("it is malformed")
	// ErrUntrusted is for a document whose signature or certificates do not lead to a trusted root.
	ErrUntrusted = errors.New("its signature is not to be trusted")
	// ErrExpired is for a document that is older than MaxAge, or of the future.
	ErrExpired = errors.New("it was not made in the last five minutes")
	// ErrPublicKey is for a document without a public key that can be encrypted for.
	ErrPublicKey = errors.New("it has no RSA public key of 2048 bits or more")
)

// Document is a verified attestation document.
type Document struct {
	ModuleID string         // i-123456789abcde123-enc123456789abcde12
	Time     time.Time      // when it was made, to the millisecond
	TPM      bool           // it is of a NitroTPM, not of an enclave
	PCRs     map[int][]byte // by index, 0 to 31; each 32, 48 or 64 bytes
	UserData []byte         // nil if there is none
	Nonce    []byte         // nil if there is none

	publicKey *rsa.PublicKey // nil if there is none
	keyDER    []byte         // as the document has it: SubjectPublicKeyInfo
}

// Trust is the root certificates that documents must chain to. It is used by many goroutines.
type Trust struct{ roots []*x509.Certificate }

// ParseRoots reads root certificates in PEM form, of which there must be at least one. AWS publishes its own at
// https://aws-nitro-enclaves.amazonaws.com/AWS_NitroEnclaves_Root-G1.zip, with the SHA-256 fingerprint 641a0321a3e244ef…
func ParseRoots(text []byte) (*Trust, error) {
	t := &Trust{}
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if text = rest; block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it has a %s, which is not a certificate", block.Type)
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if !isAuthority(root) {
			return nil, fmt.Errorf("the certificate of %q may not sign other certificates", root.Subject)
		}
		t.roots = append(t.roots, root)
	}
	if len(t.roots) == 0 {
		return nil, errors.New("it has no certificate in PEM form")
	}
	return t, nil
}

// Verify reads a document and checks all of it at that time: the form, the chain of certificates, the signature, the
// age. Its errors wrap ErrMalformed, ErrUntrusted or ErrExpired, and say why in words that may be shown to who sent it.
func (t *Trust) Verify(document []byte, now time.Time) (*Document, error) {
	signed, err := parseSigned(document)
	if err != nil {
		return nil, err
	}
	content, err := parseContent(signed.payload)
	if err != nil {
		return nil, err
	}
	signer, err := t.chain(content.Certificate, content.CABundle, now)
	if err != nil {
		return nil, err
	}
	if err := signed.verify(signer); err != nil {
		return nil, err
	}
	d := content.document()
	if age := now.Sub(d.Time); age > MaxAge || age < -MaxAge {
		return nil, fmt.Errorf("%w: it was made at %s", ErrExpired, d.Time.UTC().Format(time.RFC3339))
	}
	return d, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func untrusted(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUntrusted, fmt.Sprintf(format, args...))
}
