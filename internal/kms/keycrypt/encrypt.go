package keycrypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
)

// Encrypt makes a ciphertext blob of the plaintext that names the key and this material, and that only decrypts with
// the same context. The plaintext may be empty. The material must be SizeSymmetric bytes.
func (m *Material) Encrypt(keyARN string, plaintext []byte, context map[string]string) ([]byte, error) {
	if len(keyARN) == 0 || len(keyARN) > MaxKeyARN {
		return nil, fmt.Errorf("keycrypt: a key ARN of %d bytes", len(keyARN))
	}
	blob := make([]byte, 0, len(keyARN)+len(plaintext)+Overhead)
	blob = appendHeader(blob, keyARN, &m.id)
	salt := blob[len(blob)-saltSize:]
	rand.Read(salt)
	aead, err := m.messageKey(salt)
	if err != nil {
		return nil, err
	}
	return aead.Seal(blob, nil, plaintext, associatedData(blob, context)), nil
}

// Decrypt returns the plaintext of a blob that was made with this material and context, whichever ARN the key had then.
// Any other blob is refused with ErrCiphertext.
func (m *Material) Decrypt(blob []byte, context map[string]string) ([]byte, error) {
	p, ok := parse(blob)
	if !ok || subtle.ConstantTimeCompare(p.id, m.id[:]) == 0 {
		return nil, ErrCiphertext
	}
	aead, err := m.messageKey(p.salt)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, nil, p.sealed, associatedData(p.header, context))
	if err != nil {
		return nil, ErrCiphertext
	}
	return plaintext, nil
}

// errNotSymmetric is an error of the program: a key of another kind does not encrypt.
var errNotSymmetric = errors.New("keycrypt: the material is not a symmetric encryption key's")

// messageKey is AES-256-GCM under the key of one message. Each message has its own because random 96-bit nonces under
// one key are safe for some 2^32 messages only (NIST SP 800-38D, 8.3), which a busy key passes in days. The material is
// uniformly random, so HKDF's Extract would add nothing (RFC 5869, 3.3).
func (m *Material) messageKey(salt []byte) (cipher.AEAD, error) {
	secret := m.secret()
	if len(secret) != SizeSymmetric {
		return nil, errNotSymmetric
	}
	const label = "vigil message key v1"
	var info, key [64]byte
	block, err := aes.NewCipher(m.expand(key[:0], append(append(info[:0], label...), salt...)))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// expand appends HKDF-Expand of the secret, with SHA-256, of one block, which is its HMAC of info and a 1 (RFC 5869, 2.3). An HMAC that is keyed
// once and used again saves a third of it.
func (m *Material) expand(dst, info []byte) []byte {
	mac, ok := m.macs.Get().(hash.Hash)
	if !ok {
		mac = hmac.New(sha256.New, m.secret())
	}
	defer m.macs.Put(mac)
	mac.Reset()
	mac.Write(info)
	mac.Write([]byte{1})
	return mac.Sum(dst)
}

// associatedData is what is authenticated besides the plaintext: the header, and the encryption context as the number
// of its pairs and then each pair in the order of its keys' bytes, every key and value preceded by its length. All
// numbers are four bytes, big-endian. No context and an empty one are the same.
func associatedData(header []byte, context map[string]string) []byte {
	size := len(header) + 4
	for key, value := range context {
		size += 8 + len(key) + len(value)
	}
	dst := make([]byte, 0, size)
	dst = append(dst, header...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(context)))
	if len(context) == 0 {
		return dst
	}
	keys := make([]string, 0, len(context))
	for key := range context {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		dst = appendSized(dst, key)
		dst = appendSized(dst, context[key])
	}
	return dst
}

func appendSized(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(s)))
	return append(dst, s...)
}
