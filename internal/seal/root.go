package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

const (
	keySize      = 32 // AES-256
	gcmOverhead  = 28 // the nonce before the ciphertext and the tag after it
	blobVersion1 = 1
)

// Root is the unwrapped root of a database.
type Root struct {
	key hidden[[]byte]
}

func newRoot(key []byte) *Root { return &Root{hide(key)} }

// For returns what wraps the secrets of one purpose, such as "kms" or "identity". Keys of different purposes have nothing to
// do with each other. The name of a purpose is part of the format and never changes.
//
// The key is HKDF-SHA256 (RFC 5869) of the root, without salt, with the info "vigil/seal/v1/" and the purpose.
func (r *Root) For(purpose string) *Wrapper {
	return &Wrapper{newAEAD(r.key(), "vigil/seal/v1/"+purpose)}
}

// Wrapper encrypts secrets for the database. It may be used by many goroutines. At most 2^32 secrets may be wrapped for
// one purpose, as nonces are random (NIST SP 800-38D, section 8.3).
type Wrapper struct {
	aead hidden[cipher.AEAD]
}

// Wrap encrypts plaintext and binds it to context, which says what the secret is of, such as the id of a row: without the same
// context it cannot be unwrapped. The context is not in the blob. A blob is
//
//	byte  0       1, the version of the form
//	bytes 1-12    a random nonce
//	bytes 13-     the plaintext, encrypted by AES-256-GCM under the purpose's key, and the tag of 16 bytes
//
// with the version byte and the context, one after the other, as additional authenticated data.
func (w *Wrapper) Wrap(plaintext, context []byte) ([]byte, error) {
	blob := make([]byte, 1, 1+gcmOverhead+len(plaintext))
	blob[0] = blobVersion1
	return w.aead().Seal(blob, nil, plaintext, additionalData(blobVersion1, context)), nil
}

// Unwrap returns the plaintext that was wrapped with the same context. Any other blob is refused.
func (w *Wrapper) Unwrap(blob, context []byte) ([]byte, error) {
	if len(blob) < 1+gcmOverhead {
		return nil, errors.New("seal: a wrapped secret is too short")
	}
	if blob[0] != blobVersion1 {
		return nil, fmt.Errorf("seal: a wrapped secret has form %d, which this version of Vigil does not know", blob[0])
	}
	plaintext, err := w.aead().Open(nil, nil, blob[1:], additionalData(blobVersion1, context))
	if err != nil {
		return nil, errors.New("seal: a wrapped secret is damaged, or belongs somewhere else")
	}
	return plaintext, nil
}

func additionalData(version byte, context []byte) []byte {
	return append([]byte{version}, context...)
}

// newAEAD is AES-256-GCM, with nonces that it draws and prepends itself, under a key derived from key for the use info.
func newAEAD(key []byte, info string) hidden[cipher.AEAD] {
	derived, err := hkdf.Key(sha256.New, key, nil, info, keySize)
	if err != nil {
		panic("seal: " + err.Error()) // only for a length that SHA-256 cannot give
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		panic("seal: " + err.Error()) // only for a key of wrong length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal: " + err.Error()) // only for a block that is not of AES
	}
	return hide(aead)
}

// hidden keeps a value from being printed. A method of its type would not: fmt asks no methods of what is in an unexported
// field of something else, and follows pointers there when a verb does not fit. It never looks into a function.
type hidden[T any] func() T

func hide[T any](v T) hidden[T] { return func() T { return v } }
