package keycrypt

import (
	"errors"
)

// keyPair is the private key of asymmetric material with its public key. What it does besides is said by the interfaces
// below. It is used by many goroutines.
type keyPair interface {
	spec() Spec                  // "" when no kind of key has such pairs
	privateKey() ([]byte, error) // PKCS #8, DER; always the same bytes for one key
	publicKey() ([]byte, error)  // SubjectPublicKeyInfo, DER
}

type (
	signer interface {
		// sign and verify are given what SigningAlgorithm.Check has accepted.
		sign(a SigningAlgorithm, t MessageType, message []byte) ([]byte, error)
		verify(a SigningAlgorithm, t MessageType, message, signature []byte) (bool, error)
	}
	decrypter interface {
		encrypt(a EncryptionAlgorithm, plaintext []byte) ([]byte, error)
		decrypt(a EncryptionAlgorithm, ciphertext []byte) ([]byte, error)
	}
	agreer interface {
		agree(peer []byte) ([]byte, error)
	}
	encapsulator interface {
		encapsulate() (secret, ciphertext []byte, err error)
		decapsulate(ciphertext []byte) (secret []byte, err error)
	}
)

// ErrAlgorithm says that the material is not of a kind that the algorithm works with. Callers check before: the KMS
// developer guide's "Key spec reference" says which do.
var ErrAlgorithm = errors.New("keycrypt: the algorithm does not fit the material")

// PublicKey is the public key of an asymmetric key as SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), in DER.
func (m *Material) PublicKey() ([]byte, error) {
	pair, err := m.pair()
	if err != nil {
		return nil, err
	}
	return pair.publicKey()
}

// Spec is the kind of an asymmetric key. Any other material has none, which is an error.
func (m *Material) Spec() (Spec, error) {
	pair, err := m.pair()
	if err != nil {
		return "", err
	}
	return pair.spec(), nil
}

// as is the pair of the material, if it does what is asked of it.
func as[does any](m *Material) (does, error) {
	var none does
	pair, err := m.pair()
	if err != nil {
		return none, err
	}
	able, ok := pair.(does)
	if !ok {
		return none, ErrAlgorithm
	}
	return able, nil
}
