package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
)

// GenerateRandom returns 1 to 1024 random bytes. It uses no key.
func (k *KMS) GenerateRandom(ctx context.Context, c *call.Call, in *kms.GenerateRandomInput) (*kms.GenerateRandomOutput, error) {
	to := k.recipient(c, in.Recipient, "the bytes")
	if err := allowAnyAccess(c, access{action: "kms:GenerateRandom"}.with(in).from(to)); err != nil {
		return nil, err
	}
	switch {
	case in.NumberOfBytes == nil:
		return nil, call.Errorf("ValidationException", "NumberOfBytes is required.")
	case in.CustomKeyStoreId != nil: // those of AWS CloudHSM make random bytes, and there are none here
		if _, err := k.keyStore(ctx, c, *in.CustomKeyStoreId); err != nil {
			return nil, err
		}
		return nil, call.Errorf("UnsupportedOperationException", "An external key store is not valid for GenerateRandom.")
	}
	if err := to.check(); err != nil {
		return nil, err
	}
	random, sealed, err := to.seal(keycrypt.Random(int(*in.NumberOfBytes)))
	if err != nil {
		return nil, err
	}
	return &kms.GenerateRandomOutput{CiphertextForRecipient: sealed, Plaintext: random}, nil
}
