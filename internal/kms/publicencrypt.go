package kms

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
)

// This file is what is different when the key that encrypts is a key pair: the ciphertext is the algorithm's own, which
// whoever has the public key can make too. So it does not tell its key, there is no encryption context, and the plaintext
// is short.

// encrypts says whether the key encrypts with this algorithm and context. Whether it takes the plaintext is said by fits.
func (k *key) encrypts(operation string, algorithm types.EncryptionAlgorithmSpec, context map[string]string) error {
	if err := usable(k, operation, types.KeyUsageTypeEncryptDecrypt, algorithm, k.algorithms().encryption); err != nil {
		return err
	}
	if asymmetric(k.spec) && len(context) > 0 {
		return call.Errorf("ValidationException", "An encryption context is supported only with symmetric encryption KMS keys.")
	}
	return nil
}

// fits says whether a plaintext of so many bytes can be encrypted. For a symmetric key the model of the API says it.
func (k *key) fits(algorithm types.EncryptionAlgorithmSpec, size int) error {
	if !asymmetric(k.spec) {
		return nil
	}
	if most := keycrypt.EncryptionAlgorithm(algorithm).MaxPlaintext(keycrypt.Spec(k.spec)); size > most {
		return call.Errorf("ValidationException", "Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.",
			algorithm, k.spec, most)
	}
	return nil
}

// encrypt encrypts what fits. It returns the id of the material too if the key is symmetric and KMS's alone: only such keys show it.
func (k *key) encrypt(ctx context.Context, c *call.Call, algorithm types.EncryptionAlgorithmSpec, plaintext []byte, context map[string]string) (
	blob []byte, materialID string, err error) {
	if asymmetric(k.spec) {
		blob, err = k.current.EncryptPublic(keycrypt.EncryptionAlgorithm(algorithm), plaintext)
		return blob, "", err
	}
	blob, err = k.seal(ctx, c, plaintext, context)
	return blob, k.shownMaterial(), err
}

// openPublic decrypts a ciphertext of a key pair.
func (k *key) openPublic(s source) ([]byte, error) {
	plaintext, err := k.current.DecryptPrivate(keycrypt.EncryptionAlgorithm(s.algorithm), s.blob)
	if errors.Is(err, keycrypt.ErrCiphertext) {
		return nil, invalidCiphertext()
	}
	return plaintext, err
}
