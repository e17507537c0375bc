package keycrypt

import "errors"

// EncryptionAlgorithm is a way to encrypt with a public key, by AWS's name.
type EncryptionAlgorithm string

// The ways to encrypt with a public key.
const (
	OAEPSHA1   EncryptionAlgorithm = "RSAES_OAEP_SHA_1" // RFC 8017, 7.1; MGF1 with the same hash, no label
	OAEPSHA256 EncryptionAlgorithm = "RSAES_OAEP_SHA_256"
	SM2PKE     EncryptionAlgorithm = "SM2PKE" // GB/T 32918.4, the ciphertext in ASN.1 as GM/T 0009 has it
)

// ErrPlaintextSize is the error of EncryptPublic for a plaintext that is longer than the algorithm and the key allow.
var ErrPlaintextSize = errors.New("keycrypt: the plaintext is too long")

// maxSM2Plaintext is AWS KMS's limit, in bytes. The algorithm has none.
const maxSM2Plaintext = 1024

// MaxPlaintext is the size in bytes of the longest plaintext that the algorithm encrypts with a key of this kind, or 0
// if it does not fit the kind.
func (a EncryptionAlgorithm) MaxPlaintext(spec Spec) int {
	size := map[Spec]int{RSA2048: 256, RSA3072: 384, RSA4096: 512}[spec]
	switch {
	case a == SM2PKE && spec == SM2:
		return maxSM2Plaintext
	case a == OAEPSHA1 && size > 0:
		return size - 2*20 - 2
	case a == OAEPSHA256 && size > 0:
		return size - 2*32 - 2
	}
	return 0
}

// EncryptPublic encrypts with the public key. The ciphertext has no form of Vigil's: whoever has the public key can make
// such a one. It does not tell its key, and there is no encryption context.
func (m *Material) EncryptPublic(a EncryptionAlgorithm, plaintext []byte) ([]byte, error) {
	pair, err := as[decrypter](m)
	if err != nil {
		return nil, err
	}
	return pair.encrypt(a, plaintext)
}

// DecryptPrivate decrypts with the private key. Whatever is wrong with the ciphertext, the error is ErrCiphertext.
func (m *Material) DecryptPrivate(a EncryptionAlgorithm, ciphertext []byte) ([]byte, error) {
	pair, err := as[decrypter](m)
	if err != nil {
		return nil, err
	}
	return pair.decrypt(a, ciphertext)
}
