package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
)

// Encrypt encrypts under a key: up to 4096 bytes if it is symmetric, and then the ciphertext names the key; fewer if it is
// a key pair.
func (k *KMS) Encrypt(ctx context.Context, c *call.Call, in *kms.EncryptInput) (*kms.EncryptOutput, error) {
	in.EncryptionAlgorithm = orSymmetric(in.EncryptionAlgorithm)
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:Encrypt").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := key.encrypts(c.Operation, in.EncryptionAlgorithm, in.EncryptionContext); err != nil {
		return nil, err
	}
	if err := key.fits(in.EncryptionAlgorithm, len(in.Plaintext)); err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	blob, material, err := key.encrypt(ctx, c, in.EncryptionAlgorithm, in.Plaintext, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	noteMaterial(c, "keyMaterialId", material)
	return &kms.EncryptOutput{
		CiphertextBlob:      blob,
		EncryptionAlgorithm: in.EncryptionAlgorithm,
		KeyId:               &key.text,
	}, nil
}

// orSymmetric is the default of every EncryptionAlgorithm.
func orSymmetric(algorithm types.EncryptionAlgorithmSpec) types.EncryptionAlgorithmSpec {
	if algorithm == "" {
		return types.EncryptionAlgorithmSpecSymmetricDefault
	}
	return algorithm
}

// noteMaterial puts the id of a symmetric key's material into the record.
func noteMaterial(c *call.Call, name, id string) {
	if id != "" {
		c.Note(name, id)
	}
}

// dryRun ends a call that only asked whether it would succeed. It comes after all that can refuse the call.
func dryRun(asked *bool) error {
	if asked == nil || !*asked {
		return nil
	}
	return call.Errorf("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
}
