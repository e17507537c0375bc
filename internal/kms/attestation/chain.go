package attestation

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// chain is the certificate that signs a document, if it chains to a trusted root: section 3.2.3 of the attestation
// process. The bundle begins with the root and ends with the issuer of the certificate. Nothing is asked about
// revocation, as AWS says.
func (t *Trust) chain(certificate cbor.ByteString, bundle []cbor.ByteString, now time.Time) (*x509.Certificate, error) {
	path := make([]*x509.Certificate, 0, len(bundle)+1) // from the root to the signer
	for _, der := range append(slices.Clip(bundle), certificate) {
		parsed, err := x509.ParseCertificate(der.Bytes())
		if err != nil {
			return nil, malformed("one of its certificates cannot be parsed")
		}
		path = append(path, parsed)
	}
	root, signer := path[0], path[len(path)-1]
	if !slices.ContainsFunc(t.roots, root.Equal) {
		return nil, untrusted("its root certificate is not one that this server trusts")
	}
	if err := checkUses(path); err != nil {
		return nil, err
	}
	// From the root down, so that what did not come from it costs one verification, however long the bundle is.
	for i, issued := range path[1:] {
		if !bytes.Equal(issued.RawIssuer, path[i].RawSubject) || issued.CheckSignatureFrom(path[i]) != nil {
			return nil, untrusted("its certificates do not chain to the root")
		}
	}
	return signer, validate(path, now)
}

// validate has the path checked as X.509 has it (RFC 5280 section 6): validity of each certificate, lengths of path,
// constraints, critical extensions.
func validate(path []*x509.Certificate, now time.Time) error {
	last := len(path) - 1
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	options.Roots.AddCert(path[0])
	for _, c := range path {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return untrusted("one of its certificates is not valid at this time")
		}
	}
	for _, authority := range path[1:last] {
		options.Intermediates.AddCert(authority)
	}
	chains, err := path[last].Verify(options)
	if err != nil {
		return untrusted("its certificates do not make a valid path")
	}
	for _, chain := range chains {
		slices.Reverse(chain)
		if slices.EqualFunc(chain, path, (*x509.Certificate).Equal) {
			return nil
		}
	}
	return untrusted("its certificates do not make a valid path")
}

// checkUses checks what each certificate is for.
func checkUses(path []*x509.Certificate) error {
	signer := path[len(path)-1]
	for _, authority := range path[:len(path)-1] {
		if !isAuthority(authority) {
			return untrusted("a certificate of its cabundle may not sign others")
		}
	}
	limited := signer.MaxPathLen > 0 || signer.MaxPathLenZero
	if signer.KeyUsage&x509.KeyUsageDigitalSignature == 0 || signer.IsCA || limited {
		return untrusted("its certificate is not one for signatures")
	}
	return nil
}

func isAuthority(c *x509.Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && c.KeyUsage&x509.KeyUsageCertSign != 0
}
