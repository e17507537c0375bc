package keycrypt

import (
	"crypto"
	"crypto/hmac"
	_ "crypto/sha256" // SHA-224 and SHA-256 for crypto.Hash
	_ "crypto/sha512" // SHA-384 and SHA-512
)

// MAC is the HMAC (RFC 2104) of the message under the material, in full length. The hash is SHA-224, SHA-256, SHA-384
// or SHA-512.
func (m *Material) MAC(hash crypto.Hash, message []byte) []byte {
	h := hmac.New(hash.New, m.secret())
	h.Write(message)
	return h.Sum(nil)
}

// VerifyMAC reports whether mac is the message's HMAC, in time that does not depend on where they differ.
// A shortened MAC is not accepted.
func (m *Material) VerifyMAC(hash crypto.Hash, message, mac []byte) bool {
	return hmac.Equal(m.MAC(hash, message), mac)
}
