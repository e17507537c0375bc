package keycrypt

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math"
)

// ErrWrapped is the one error of UnwrapKey: the bytes are not a key that was wrapped under this one.
var ErrWrapped = errors.New("keycrypt: invalid wrapped key")

// The alternative initial value of RFC 5649, section 3: these four bytes and then the length of the plaintext.
const wrapIV = "\xa6\x59\x59\xa6"

const semiblock = 8 // bytes

// WrapKey encrypts a key of any length from 1 byte on under an AES key of 16, 24 or 32 bytes: AES Key Wrap with Padding,
// RFC 5649, which is KWP-AE of NIST SP 800-38F.
func WrapKey(kek, key []byte) ([]byte, error) {
	if len(key) == 0 || uint64(len(key)) > math.MaxUint32 {
		return nil, errors.New("keycrypt: a key of this length cannot be wrapped")
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	padded := (len(key) + semiblock - 1) / semiblock * semiblock
	out := make([]byte, semiblock+padded)
	copy(out, wrapIV)
	binary.BigEndian.PutUint32(out[4:], uint32(len(key)))
	copy(out[semiblock:], key)
	if padded == semiblock { // section 4.1: one semiblock is one block of AES together with the initial value
		block.Encrypt(out, out)
		return out, nil
	}
	var b [2 * semiblock]byte // A | R[i] of RFC 3394, section 2.2.1
	defer clear(b[:])
	copy(b[:semiblock], out)
	n := padded / semiblock
	for j := range 6 {
		for i := 1; i <= n; i++ {
			r := out[i*semiblock:][:semiblock]
			copy(b[semiblock:], r)
			block.Encrypt(b[:], b[:])
			xorCounter(b[:semiblock], uint64(n*j+i))
			copy(r, b[semiblock:])
		}
	}
	copy(out, b[:semiblock])
	return out, nil
}

// UnwrapKey decrypts what WrapKey made under the same AES key. Its error is ErrWrapped, whatever is wrong.
func UnwrapKey(kek, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil || len(wrapped) < 2*semiblock || len(wrapped)%semiblock != 0 {
		return nil, ErrWrapped
	}
	out := make([]byte, len(wrapped))
	n := len(wrapped)/semiblock - 1
	if n == 1 {
		block.Decrypt(out, wrapped)
	} else {
		copy(out, wrapped)
		var b [2 * semiblock]byte
		defer clear(b[:])
		copy(b[:semiblock], out)
		for j := 5; j >= 0; j-- {
			for i := n; i >= 1; i-- {
				r := out[i*semiblock:][:semiblock]
				xorCounter(b[:semiblock], uint64(n*j+i))
				copy(b[semiblock:], r)
				block.Decrypt(b[:], b[:])
				copy(r, b[semiblock:])
			}
		}
		copy(out, b[:semiblock])
	}
	return unpad(out)
}

// unpad checks the initial value and the padding, all of it, before it says whether they are right: section 3.
func unpad(out []byte) ([]byte, error) {
	key := out[semiblock:]
	size := uint64(binary.BigEndian.Uint32(out[4:]))
	good := subtle.ConstantTimeCompare(out[:4], []byte(wrapIV))
	if size == 0 || size > uint64(len(key)) || size+semiblock <= uint64(len(key)) {
		good, size = 0, uint64(len(key))
	}
	var padding byte
	for _, b := range key[size:] {
		padding |= b
	}
	if good&subtle.ConstantTimeByteEq(padding, 0) != 1 {
		clear(out)
		return nil, ErrWrapped
	}
	return key[:size:size], nil
}

// xorCounter is A ^ t of RFC 3394.
func xorCounter(a []byte, t uint64) { binary.BigEndian.PutUint64(a, binary.BigEndian.Uint64(a)^t) }
