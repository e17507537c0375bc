package attestation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"math/big"

	"github.com/fxamacker/cbor/v2"
)

const (
	tagSign1   = 0xd2 // CBOR's head of tag 18, which may stand before a COSE_Sign1
	es384      = -35  // ECDSA with SHA-384, in the IANA registry of COSE algorithms
	labelAlg   = 1
	maxPayload = 16384
	half       = 48 // bytes of each of the two numbers of an ES384 signature
)

// signed is a COSE_Sign1.
type signed struct {
	protected, payload, signature []byte
}

func parseSigned(document []byte) (*signed, error) {
	if len(document) > 0 && document[0] == tagSign1 {
		document = document[1:]
	}
	var message struct {
		_           struct{} `cbor:",toarray"`
		Protected   cbor.ByteString
		Unprotected map[int64]cbor.RawMessage
		Payload     cbor.ByteString
		Signature   cbor.ByteString
	}
	if err := strict.Unmarshal(document, &message); err != nil {
		return nil, malformed("it is not a COSE_Sign1")
	}
	s := &signed{message.Protected.Bytes(), message.Payload.Bytes(), message.Signature.Bytes()}
	var header map[int64]int64
	if err := strict.Unmarshal(s.protected, &header); err != nil || len(header) != 1 || header[labelAlg] != es384 {
		return nil, malformed("its algorithm is not ES384")
	}
	switch {
	case len(message.Unprotected) != 0:
		return nil, malformed("it has an unprotected header")
	case len(s.payload) == 0 || len(s.payload) > maxPayload:
		return nil, malformed("its payload is not of 1 to %d bytes", maxPayload)
	case len(s.signature) != 2*half:
		return nil, malformed("its signature is not of %d bytes", 2*half)
	}
	return s, nil
}

// verify checks the signature over what RFC 9052 section 4.4 calls the Sig_structure.
func (s *signed) verify(signer *x509.Certificate) error {
	key, ok := signer.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() {
		return untrusted("its certificate is not for a key of the curve P-384")
	}
	structure, err := cbor.Marshal([]any{"Signature1", s.protected, []byte{}, s.payload})
	if err != nil {
		return err
	}
	digest := sha512.Sum384(structure)
	first, second := new(big.Int).SetBytes(s.signature[:half]), new(big.Int).SetBytes(s.signature[half:])
	if !ecdsa.Verify(key, digest[:], first, second) {
		return untrusted("it was not signed by the key of its certificate")
	}
	return nil
}
