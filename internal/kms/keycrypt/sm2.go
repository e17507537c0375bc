package keycrypt

import (
	"crypto/ecdsa"
	"crypto/rand"

	"github.com/emmansun/gmsm/ecdh"
	"github.com/emmansun/gmsm/sm2"
)

// sm2Pair is a pair on the curve sm2p256v1 of GB/T 32918.5.
type sm2Pair struct{ key *sm2.PrivateKey }

func generateSM2() (keyPair, error) {
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return sm2Pair{key}, nil
}

// newSM2 is the pair of a scalar of 32 bytes.
func newSM2(scalar []byte) (keyPair, error) {
	key, err := sm2.NewPrivateKey(scalar)
	if err != nil {
		return nil, errPKCS8
	}
	return sm2Pair{key}, nil
}

func (p sm2Pair) spec() Spec { return SM2 }

func (p sm2Pair) privateKey() ([]byte, error) {
	key, err := p.key.ECDH()
	if err != nil {
		return nil, err
	}
	scalar := key.Bytes()
	defer clear(scalar)
	return marshalScalar(oidSM2, scalar, key.PublicKey().Bytes())
}

func (p sm2Pair) publicKey() ([]byte, error) {
	key, err := sm2.PublicKeyToECDH(p.public())
	if err != nil {
		return nil, err
	}
	return marshalPoint(oidSM2, key.Bytes())
}

func (p sm2Pair) public() *ecdsa.PublicKey { return &p.key.PublicKey }

// distinguishingID is that of every signer: GM/T 0009's default. Who has another gives a digest that was made with it.
var distinguishingID = []byte("1234567812345678")

func (p sm2Pair) sign(a SigningAlgorithm, t MessageType, message []byte) ([]byte, error) {
	digest, err := p.digest(a, t, message)
	if err != nil {
		return nil, err
	}
	return sm2.SignASN1(rand.Reader, p.key, digest, nil)
}

func (p sm2Pair) verify(a SigningAlgorithm, t MessageType, message, signature []byte) (bool, error) {
	digest, err := p.digest(a, t, message)
	if err != nil {
		return false, err
	}
	return sm2.VerifyASN1(p.public(), digest, signature), nil
}

// digest is SM3 of the message behind a hash of the signer's id and public key: GB/T 32918.2, 5.5 and 6.1.
func (p sm2Pair) digest(a SigningAlgorithm, t MessageType, message []byte) ([]byte, error) {
	switch {
	case a != SM2DSA:
		return nil, ErrAlgorithm
	case t == Digest:
		return message, nil
	}
	return sm2.CalculateSM2Hash(p.public(), message, distinguishingID)
}

func (p sm2Pair) encrypt(a EncryptionAlgorithm, plaintext []byte) ([]byte, error) {
	switch {
	case a != SM2PKE:
		return nil, ErrAlgorithm
	case len(plaintext) > maxSM2Plaintext:
		return nil, ErrPlaintextSize
	}
	return sm2.EncryptASN1(rand.Reader, p.public(), plaintext)
}

func (p sm2Pair) decrypt(a EncryptionAlgorithm, ciphertext []byte) ([]byte, error) {
	if a != SM2PKE {
		return nil, ErrAlgorithm
	}
	plaintext, err := p.key.Decrypt(nil, ciphertext, sm2.ASN1DecrypterOpts)
	if err != nil {
		return nil, ErrCiphertext
	}
	return plaintext, nil
}

func (p sm2Pair) agree(peer []byte) ([]byte, error) {
	point, ok := parsePoint(oidSM2, peer)
	if !ok {
		return nil, ErrPublicKey
	}
	theirs, err := ecdh.P256().NewPublicKey(point)
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
