package keycrypt

import (
	"errors"
	"fmt"
)

// Spec is a kind of key, by AWS's name: see the KMS developer guide's "Key spec reference".
type Spec string

// The kinds of key. The first five are secrets, the others key pairs.
const (
	SymmetricDefault Spec = "SYMMETRIC_DEFAULT"
	HMAC224          Spec = "HMAC_224"
	HMAC256          Spec = "HMAC_256"
	HMAC384          Spec = "HMAC_384"
	HMAC512          Spec = "HMAC_512"

	RSA2048      Spec = "RSA_2048"
	RSA3072      Spec = "RSA_3072"
	RSA4096      Spec = "RSA_4096"
	P256         Spec = "ECC_NIST_P256"
	P384         Spec = "ECC_NIST_P384"
	P521         Spec = "ECC_NIST_P521"
	P256K1       Spec = "ECC_SECG_P256K1"
	Edwards25519 Spec = "ECC_NIST_EDWARDS25519"
	SM2          Spec = "SM2"
	MLDSA44      Spec = "ML_DSA_44"
	MLDSA65      Spec = "ML_DSA_65"
	MLDSA87      Spec = "ML_DSA_87"
	MLKEM512     Spec = "ML_KEM_512"
	MLKEM768     Spec = "ML_KEM_768"
	MLKEM1024    Spec = "ML_KEM_1024"
)

// secretSizes are the kinds whose material is nothing but random bytes, with their number.
var secretSizes = map[Spec]int{
	SymmetricDefault: SizeSymmetric,
	HMAC224:          SizeHMAC224,
	HMAC256:          SizeHMAC256,
	HMAC384:          SizeHMAC384,
	HMAC512:          SizeHMAC512,
}

// ErrMaterial is the error of Import: the bytes are not material of the kind. What is wrong with them is not told, as
// they are secret.
var ErrMaterial = errors.New("keycrypt: not key material of this kind")

// GenerateKey makes new material of a kind for the key with this id. A pair of RSA keys takes time: a tenth of a second
// for 2048 bits, some seconds for 4096.
func GenerateKey(keyID string, spec Spec) (*Material, error) {
	if size, ok := secretSizes[spec]; ok {
		return Generate(keyID, size), nil
	}
	pair, err := generatePair(spec)
	if err != nil {
		return nil, err
	}
	return ofPair(keyID, pair)
}

// GeneratePair makes a key pair that no key keeps: the private key as PKCS #8 (RFC 5958) and the public key as
// SubjectPublicKeyInfo (RFC 5280), both in DER.
func GeneratePair(spec Spec) (private, public []byte, err error) {
	pair, err := generatePair(spec)
	if err != nil {
		return nil, nil, err
	}
	if private, err = pair.privateKey(); err != nil {
		return nil, nil, err
	}
	public, err = pair.publicKey()
	return private, public, err
}

// Import makes material of a kind from what a user brings for the key with this id: the bytes of a symmetric or HMAC key,
// which must be as many as the kind has, or the PKCS #8 of a private key, in DER, which must be of the kind. One private
// key may be written in several ways: however it was, its material and the material's id are the same.
// The error is ErrMaterial.
func Import(keyID string, spec Spec, value []byte) (*Material, error) {
	if size, ok := secretSizes[spec]; ok {
		if len(value) != size {
			return nil, ErrMaterial
		}
		return New(keyID, value), nil
	}
	pair, err := parsePair(value)
	if err != nil || pair.spec() != spec {
		return nil, ErrMaterial
	}
	return ofPair(keyID, pair)
}

// ofPair is the material that holds a pair.
func ofPair(keyID string, pair keyPair) (*Material, error) {
	der, err := pair.privateKey()
	if err != nil {
		return nil, err
	}
	defer clear(der)
	m := New(keyID, der)
	m.pair = func() (keyPair, error) { return pair, nil }
	return m, nil
}

func generatePair(spec Spec) (keyPair, error) {
	switch spec {
	case RSA2048:
		return generateRSA(2048)
	case RSA3072:
		return generateRSA(3072)
	case RSA4096:
		return generateRSA(4096)
	case P256, P384, P521:
		return generateECDSA(curves[spec])
	case P256K1:
		return generateSecp256k1()
	case Edwards25519:
		return generateEd25519()
	case SM2:
		return generateSM2()
	case MLDSA44, MLDSA65, MLDSA87:
		return generateMLDSA(spec)
	case MLKEM512, MLKEM768, MLKEM1024:
		return newMLKEM(spec, Random(mlkemSeedSize))
	}
	return nil, fmt.Errorf("keycrypt: no key pairs of kind %q", spec)
}
