package keycrypt

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for RSAES_OAEP_SHA_1
	"crypto/x509"
)

type rsaPair struct{ key *rsa.PrivateKey }

func generateRSA(bits int) (keyPair, error) {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, err
	}
	return rsaPair{key}, nil
}

func (p rsaPair) spec() Spec {
	if len(p.key.Primes) != 2 {
		return ""
	}
	return map[int]Spec{2048: RSA2048, 3072: RSA3072, 4096: RSA4096}[p.key.N.BitLen()]
}

func (p rsaPair) privateKey() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(p.key) }
func (p rsaPair) publicKey() ([]byte, error)  { return x509.MarshalPKIXPublicKey(&p.key.PublicKey) }

var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

func (p rsaPair) sign(a SigningAlgorithm, t MessageType, message []byte) ([]byte, error) {
	hash, digest, err := a.digest(t, message)
	if err != nil {
		return nil, err
	}
	switch a {
	case PSSSHA256, PSSSHA384, PSSSHA512:
		return rsa.SignPSS(rand.Reader, p.key, hash, digest, pss)
	case PKCS1SHA256, PKCS1SHA384, PKCS1SHA512:
		return rsa.SignPKCS1v15(nil, p.key, hash, digest)
	}
	return nil, ErrAlgorithm
}

func (p rsaPair) verify(a SigningAlgorithm, t MessageType, message, signature []byte) (bool, error) {
	hash, digest, err := a.digest(t, message)
	if err != nil {
		return false, err
	}
	switch a {
	case PSSSHA256, PSSSHA384, PSSSHA512:
		return rsa.VerifyPSS(&p.key.PublicKey, hash, digest, signature, pss) == nil, nil
	case PKCS1SHA256, PKCS1SHA384, PKCS1SHA512:
		return rsa.VerifyPKCS1v15(&p.key.PublicKey, hash, digest, signature) == nil, nil
	}
	return false, ErrAlgorithm
}

// oaep are the hashes of the ways to encrypt with RSA.
var oaep = map[EncryptionAlgorithm]crypto.Hash{OAEPSHA1: crypto.SHA1, OAEPSHA256: crypto.SHA256}

func (p rsaPair) encrypt(a EncryptionAlgorithm, plaintext []byte) ([]byte, error) {
	hash, ok := oaep[a]
	switch {
	case !ok:
		return nil, ErrAlgorithm
	case len(plaintext) > p.key.Size()-2*hash.Size()-2:
		return nil, ErrPlaintextSize
	}
	return rsa.EncryptOAEP(hash.New(), rand.Reader, &p.key.PublicKey, plaintext, nil)
}

func (p rsaPair) decrypt(a EncryptionAlgorithm, ciphertext []byte) ([]byte, error) {
	hash, ok := oaep[a]
	if !ok {
		return nil, ErrAlgorithm
	}
	plaintext, err := rsa.DecryptOAEP(hash.New(), nil, p.key, ciphertext, nil)
	if err != nil {
		return nil, ErrCiphertext
	}
	return plaintext, nil
}
