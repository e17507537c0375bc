package keycrypt

import (
	"bytes"
	"crypto/mlkem"
	"encoding/asn1"

	"github.com/cloudflare/circl/kem/mlkem/mlkem512"
)

// mlkemSeedSize is d ‖ z of FIPS 203, 7.1, in bytes: the whole private key.
const mlkemSeedSize = mlkem.SeedSize

// mlkemPair is a pair of FIPS 203. The standard library has the two larger kinds.
type mlkemPair struct {
	kind Spec
	seed []byte
	decapsulationKey
	encapsulationKey
}

type decapsulationKey interface {
	// Decapsulate fails when the ciphertext has not the right size, and then only.
	Decapsulate(ciphertext []byte) (secret []byte, err error)
}

type encapsulationKey interface {
	Bytes() []byte
	Encapsulate() (secret, ciphertext []byte)
}

func newMLKEM(spec Spec, seed []byte) (keyPair, error) {
	if len(seed) != mlkemSeedSize {
		return nil, errPKCS8
	}
	p := mlkemPair{kind: spec, seed: bytes.Clone(seed)}
	switch spec {
	case MLKEM512:
		public, private := mlkem512.NewKeyFromSeed(seed)
		p.decapsulationKey, p.encapsulationKey = decapsulationKey512{private}, encapsulationKey512{public}
	case MLKEM768:
		key, err := mlkem.NewDecapsulationKey768(seed)
		if err != nil {
			return nil, errPKCS8
		}
		p.decapsulationKey, p.encapsulationKey = key, key.EncapsulationKey()
	case MLKEM1024:
		key, err := mlkem.NewDecapsulationKey1024(seed)
		if err != nil {
			return nil, errPKCS8
		}
		p.decapsulationKey, p.encapsulationKey = key, key.EncapsulationKey()
	}
	return p, nil
}

func (p mlkemPair) spec() Spec                  { return p.kind }
func (p mlkemPair) privateKey() ([]byte, error) { return marshalSeed(p.oid(), p.seed) }
func (p mlkemPair) publicKey() ([]byte, error)  { return marshalPublic(p.oid(), p.Bytes()) }

func (p mlkemPair) oid() asn1.ObjectIdentifier {
	return map[Spec]asn1.ObjectIdentifier{MLKEM512: oidMLKEM512, MLKEM768: oidMLKEM768, MLKEM1024: oidMLKEM1024}[p.kind]
}

// Encapsulate makes a shared secret of 32 bytes, and the ciphertext from which the key gets it back: FIPS 203, 7.2.
func (m *Material) Encapsulate() (secret, ciphertext []byte, err error) {
	pair, err := as[encapsulator](m)
	if err != nil {
		return nil, nil, err
	}
	return pair.encapsulate()
}

// Decapsulate is the shared secret of a ciphertext. One that has not the right size is ErrCiphertext. Any other gives a
// secret, though one that only this key knows if the ciphertext was not made for it: FIPS 203, 7.3.
func (m *Material) Decapsulate(ciphertext []byte) ([]byte, error) {
	pair, err := as[encapsulator](m)
	if err != nil {
		return nil, err
	}
	return pair.decapsulate(ciphertext)
}

func (p mlkemPair) encapsulate() (secret, ciphertext []byte, err error) {
	secret, ciphertext = p.Encapsulate()
	return secret, ciphertext, nil
}

func (p mlkemPair) decapsulate(ciphertext []byte) ([]byte, error) {
	secret, err := p.Decapsulate(ciphertext)
	if err != nil {
		return nil, ErrCiphertext
	}
	return secret, nil
}

// ML-KEM-512 in the form of the others.
type (
	decapsulationKey512 struct{ key *mlkem512.PrivateKey }
	encapsulationKey512 struct{ key *mlkem512.PublicKey }
)

func (k decapsulationKey512) Decapsulate(ciphertext []byte) ([]byte, error) {
	if len(ciphertext) != mlkem512.CiphertextSize {
		return nil, ErrCiphertext
	}
	secret := make([]byte, mlkem512.SharedKeySize)
	k.key.DecapsulateTo(secret, ciphertext)
	return secret, nil
}

func (k encapsulationKey512) Bytes() []byte {
	b := make([]byte, mlkem512.PublicKeySize)
	k.key.Pack(b)
	return b
}

func (k encapsulationKey512) Encapsulate() (secret, ciphertext []byte) {
	secret, ciphertext = make([]byte, mlkem512.SharedKeySize), make([]byte, mlkem512.CiphertextSize)
	k.key.EncapsulateTo(ciphertext, secret, Random(mlkem512.EncapsulationSeedSize))
	return secret, ciphertext
}
