package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
)

// GenerateMac makes the HMAC of a message of up to 4096 bytes.
func (k *KMS) GenerateMac(ctx context.Context, c *call.Call, in *kms.GenerateMacInput) (*kms.GenerateMacOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:GenerateMac").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := key.macs(c.Operation, in.MacAlgorithm); err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	return &kms.GenerateMacOutput{
		KeyId:        &key.text,
		Mac:          key.current.MAC(macHashes[in.MacAlgorithm], in.Message),
		MacAlgorithm: in.MacAlgorithm,
	}, nil
}

// VerifyMac says whether a MAC is the message's: one that is not is an error.
func (k *KMS) VerifyMac(ctx context.Context, c *call.Call, in *kms.VerifyMacInput) (*kms.VerifyMacOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:VerifyMac").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := key.macs(c.Operation, in.MacAlgorithm); err != nil {
		return nil, err
	}
	if !key.current.VerifyMAC(macHashes[in.MacAlgorithm], in.Message, in.Mac) {
		return nil, call.Errorf("KMSInvalidMacException", "")
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	return &kms.VerifyMacOutput{KeyId: &key.text, MacAlgorithm: in.MacAlgorithm, MacValid: true}, nil
}

// macs says whether the key makes MACs with this algorithm.
func (k *key) macs(operation string, algorithm types.MacAlgorithmSpec) error {
	return usable(k, operation, types.KeyUsageTypeGenerateVerifyMac, algorithm, k.algorithms().mac)
}
