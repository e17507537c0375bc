package keycrypt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
)

// The algorithms and curves that the standard library's x509 does not write.
var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}          // RFC 5480, 2.1.1
	oidSecp256k1   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}                // SEC 2, A.2.1
	oidSM2         = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}        // GM/T 0006: sm2p256v1
	oidMLDSA44     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17} // RFC 9881, 2
	oidMLDSA65     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}
	oidMLDSA87     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19}
	oidMLKEM512    = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 1} // RFC 9935, 3
	oidMLKEM768    = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2}
	oidMLKEM1024   = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 3}
)

// seedKinds are the kinds whose private key is a seed.
var seedKinds = map[string]Spec{
	oidMLDSA44.String(): MLDSA44, oidMLDSA65.String(): MLDSA65, oidMLDSA87.String(): MLDSA87,
	oidMLKEM512.String(): MLKEM512, oidMLKEM768.String(): MLKEM768, oidMLKEM1024.String(): MLKEM1024,
}

// pkcs8 is OneAsymmetricKey of RFC 5958, 2, without the attributes and the public key that may follow.
type pkcs8 struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	PrivateKey []byte
}

// ecPrivateKey is ECPrivateKey of RFC 5915, 3.
type ecPrivateKey struct {
	Version    int
	PrivateKey []byte
	Curve      asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	PublicKey  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

// spki is SubjectPublicKeyInfo of RFC 5280, 4.1.
type spki struct {
	Algorithm pkix.AlgorithmIdentifier
	PublicKey asn1.BitString
}

var errPKCS8 = errors.New("keycrypt: not the PKCS #8 of a private key")

// maxPKCS8 is more than the size in bytes of the largest private key, of RSA with 4096 bits: some 2400. Checking a key
// takes time that grows faster than its size.
const maxPKCS8 = 4096

// parsePair reads a private key of any kind.
func parsePair(der []byte) (keyPair, error) {
	if len(der) > maxPKCS8 {
		return nil, errPKCS8
	}
	var p pkcs8
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) > 0 {
		return nil, errPKCS8
	}
	defer clear(p.PrivateKey)
	if spec, ok := seedKinds[p.Algorithm.Algorithm.String()]; ok {
		return parseSeed(spec, p.PrivateKey)
	}
	if p.Algorithm.Algorithm.Equal(oidECPublicKey) {
		switch curve := namedCurve(p.Algorithm); {
		case curve.Equal(oidSecp256k1):
			return parseScalar(p.PrivateKey, newSecp256k1)
		case curve.Equal(oidSM2):
			return parseScalar(p.PrivateKey, newSM2)
		}
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errPKCS8 // not err, which may have parts of the key
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return rsaPair{key}, nil
	case *ecdsa.PrivateKey:
		return ecdsaPair{key}, nil
	case ed25519.PrivateKey:
		return ed25519Pair{key}, nil
	}
	return nil, errPKCS8
}

// namedCurve is the curve that an algorithm identifier of elliptic curves names, or nil.
func namedCurve(a pkix.AlgorithmIdentifier) (curve asn1.ObjectIdentifier) {
	if rest, err := asn1.Unmarshal(a.Parameters.FullBytes, &curve); err != nil || len(rest) > 0 {
		return nil
	}
	return curve
}

// parseScalar reads an ECPrivateKey on one of the curves that x509 does not have.
func parseScalar(der []byte, newPair func(scalar []byte) (keyPair, error)) (keyPair, error) {
	var key ecPrivateKey
	if rest, err := asn1.Unmarshal(der, &key); err != nil || len(rest) > 0 || key.Version != 1 {
		return nil, errPKCS8
	}
	defer clear(key.PrivateKey)
	scalar := bytes.TrimLeft(key.PrivateKey, "\x00") // some write too few bytes, or too many
	if len(scalar) > 32 {
		return nil, errPKCS8
	}
	padded := make([]byte, 32)
	defer clear(padded)
	copy(padded[32-len(scalar):], scalar)
	return newPair(padded)
}

// parseSeed reads the seed form of an ML-DSA or ML-KEM private key: RFC 9881, 6 and RFC 9935, 6.
func parseSeed(spec Spec, der []byte) (keyPair, error) {
	var seed asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &seed); err != nil || len(rest) > 0 || seed.Class != asn1.ClassContextSpecific ||
		seed.Tag != 0 || seed.IsCompound {
		return nil, errPKCS8
	}
	switch spec {
	case MLDSA44, MLDSA65, MLDSA87:
		return newMLDSA(spec, seed.Bytes)
	}
	return newMLKEM(spec, seed.Bytes)
}

// marshalSeed is the PKCS #8 of a private key that is a seed.
func marshalSeed(algorithm asn1.ObjectIdentifier, seed []byte) ([]byte, error) {
	key, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Bytes: seed})
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return asn1.Marshal(pkcs8{Algorithm: pkix.AlgorithmIdentifier{Algorithm: algorithm}, PrivateKey: key})
}

// marshalPublic is the SubjectPublicKeyInfo of a public key whose algorithm has no parameters.
func marshalPublic(algorithm asn1.ObjectIdentifier, key []byte) ([]byte, error) {
	return asn1.Marshal(spki{pkix.AlgorithmIdentifier{Algorithm: algorithm}, bitString(key)})
}

// marshalScalar is the PKCS #8 of a private key on a curve: its scalar, and its public point uncompressed.
func marshalScalar(curve asn1.ObjectIdentifier, scalar, point []byte) ([]byte, error) {
	algorithm, err := ecAlgorithm(curve)
	if err != nil {
		return nil, err
	}
	key, err := asn1.Marshal(ecPrivateKey{Version: 1, PrivateKey: scalar, PublicKey: bitString(point)})
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return asn1.Marshal(pkcs8{Algorithm: algorithm, PrivateKey: key})
}

// marshalPoint is the SubjectPublicKeyInfo of a point on a curve: RFC 5480, 2.
func marshalPoint(curve asn1.ObjectIdentifier, point []byte) ([]byte, error) {
	algorithm, err := ecAlgorithm(curve)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(spki{algorithm, bitString(point)})
}

// parsePoint reads the SubjectPublicKeyInfo of a point on a curve. Whether the point is on it is for who uses it.
func parsePoint(curve asn1.ObjectIdentifier, der []byte) (point []byte, ok bool) {
	var key spki
	if rest, err := asn1.Unmarshal(der, &key); err != nil || len(rest) > 0 {
		return nil, false
	}
	if !key.Algorithm.Algorithm.Equal(oidECPublicKey) || !namedCurve(key.Algorithm).Equal(curve) {
		return nil, false
	}
	return key.PublicKey.RightAlign(), key.PublicKey.BitLength%8 == 0
}

func ecAlgorithm(curve asn1.ObjectIdentifier) (pkix.AlgorithmIdentifier, error) {
	parameters, err := asn1.Marshal(curve)
	return pkix.AlgorithmIdentifier{Algorithm: oidECPublicKey, Parameters: asn1.RawValue{FullBytes: parameters}}, err
}

func bitString(b []byte) asn1.BitString { return asn1.BitString{Bytes: b, BitLength: 8 * len(b)} }
