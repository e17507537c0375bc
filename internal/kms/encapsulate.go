package kms

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
)

// Encapsulate makes a secret of 32 bytes, and the ciphertext from which Decapsulate gets it.
func (k *KMS) Encapsulate(ctx context.Context, c *call.Call, in *kms.EncapsulateInput) (*kms.EncapsulateOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:Encapsulate").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := key.encapsulates(c.Operation, in.EncapsulationAlgorithm); err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	secret, ciphertext, err := key.current.Encapsulate()
	if err != nil {
		return nil, err
	}
	return &kms.EncapsulateOutput{
		EncapsulationAlgorithm:     in.EncapsulationAlgorithm,
		KeyId:                      &key.text,
		SharedSecret:               secret,
		SharedSecretCiphertextBlob: ciphertext,
	}, nil
}

// Decapsulate is the secret of a ciphertext that was made with the key's public key. A ciphertext that was not, but has
// the right size, gives a secret that nobody else knows: that is how ML-KEM refuses it.
func (k *KMS) Decapsulate(ctx context.Context, c *call.Call, in *kms.DecapsulateInput) (*kms.DecapsulateOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:Decapsulate").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := key.encapsulates(c.Operation, in.EncapsulationAlgorithm); err != nil {
		return nil, err
	}
	secret, err := key.current.Decapsulate(in.SharedSecretCiphertextBlob)
	if errors.Is(err, keycrypt.ErrCiphertext) {
		return nil, invalidCiphertext()
	}
	if err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	return &kms.DecapsulateOutput{
		EncapsulationAlgorithm: in.EncapsulationAlgorithm,
		KeyId:                  &key.text,
		SharedSecret:           secret,
	}, nil
}

func (k *key) encapsulates(operation string, algorithm types.EncapsulationAlgorithmSpec) error {
	return usable(k, operation, types.KeyUsageTypeEncapsulateDecapsulate, algorithm, k.algorithms().encapsulation)
}
