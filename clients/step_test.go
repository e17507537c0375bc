package clients_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"testing"

	"go.step.sm/crypto/kms/apiv1"
	stepkms "go.step.sm/crypto/kms/awskms"
)

// TestStep is go.step.sm/crypto, by which step-ca keeps the keys of a certificate authority.
func TestStep(t *testing.T) {
	authority, err := stepkms.New(context.Background(), apiv1.Options{URI: "awskms:region=us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer authority.Close()
	for _, c := range []struct {
		name      string
		algorithm apiv1.SignatureAlgorithm
		bits      int
		hash      crypto.Hash
	}{
		{"ECDSA P-256", apiv1.ECDSAWithSHA256, 0, crypto.SHA256},
		{"ECDSA P-384", apiv1.ECDSAWithSHA384, 0, crypto.SHA384},
		{"RSA 2048", apiv1.SHA256WithRSA, 2048, crypto.SHA256},
		{"RSA 3072", apiv1.SHA512WithRSA, 3072, crypto.SHA512},
	} {
		t.Run(c.name, func(t *testing.T) {
			made, err := authority.CreateKey(&apiv1.CreateKeyRequest{Name: "awskms:name=root", SignatureAlgorithm: c.algorithm, Bits: c.bits})
			if err != nil {
				t.Fatal(err)
			}
			signer, err := authority.CreateSigner(&made.CreateSignerRequest)
			if err != nil {
				t.Fatal(err)
			}
			digest := digestOf(c.hash)
			signature, err := signer.Sign(rand.Reader, digest, c.hash)
			if err != nil {
				t.Fatal(err)
			}
			switch public := made.PublicKey.(type) {
			case *ecdsa.PublicKey:
				if !ecdsa.VerifyASN1(public, digest, signature) {
					t.Error("the signature is not the key's")
				}
			case *rsa.PublicKey:
				if err := rsa.VerifyPKCS1v15(public, c.hash, digest, signature); err != nil {
					t.Error(err)
				}
			default:
				t.Errorf("a public key of type %T", public)
			}
		})
	}
}

func digestOf(hash crypto.Hash) []byte {
	switch hash {
	case crypto.SHA384:
		sum := sha512.Sum384(secret)
		return sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512(secret)
		return sum[:]
	}
	sum := sha256.Sum256(secret)
	return sum[:]
}
