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
	to := k.recipient(c, in.Recipient, "the shared secret")
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:DeriveSharedSecret").with(in).from(to), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	err = usable(key, c.Operation, types.KeyUsageTypeKeyAgreement, in.KeyAgreementAlgorithm, key.algorithms().agreement)
	if err != nil {
		return nil, err
	}
	if err := to.check(); err != nil {
		return nil, err
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
	secret, sealed, err := to.seal(secret)
	if err != nil {
		return nil, err
	}
	return &kms.DeriveSharedSecretOutput{
		CiphertextForRecipient: sealed,
		KeyAgreementAlgorithm:  in.KeyAgreementAlgorithm,
		KeyId:                  &key.text,
		KeyOrigin:              key.origin,
		SharedSecret:           secret,
	}, nil
}
