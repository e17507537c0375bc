package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
)

// Encrypt encrypts up to 4096 bytes under a key. The ciphertext names the key.
func (k *KMS) Encrypt(ctx context.Context, c *call.Call, in *kms.EncryptInput) (*kms.EncryptOutput, error) {
	in.EncryptionAlgorithm = orSymmetric(in.EncryptionAlgorithm)
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:Encrypt"), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := key.ready(c.Operation, types.KeyUsageTypeEncryptDecrypt); err != nil {
		return nil, err
	}
	if err := key.encryptsWith(in.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	blob, err := key.current.Encrypt(key.text, in.Plaintext, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	c.Note("keyMaterialId", key.current.ID())
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

// dryRun ends a call that only asked whether it would succeed. It comes after all that can refuse the call.
func dryRun(asked *bool) error {
	if asked == nil || !*asked {
		return nil
	}
	return call.Errorf("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
}
