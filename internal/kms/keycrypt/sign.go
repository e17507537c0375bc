package keycrypt

import (
	"crypto"
	"errors"
)

// SigningAlgorithm is a way to sign, by AWS's name.
type SigningAlgorithm string

// The ways to sign. PSS has a salt as long as its hash, and signatures of elliptic curves are in DER.
const (
	PKCS1SHA256   SigningAlgorithm = "RSASSA_PKCS1_V1_5_SHA_256" // RFC 8017, 8.2
	PKCS1SHA384   SigningAlgorithm = "RSASSA_PKCS1_V1_5_SHA_384"
	PKCS1SHA512   SigningAlgorithm = "RSASSA_PKCS1_V1_5_SHA_512"
	PSSSHA256     SigningAlgorithm = "RSASSA_PSS_SHA_256" // RFC 8017, 8.1
	PSSSHA384     SigningAlgorithm = "RSASSA_PSS_SHA_384"
	PSSSHA512     SigningAlgorithm = "RSASSA_PSS_SHA_512"
	ECDSASHA256   SigningAlgorithm = "ECDSA_SHA_256" // FIPS 186-5, 6
	ECDSASHA384   SigningAlgorithm = "ECDSA_SHA_384"
	ECDSASHA512   SigningAlgorithm = "ECDSA_SHA_512"
	Ed25519       SigningAlgorithm = "ED25519_SHA_512"    // FIPS 186-5, 7.6
	Ed25519ph     SigningAlgorithm = "ED25519_PH_SHA_512" // FIPS 186-5, 7.8, of a hash: see ed25519.go
	MLDSAShake256 SigningAlgorithm = "ML_DSA_SHAKE_256"   // FIPS 204, 5.2, hedged, with an empty context
	SM2DSA        SigningAlgorithm = "SM2DSA"             // GB/T 32918.2
)

// MessageType says what there is to sign.
type MessageType string

const (
	Raw        MessageType = "RAW"         // the message
	Digest     MessageType = "DIGEST"      // its hash, made by the caller
	ExternalMu MessageType = "EXTERNAL_MU" // μ of FIPS 204, 6.2, step 6, made by the caller
)

// The errors of SigningAlgorithm.Check, and so of Sign and Verify too.
var (
	ErrMessageType = errors.New("keycrypt: the algorithm does not sign this type of message")
	ErrMessageSize = errors.New("keycrypt: the message has not the size of its type")
)

// scheme is what an algorithm signs: the types of message, each with the one size in bytes that it may have, or 0 for any.
type scheme struct {
	takes map[MessageType]int
	hash  crypto.Hash // of a Raw message; 0 where the algorithm itself hashes
}

var schemes = func() map[SigningAlgorithm]scheme {
	hashed := func(hash crypto.Hash) scheme {
		return scheme{map[MessageType]int{Raw: 0, Digest: hash.Size()}, hash}
	}
	return map[SigningAlgorithm]scheme{
		PKCS1SHA256:   hashed(crypto.SHA256),
		PKCS1SHA384:   hashed(crypto.SHA384),
		PKCS1SHA512:   hashed(crypto.SHA512),
		PSSSHA256:     hashed(crypto.SHA256),
		PSSSHA384:     hashed(crypto.SHA384),
		PSSSHA512:     hashed(crypto.SHA512),
		ECDSASHA256:   hashed(crypto.SHA256),
		ECDSASHA384:   hashed(crypto.SHA384),
		ECDSASHA512:   hashed(crypto.SHA512),
		Ed25519:       {takes: map[MessageType]int{Raw: 0}},
		Ed25519ph:     {takes: map[MessageType]int{Digest: crypto.SHA512.Size()}},
		MLDSAShake256: {takes: map[MessageType]int{Raw: 0, ExternalMu: 64}},
		SM2DSA:        {takes: map[MessageType]int{Raw: 0, Digest: 32}}, // of SM3
	}
}()

// Check says whether the algorithm signs such a message. Its error is ErrAlgorithm, ErrMessageType or ErrMessageSize.
func (a SigningAlgorithm) Check(t MessageType, message []byte) error {
	s, ok := schemes[a]
	if !ok {
		return ErrAlgorithm
	}
	size, ok := s.takes[t]
	switch {
	case !ok:
		return ErrMessageType
	case size != 0 && len(message) != size:
		return ErrMessageSize
	}
	return nil
}

// Sign signs a message.
func (m *Material) Sign(a SigningAlgorithm, t MessageType, message []byte) ([]byte, error) {
	if err := a.Check(t, message); err != nil {
		return nil, err
	}
	pair, err := as[signer](m)
	if err != nil {
		return nil, err
	}
	return pair.sign(a, t, message)
}

// Verify reports whether the signature is one of the message by this key. An error says that it could not be asked.
func (m *Material) Verify(a SigningAlgorithm, t MessageType, message, signature []byte) (bool, error) {
	if err := a.Check(t, message); err != nil {
		return false, err
	}
	pair, err := as[signer](m)
	if err != nil {
		return false, err
	}
	return pair.verify(a, t, message, signature)
}

// digest is the hash that an algorithm signs, of a message that Check has accepted. The error is ErrAlgorithm when it is
// one that hashes by itself.
func (a SigningAlgorithm) digest(t MessageType, message []byte) (hash crypto.Hash, digest []byte, err error) {
	hash = schemes[a].hash
	switch {
	case hash == 0:
		return 0, nil, ErrAlgorithm
	case t == Digest:
		return hash, message, nil
	}
	h := hash.New()
	h.Write(message)
	return hash, h.Sum(nil), nil
}
