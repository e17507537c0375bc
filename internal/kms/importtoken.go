package kms

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // which RSAES_OAEP_SHA_1 is asked for by name
	"crypto/x509"
	"encoding/binary"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
)

// wrapping is a way to encrypt material for its import.
type wrapping struct {
	hash crypto.Hash // of RSAES-OAEP, with MGF1 of the same
	aes  bool        // OAEP encrypts an AES key only, and AES-KWP the material under that
}

// wrappings are those of AWS KMS, but for RSAES_PKCS1_V1_5, which it takes no more, and SM2PKE of its regions in China.
var wrappings = map[types.AlgorithmSpec]wrapping{
	types.AlgorithmSpecRsaesOaepSha1:       {hash: crypto.SHA1},
	types.AlgorithmSpecRsaesOaepSha256:     {hash: crypto.SHA256},
	types.AlgorithmSpecRsaAesKeyWrapSha1:   {hash: crypto.SHA1, aes: true},
	types.AlgorithmSpecRsaAesKeyWrapSha256: {hash: crypto.SHA256, aes: true},
}

// importToken is what an import token says.
type importToken struct {
	algorithm types.AlgorithmSpec
	validTo   time.Time
	private   *rsa.PrivateKey
}

// A sealed token is, encrypted in the context of its key,
//
//	byte  0     1, the version of the form
//	bytes 1-8   when it ends, milliseconds since 1970, big-endian
//	byte  9     the number of bytes of the algorithm's name
//	            the name
//	            the private key, PKCS #1 in DER
const tokenVersion = 1

func tokenContext(of *key) []byte { return []byte("import token\n" + of.text) }

func (k *KMS) sealToken(of *key, t *importToken) ([]byte, error) {
	plain := []byte{tokenVersion}
	plain = binary.BigEndian.AppendUint64(plain, uint64(toMillis(t.validTo)))
	plain = append(plain, byte(len(t.algorithm)))
	plain = append(plain, t.algorithm...)
	plain = append(plain, x509.MarshalPKCS1PrivateKey(t.private)...)
	defer clear(plain)
	return k.material.Wrap(plain, tokenContext(of))
}

// openToken reads a token, if it is one of this key and has not ended.
func (k *KMS) openToken(of *key, sealed []byte, now time.Time) (*importToken, error) {
	invalid := call.Errorf("InvalidImportTokenException", "")
	plain, err := k.material.Unwrap(sealed, tokenContext(of))
	if err != nil {
		return nil, invalid
	}
	defer clear(plain)
	const head = 10
	if len(plain) < head || plain[0] != tokenVersion || len(plain) < head+int(plain[head-1]) {
		return nil, invalid
	}
	name, der := plain[head:head+int(plain[head-1])], plain[head+int(plain[head-1]):]
	t := &importToken{algorithm: types.AlgorithmSpec(name), validTo: fromMillis(int64(binary.BigEndian.Uint64(plain[1:])))}
	if !now.Before(t.validTo) {
		return nil, call.Errorf("ExpiredImportTokenException", "")
	}
	if t.private, err = x509.ParsePKCS1PrivateKey(der); err != nil {
		return nil, invalid
	}
	return t, nil
}

// unwrap decrypts material that was encrypted with the token's key.
func (t *importToken) unwrap(encrypted []byte) ([]byte, error) {
	w := wrappings[t.algorithm]
	oaep := encrypted
	if w.aes {
		oaep = encrypted[:min(len(encrypted), t.private.Size())]
	}
	value, err := rsa.DecryptOAEP(w.hash.New(), nil, t.private, oaep, nil)
	if err == nil && w.aes {
		kek := value
		value, err = keycrypt.UnwrapKey(kek, encrypted[len(oaep):])
		clear(kek)
	}
	if err != nil {
		return nil, invalidCiphertext()
	}
	return value, nil
}
