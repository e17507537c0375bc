package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
)

// GenerateRandom returns 1 to 1024 random bytes. It uses no key.
func (k *KMS) GenerateRandom(ctx context.Context, c *call.Call, in *kms.GenerateRandomInput) (*kms.GenerateRandomOutput, error) {
	if err := allowAny(c, "kms:GenerateRandom", in); err != nil {
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
	case in.Recipient != nil:
		return nil, call.NotBuilt("Recipient, which encrypts the bytes for an attested environment,")
	}
	return &kms.GenerateRandomOutput{Plaintext: keycrypt.Random(int(*in.NumberOfBytes))}, nil
}
