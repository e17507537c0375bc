package keycrypt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
)

// curves are those of the standard library that AWS KMS has.
var curves = map[Spec]elliptic.Curve{P256: elliptic.P256(), P384: elliptic.P384(), P521: elliptic.P521()}

// ErrPublicKey is the error of Agree: it was given no public key, or one that does not fit the material.
var ErrPublicKey = errors.New("keycrypt: not a public key of the material's kind")

type ecdsaPair struct{ key *ecdsa.PrivateKey }

func generateECDSA(curve elliptic.Curve) (keyPair, error) {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	return ecdsaPair{key}, nil
}

func (p ecdsaPair) spec() Spec {
	for spec, curve := range curves {
		if p.key.Curve == curve {
			return spec
		}
	}
	return ""
}

func (p ecdsaPair) privateKey() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(p.key) }
func (p ecdsaPair) publicKey() ([]byte, error)  { return x509.MarshalPKIXPublicKey(&p.key.PublicKey) }

// fits says whether the algorithm is the one of the curve: AWS KMS pairs each curve with the hash of its strength.
func (p ecdsaPair) fits(a SigningAlgorithm) bool {
	return map[Spec]SigningAlgorithm{P256: ECDSASHA256, P384: ECDSASHA384, P521: ECDSASHA512}[p.spec()] == a
}

func (p ecdsaPair) sign(a SigningAlgorithm, t MessageType, message []byte) ([]byte, error) {
	if !p.fits(a) {
		return nil, ErrAlgorithm
	}
	_, digest, err := a.digest(t, message)
	if err != nil {
		return nil, err
	}
	return ecdsa.SignASN1(rand.Reader, p.key, digest)
}

func (p ecdsaPair) verify(a SigningAlgorithm, t MessageType, message, signature []byte) (bool, error) {
	if !p.fits(a) {
		return false, ErrAlgorithm
	}
	_, digest, err := a.digest(t, message)
	if err != nil {
		return false, err
	}
	return ecdsa.VerifyASN1(&p.key.PublicKey, digest, signature), nil
}

// Agree is the shared secret with the owner of a public key, which is SubjectPublicKeyInfo in DER: the x coordinate that
// ECDH gives (SP 800-56A, 5.7.1.2), as it is. The error is ErrPublicKey when the key is none on the material's curve.
func (m *Material) Agree(peer []byte) ([]byte, error) {
	pair, err := as[agreer](m)
	if err != nil {
		return nil, err
	}
	return pair.agree(peer)
}

func (p ecdsaPair) agree(peer []byte) ([]byte, error) {
	parsed, err := x509.ParsePKIXPublicKey(peer)
	if err != nil {
		return nil, ErrPublicKey
	}
	public, ok := parsed.(*ecdsa.PublicKey)
	if !ok || public.Curve != p.key.Curve {
		return nil, ErrPublicKey
	}
	theirs, err := public.ECDH()
	if err != nil {
		return nil, ErrPublicKey
	}
	ours, err := p.key.ECDH()
	if err != nil {
		return nil, err
	}
	secret, err := ours.ECDH(theirs)
	if err != nil {
		return nil, ErrPublicKey
	}
	return secret, nil
}
