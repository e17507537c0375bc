package keycrypt

import (
	"encoding/binary"
	"encoding/hex"
)

// Layout of a ciphertext blob of version 2, which a key in an external key store makes: what this package has sealed
// is encrypted once more by a key outside, and both are needed to decrypt.
//
//	magic    2 bytes  "VG"
//	version  1 byte   2
//	arn len  2 bytes  big-endian, 1 to MaxKeyARN
//	key ARN  arn len bytes
//	material 32 bytes the id of the material of the inner layer
//	iv       1 byte its length, 1 to 255, and the initialization vector of the outer layer
//	tag      1 byte its length, 1 to 255, and the authentication tag of the outer layer
//	metadata 1 byte its length, and what the outer layer's maker wants to see again
//	outer    the ciphertext: under it are the salt, nonce, sealed of a blob of version 1
//
// The inner layer authenticates the ARN, the material's id and the encryption context, in the form in which a blob of
// version 1 does.
const version2 = 2

// Outer is what an external key has made of an inner layer.
type Outer struct{ Ciphertext, IV, Tag, Metadata []byte }

// Inner is what an external key is to encrypt: a blob, as Encrypt makes it, without what the outer blob says again.
func Inner(blob []byte) ([]byte, error) {
	p, ok := parse(blob)
	if !ok {
		return nil, ErrCiphertext
	}
	return blob[len(p.header)-saltSize:], nil
}

// Wrapped is the blob of version 2 for a blob whose Inner the external key has encrypted. Each part but the ciphertext is
// at most 255 bytes long, and only the metadata may be empty.
func Wrapped(blob []byte, outer Outer) ([]byte, error) {
	p, ok := parse(blob)
	if !ok || !shortPart(outer.IV) || !shortPart(outer.Tag) || len(outer.Metadata) > 255 || len(outer.Ciphertext) == 0 {
		return nil, ErrCiphertext
	}
	head := len(p.header) - saltSize
	dst := make([]byte, 0, head+3+len(outer.IV)+len(outer.Tag)+len(outer.Metadata)+len(outer.Ciphertext))
	dst = append(dst, p.header[:head]...)
	dst[len(magic)] = version2
	for _, part := range [][]byte{outer.IV, outer.Tag, outer.Metadata} {
		dst = append(dst, byte(len(part)))
		dst = append(dst, part...)
	}
	return append(dst, outer.Ciphertext...), nil
}

func shortPart(part []byte) bool { return len(part) >= 1 && len(part) <= 255 }

// Unwrap takes a blob of version 2 apart: what the external key is to decrypt, which shares the blob's memory, and how the
// blob of version 1 comes back when it has. That is for Decrypt, which tells whether it is true.
func Unwrap(blob []byte) (outer Outer, rebuild func(inner []byte) []byte, err error) {
	head, rest, ok := cutHead(blob, version2)
	if !ok {
		return Outer{}, nil, ErrCiphertext
	}
	for _, part := range []*[]byte{&outer.IV, &outer.Tag, &outer.Metadata} {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return Outer{}, nil, ErrCiphertext
		}
		*part, rest = rest[1:1+int(rest[0])], rest[1+int(rest[0]):]
	}
	if outer.Ciphertext = rest; len(rest) == 0 || len(outer.IV) == 0 || len(outer.Tag) == 0 {
		return Outer{}, nil, ErrCiphertext
	}
	return outer, func(inner []byte) []byte {
		dst := make([]byte, 0, len(head)+len(inner))
		dst = append(dst, head...)
		dst[len(magic)] = version1
		return append(dst, inner...)
	}, nil
}

// cutHead splits a blob after the id of the material.
func cutHead(blob []byte, version byte) (head, rest []byte, ok bool) {
	if len(blob) < prefixSize || string(blob[:len(magic)]) != magic || blob[len(magic)] != version {
		return nil, nil, false
	}
	arnSize := int(binary.BigEndian.Uint16(blob[prefixSize-2:]))
	end := prefixSize + arnSize + IDSize
	if arnSize < 1 || arnSize > MaxKeyARN || len(blob) < end {
		return nil, nil, false
	}
	return blob[:end], blob[end:], true
}

// wrappedHeader is the header of a blob of version 2.
func wrappedHeader(blob []byte) (Header, error) {
	if _, _, err := Unwrap(blob); err != nil {
		return Header{}, err
	}
	head, _, _ := cutHead(blob, version2)
	id := len(head) - IDSize
	return Header{KeyARN: string(head[prefixSize:id]), MaterialID: hex.EncodeToString(head[id:])}, nil
}
