package keycrypt

import (
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// secp256k1Pair is a pair on the curve of SEC 2, 2.4.1. Its signatures are deterministic (RFC 6979), and s is in the
// lower half, as who checks transactions demands; others' signatures may have either s.
type secp256k1Pair struct {
	key    *secp256k1.PrivateKey
	public *secp256k1.PublicKey
}

func generateSecp256k1() (keyPair, error) {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	return secp256k1Pair{key, key.PubKey()}, nil
}

// newSecp256k1 is the pair of a scalar of 32 bytes.
func newSecp256k1(scalar []byte) (keyPair, error) {
	var s secp256k1.ModNScalar
	if overflow := s.SetByteSlice(scalar); overflow || s.IsZero() {
		return nil, errPKCS8
	}
	key := secp256k1.NewPrivateKey(&s)
	return secp256k1Pair{key, key.PubKey()}, nil
}

func (p secp256k1Pair) spec() Spec { return P256K1 }

func (p secp256k1Pair) privateKey() ([]byte, error) {
	scalar := p.key.Serialize()
	defer clear(scalar)
	return marshalScalar(oidSecp256k1, scalar, p.public.SerializeUncompressed())
}

func (p secp256k1Pair) publicKey() ([]byte, error) {
	return marshalPoint(oidSecp256k1, p.public.SerializeUncompressed())
}

func (p secp256k1Pair) sign(a SigningAlgorithm, t MessageType, message []byte) ([]byte, error) {
	if a != ECDSASHA256 {
		return nil, ErrAlgorithm
	}
	_, digest, err := a.digest(t, message)
	if err != nil {
		return nil, err
	}
	return ecdsa.Sign(p.key, digest).Serialize(), nil
}

func (p secp256k1Pair) verify(a SigningAlgorithm, t MessageType, message, signature []byte) (bool, error) {
	if a != ECDSASHA256 {
		return false, ErrAlgorithm
	}
	parsed, err := ecdsa.ParseDERSignature(signature)
	if err != nil {
		return false, nil
	}
	_, digest, err := a.digest(t, message)
	if err != nil {
		return false, err
	}
	return parsed.Verify(digest, p.public), nil
}
