package keycrypt

import (
	"crypto/ed25519"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"
)

// Vectors of the standards that Project Wycheproof has none for.

// RFC 8032, 7.3: Ed25519ph of "abc".
func TestEd25519phVector(t *testing.T) {
	seed := unhexed(t, "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
	want := "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
	pair := ed25519Pair{ed25519.NewKeyFromSeed(seed)}
	signature, err := pair.sign(Ed25519ph, Digest, []byte("abc"))
	if err != nil || hex.EncodeToString(signature) != want {
		t.Errorf("signature %x, %v", signature, err)
	}
	if ok, err := pair.verify(Ed25519ph, Digest, []byte("abc"), signature); !ok {
		t.Error("it is not verified", err)
	}
}

// GB/T 32918.5, appendices A.2 and C.2: a signature of "message digest" and a ciphertext of "encryption standard", by
// one key.
func TestSM2Vectors(t *testing.T) {
	pair, err := newSM2(unhexed(t, "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"))
	if err != nil {
		t.Fatal(err)
	}
	number := func(digits string) *big.Int { return new(big.Int).SetBytes(unhexed(t, digits)) }
	signature, err := asn1.Marshal(struct{ R, S *big.Int }{
		number("f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"),
		number("b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := pair.(signer).verify(SM2DSA, Raw, []byte("message digest"), signature); !ok {
		t.Error("the signature is refused", err)
	}
	digest := unhexed(t, "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640") // e, of A.2
	if ok, err := pair.(signer).verify(SM2DSA, Digest, digest, signature); !ok {
		t.Error("the signature of the digest is refused", err)
	}

	ciphertext, err := asn1.Marshal(struct {
		X, Y *big.Int
		Hash []byte
		Text []byte
	}{
		number("04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73"),
		number("e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0"),
		unhexed(t, "59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766"),
		unhexed(t, "21886ca989ca9c7d58087307ca93092d651efa"),
	})
	if err != nil {
		t.Fatal(err)
	}
	plaintext, err := pair.(decrypter).decrypt(SM2PKE, ciphertext)
	if err != nil || string(plaintext) != "encryption standard" {
		t.Errorf("plaintext %q, %v", plaintext, err)
	}
}

func unhexed(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
