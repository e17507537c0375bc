// Package keycrypt turns key material, an algorithm and a context into bytes. It is pure: it keeps nothing,
// reads nothing but the system's random source, and knows of no key but the one it is given.
//
// Its cryptography is the standard library's wherever that has the algorithm, so that a FIPS 140-3 build is a build flag;
// ML-DSA, ML-KEM-512, secp256k1 and SM2 are of modules that are kept.
// docs/formats/ciphertext.md describes every byte it writes.
//
//   - spec.go      the kinds of key: making and importing their material
//   - encrypt.go   symmetric encryption, in the form of blob.go; mac.go
//   - pair.go, der.go   what a key pair is, and how it is written
//   - sign.go, publicencrypt.go   what key pairs do; rsa.go, ecdsa.go, … how each kind does it
package keycrypt

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
)

// Sizes of key material, in bytes. Those of HMAC keys are the output of their hash function, as AWS KMS has them.
const (
	SizeSymmetric = 32
	SizeHMAC224   = 28
	SizeHMAC256   = 32
	SizeHMAC384   = 48
	SizeHMAC512   = 64
)

// Material is the secret of a key, with its id. It can be used by many goroutines. However it is printed, the secret is
// not, even where fmt cannot call Format: in an unexported field of another struct.
type Material struct {
	id     [IDSize]byte
	idHex  string
	secret func() []byte // a function because fmt and encoders look into everything else, pointers too
	macs   *sync.Pool    // of HMACs under the secret, for expand
	pair   func() (keyPair, error)
}

// IDSize is the size of a material's id in bytes. As text it is twice as long.
const IDSize = sha256.Size

// New is the material of the key with this id whose secret is given: what Secret returned of it once. The secret is copied.
// That of an asymmetric key is its PKCS #8, which is read when the material is used first.
func New(keyID string, value []byte) *Material {
	id := materialID(keyID, value)
	value = bytes.Clone(value)
	return &Material{
		id: id, idHex: hex.EncodeToString(id[:]),
		secret: func() []byte { return value },
		macs:   new(sync.Pool),
		pair:   sync.OnceValues(func() (keyPair, error) { return parsePair(value) }),
	}
}

// Generate makes new material of size bytes for the key with this id.
func Generate(keyID string, size int) *Material {
	value := make([]byte, size)
	rand.Read(value) // never fails; the program ends if the system has no randomness
	return New(keyID, value)
}

// ID is the material's id: 64 hexadecimal digits, KeyMaterialId in the API.
func (m *Material) ID() string { return m.idHex }

// Secret is a copy of the secret itself. It is for wrapping, and for nothing else.
func (m *Material) Secret() []byte { return bytes.Clone(m.secret()) }

// Format implements fmt.Formatter: whatever the verb, the secret is not shown.
func (m *Material) Format(f fmt.State, _ rune) {
	if m == nil {
		io.WriteString(f, "key material <nil>")
		return
	}
	io.WriteString(f, "key material "+m.idHex)
}

// MaterialID is the id of a secret as a key's material, 64 hexadecimal digits.
//
// It is a hash of both, so that the same secret imported again into the same key is recognised, and so that a
// ciphertext, which names the id, commits to the secret. It tells nothing of a secret that was chosen at random.
func MaterialID(keyID string, value []byte) string {
	id := materialID(keyID, value)
	return hex.EncodeToString(id[:])
}

func materialID(keyID string, value []byte) [IDSize]byte {
	const label = "vigil key material id v1"
	buf := make([]byte, 0, len(label)+4+len(keyID)+len(value))
	buf = append(buf, label...)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(keyID)))
	buf = append(buf, keyID...)
	buf = append(buf, value...)
	sum := sha256.Sum256(buf)
	clear(buf) // it held the secret
	return sum
}

// Random is n bytes of the system's randomness.
func Random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
