package keycrypt

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
)

type ed25519Pair struct{ key ed25519.PrivateKey }

func generateEd25519() (keyPair, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ed25519Pair{key}, nil
}

func (p ed25519Pair) spec() Spec                  { return Edwards25519 }
func (p ed25519Pair) privateKey() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(p.key) }
func (p ed25519Pair) publicKey() ([]byte, error)  { return x509.MarshalPKIXPublicKey(p.key.Public()) }

func (p ed25519Pair) sign(a SigningAlgorithm, _ MessageType, message []byte) ([]byte, error) {
	message, options, err := edwards(a, message)
	if err != nil {
		return nil, err
	}
	return p.key.Sign(nil, message, options)
}

func (p ed25519Pair) verify(a SigningAlgorithm, _ MessageType, message, signature []byte) (bool, error) {
	message, options, err := edwards(a, message)
	if err != nil {
		return false, err
	}
	return ed25519.VerifyWithOptions(p.key.Public().(ed25519.PublicKey), message, signature, options) == nil, nil
}

// edwards is what the algorithm signs. For Ed25519ph that is the hash of what the caller gives, though the caller gives a
// hash already: AWS KMS takes the digest for the message, and hashes it in step 1 of FIPS 186-5, 7.8.1 once more.
func edwards(a SigningAlgorithm, message []byte) ([]byte, *ed25519.Options, error) {
	switch a {
	case Ed25519:
		return message, &ed25519.Options{}, nil
	case Ed25519ph:
		again := sha512.Sum512(message)
		return again[:], &ed25519.Options{Hash: crypto.SHA512}, nil
	}
	return nil, nil, ErrAlgorithm
}
