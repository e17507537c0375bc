package keycrypt

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// Layout of a ciphertext blob of version 1; docs/formats/ciphertext.md says why each part is there.
//
//	magic    2 bytes  "VG"
//	version  1 byte   1
//	arn len  2 bytes  big-endian, 1 to MaxKeyARN
//	key ARN  arn len bytes
//	material 32 bytes the material's id
//	salt     16 bytes
//	nonce    12 bytes
//	sealed   the plaintext, encrypted, and a 16-byte tag
const (
	magic    = "VG"
	version1 = 1

	prefixSize = len(magic) + 1 + 2
	saltSize   = 16
	nonceSize  = 12
	tagSize    = 16
)

const (
	// MaxKeyARN is the length in bytes of the longest key ARN that a blob can name.
	MaxKeyARN = 512
	// Overhead is how many bytes a blob is longer than its plaintext and the key's ARN together.
	Overhead = prefixSize + IDSize + saltSize + nonceSize + tagSize
)

// ErrCiphertext is the one error of ParseBlob and Decrypt: the bytes are not a ciphertext of this material and context.
// It does not say why, as whoever tampers with a ciphertext must not learn how far they got.
var ErrCiphertext = errors.New("keycrypt: invalid ciphertext")

// Header is what a blob says of itself before anything of it has been authenticated.
type Header struct {
	KeyARN     string // the key that encrypted it
	MaterialID string // and which of the key's materials, 64 hexadecimal digits
}

// ParseBlob reads a blob's header, of version 1 or 2. It tells which key to decrypt with; only Decrypt tells that it is true.
func ParseBlob(blob []byte) (Header, error) {
	p, ok := parse(blob)
	if !ok && len(blob) > len(magic) && blob[len(magic)] == version2 {
		return wrappedHeader(blob)
	}
	if !ok {
		return Header{}, ErrCiphertext
	}
	return Header{KeyARN: string(p.keyARN), MaterialID: hex.EncodeToString(p.id)}, nil
}

// parts are slices of a blob.
type parts struct {
	header []byte // all that is authenticated though it is in the clear: up to and with the salt
	keyARN []byte
	id     []byte
	salt   []byte
	sealed []byte // nonce, ciphertext, tag
}

func parse(blob []byte) (parts, bool) {
	if len(blob) < prefixSize || string(blob[:len(magic)]) != magic || blob[len(magic)] != version1 {
		return parts{}, false
	}
	arnSize := int(binary.BigEndian.Uint16(blob[prefixSize-2:]))
	if arnSize < 1 || arnSize > MaxKeyARN || len(blob) < arnSize+Overhead {
		return parts{}, false
	}
	id := prefixSize + arnSize
	salt := id + IDSize
	end := salt + saltSize
	return parts{
		header: blob[:end],
		keyARN: blob[prefixSize:id],
		id:     blob[id:salt],
		salt:   blob[salt:end],
		sealed: blob[end:],
	}, true
}

// appendHeader appends a header for the key and material to dst, with a salt of zeros for the caller to fill.
func appendHeader(dst []byte, keyARN string, id *[IDSize]byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, version1)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(keyARN)))
	dst = append(dst, keyARN...)
	dst = append(dst, id[:]...)
	return append(dst, make([]byte, saltSize)...)
}
