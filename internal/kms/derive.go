package kms

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
)

// DeriveSharedSecret agrees with the owner of a public key, of the same curve as the key, on a secret.
func (k *KMS) DeriveSharedSecret(ctx context.Context, c *call.Call, in *kms.DeriveSharedSecretInput) (*kms.DeriveSharedSecretOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:DeriveSharedSecret").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	err = usable(key, c.Operation, types.KeyUsageTypeKeyAgreement, in.KeyAgreementAlgorithm, key.algorithms().agreement)
	if err != nil {
		return nil, err
	}
	if in.Recipient != nil {
		return nil, call.NotBuilt("Recipient, which encrypts the shared secret for an attested environment,")
	}
	secret, err := key.current.Agree(in.PublicKey)
	if errors.Is(err, keycrypt.ErrPublicKey) {
		return nil, call.Errorf("ValidationException", "")
	}
	if err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	return &kms.DeriveSharedSecretOutput{
		KeyAgreementAlgorithm: in.KeyAgreementAlgorithm,
		KeyId:                 &key.text,
		KeyOrigin:             key.origin,
		SharedSecret:          secret,
	}, nil
}
