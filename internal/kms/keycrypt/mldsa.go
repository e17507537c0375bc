package keycrypt

import (
	"encoding/asn1"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
)

// mldsaPair is a pair of FIPS 204. Its private key is its seed.
type mldsaPair struct {
	kind   Spec
	key    *mldsa.PrivateKey
	public *mldsa.PublicKey
}

var mldsaKinds = map[Spec]struct {
	parameters mldsa.Parameters
	oid        asn1.ObjectIdentifier
}{
	MLDSA44: {mldsa.MLDSA44(), oidMLDSA44},
	MLDSA65: {mldsa.MLDSA65(), oidMLDSA65},
	MLDSA87: {mldsa.MLDSA87(), oidMLDSA87},
}

func generateMLDSA(spec Spec) (keyPair, error) { return newMLDSA(spec, Random(mldsa.PrivateKeySize)) }

func newMLDSA(spec Spec, seed []byte) (keyPair, error) {
	key, err := mldsa.NewPrivateKey(mldsaKinds[spec].parameters, seed)
	if err != nil {
		return nil, errPKCS8
	}
	return mldsaPair{spec, key, key.PublicKey()}, nil
}

func (p mldsaPair) spec() Spec { return p.kind }

func (p mldsaPair) privateKey() ([]byte, error) {
	return marshalSeed(mldsaKinds[p.kind].oid, p.key.Bytes())
}

func (p mldsaPair) publicKey() ([]byte, error) {
	return marshalPublic(mldsaKinds[p.kind].oid, p.public.Bytes())
}

func (p mldsaPair) sign(a SigningAlgorithm, t MessageType, message []byte) ([]byte, error) {
	switch {
	case a != MLDSAShake256:
		return nil, ErrAlgorithm
	case t == ExternalMu:
		return p.key.Sign(nil, message, mldsacrypto.MLDSAMu)
	}
	return p.key.Sign(nil, message, nil)
}

func (p mldsaPair) verify(a SigningAlgorithm, t MessageType, message, signature []byte) (bool, error) {
	switch {
	case a != MLDSAShake256:
		return false, ErrAlgorithm
	case t == ExternalMu:
		return verifyMu(p.kind, p.public.Bytes(), message, signature), nil
	}
	return mldsa.Verify(p.public, message, signature, nil) == nil, nil
}
