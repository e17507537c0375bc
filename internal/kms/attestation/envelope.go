package attestation

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
)

// The names of RFC 5652, RFC 8017 and NIST in ASN.1.
var (
	oidEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidOAEP          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidMGF1          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidAES256CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

type algorithm struct {
	Algorithm  asn1.ObjectIdentifier
	Parameters any `asn1:"optional"`
}

type oaepParameters struct {
	Hash algorithm `asn1:"explicit,tag:0"`
	MGF  algorithm `asn1:"explicit,tag:1"`
}

// keyTransport is RFC 5652's KeyTransRecipientInfo, of who is named by a subjectKeyIdentifier.
type keyTransport struct {
	Version       int
	KeyIdentifier []byte `asn1:"tag:0"`
	Algorithm     algorithm
	EncryptedKey  []byte
}

const minRSABits = 2048

// CanEncrypt returns ErrPublicKey if the document has no public key that Encrypt can use.
func (d *Document) CanEncrypt() error {
	if d.publicKey == nil || d.publicKey.N.BitLen() < minRSABits {
		return ErrPublicKey
	}
	return nil
}

// Encrypt encrypts for the owner of the document's public key, in the form of AWS KMS: a CMS EnvelopedData of one
// recipient, whose key is encrypted by RSAES-OAEP with SHA-256 and the content by AES-256-CBC. Without a public key
// its error is ErrPublicKey.
//
// The outer structures have BER's indefinite lengths, as those of AWS KMS do: the SDK of Nitro Enclaves reads no other
// form. The recipient is named by the SHA-256 of the public key (RFC 7093 section 2, method 4).
func (d *Document) Encrypt(plaintext []byte) ([]byte, error) {
	if err := d.CanEncrypt(); err != nil {
		return nil, err
	}
	key, iv := make([]byte, 32), make([]byte, aes.BlockSize)
	defer clear(key)
	rand.Read(key) // which does not fail
	rand.Read(iv)
	encryptedKey, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, d.publicKey, key, nil)
	if err != nil {
		return nil, ErrPublicKey
	}
	content, err := encryptCBC(key, iv, plaintext)
	if err != nil {
		return nil, err
	}
	identifier := sha256.Sum256(d.keyDER)
	hash := algorithm{oidSHA256, asn1.NullRawValue}
	recipients := []keyTransport{{2, identifier[:], algorithm{oidOAEP, oaepParameters{hash, algorithm{oidMGF1, hash}}}, encryptedKey}}

	var w ber
	w.begin(tagSequence) // ContentInfo
	w.add(oidEnvelopedData, "")
	w.begin(tagExplicit)
	w.begin(tagSequence) // EnvelopedData
	w.add(2, "")
	w.add(recipients, "set")
	w.begin(tagSequence) // EncryptedContentInfo
	w.add(oidData, "")
	w.add(algorithm{oidAES256CBC, iv}, "")
	w.begin(tagExplicit) // [0] IMPLICIT OCTET STRING, constructed
	w.add(content, "")
	w.endAll()
	return w.out.Bytes(), w.err
}

// encryptCBC pads as PKCS #7 does and encrypts.
func encryptCBC(key, iv, plaintext []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(plaintext)%aes.BlockSize
	padded := make([]byte, 0, len(plaintext)+pad)
	padded = append(append(padded, plaintext...), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	return padded, nil
}

const (
	tagSequence = 0x30
	tagExplicit = 0xa0 // [0], constructed
)

// ber writes structures of indefinite length with DER in them.
type ber struct {
	out  bytes.Buffer
	open int
	err  error
}

func (w *ber) begin(tag byte) {
	w.out.Write([]byte{tag, 0x80})
	w.open++
}

func (w *ber) add(value any, parameters string) {
	der, err := asn1.MarshalWithParams(value, parameters)
	if err != nil {
		w.err = err
	}
	w.out.Write(der)
}

func (w *ber) endAll() {
	w.out.Write(make([]byte, 2*w.open))
	w.open = 0
}
