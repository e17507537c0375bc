package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
)

// GetPublicKey returns the public key of a key pair, as SubjectPublicKeyInfo in DER, and what it can be used for.
func (k *KMS) GetPublicKey(ctx context.Context, c *call.Call, in *kms.GetPublicKeyInput) (*kms.GetPublicKeyOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:GetPublicKey").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if !asymmetric(key.spec) {
		return nil, call.Errorf("UnsupportedOperationException", "%s key spec is %s which is not valid for this operation.", key.text, key.spec)
	}
	if err := key.ready(c.Operation, key.usage); err != nil {
		return nil, err
	}
	der, err := key.current.PublicKey()
	if err != nil {
		return nil, err
	}
	can := key.algorithms()
	return &kms.GetPublicKeyOutput{
		CustomerMasterKeySpec:   types.CustomerMasterKeySpec(key.spec), //lint:ignore SA1019 AWS KMS answers with it still
		EncapsulationAlgorithms: can.encapsulation,
		EncryptionAlgorithms:    can.encryption,
		KeyAgreementAlgorithms:  can.agreement,
		KeyId:                   &key.text,
		KeySpec:                 key.spec,
		KeyUsage:                key.usage,
		PublicKey:               der,
		SigningAlgorithms:       can.signing,
	}, nil
}
