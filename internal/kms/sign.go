package kms

import (
	"cmp"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
)

// Sign signs a message of up to 4096 bytes, or what stands for a longer one: its digest, or μ of ML-DSA.
func (k *KMS) Sign(ctx context.Context, c *call.Call, in *kms.SignInput) (*kms.SignOutput, error) {
	in.MessageType = cmp.Or(in.MessageType, types.MessageTypeRaw)
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:Sign").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := key.signs(c.Operation, in.SigningAlgorithm, in.MessageType, in.Message); err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	signature, err := key.current.Sign(keycrypt.SigningAlgorithm(in.SigningAlgorithm), keycrypt.MessageType(in.MessageType), in.Message)
	if err != nil {
		return nil, err
	}
	return &kms.SignOutput{KeyId: &key.text, Signature: signature, SigningAlgorithm: in.SigningAlgorithm}, nil
}

// Verify says whether a signature is the message's: one that is not is an error.
func (k *KMS) Verify(ctx context.Context, c *call.Call, in *kms.VerifyInput) (*kms.VerifyOutput, error) {
	in.MessageType = cmp.Or(in.MessageType, types.MessageTypeRaw)
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:Verify").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := key.signs(c.Operation, in.SigningAlgorithm, in.MessageType, in.Message); err != nil {
		return nil, err
	}
	valid, err := key.current.Verify(keycrypt.SigningAlgorithm(in.SigningAlgorithm), keycrypt.MessageType(in.MessageType), in.Message,
		in.Signature)
	switch {
	case err != nil:
		return nil, err
	case !valid:
		return nil, call.Errorf("KMSInvalidSignatureException", "")
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	return &kms.VerifyOutput{KeyId: &key.text, SignatureValid: true, SigningAlgorithm: in.SigningAlgorithm}, nil
}

// signs says whether the key signs and verifies such a message with this algorithm.
func (k *key) signs(operation string, algorithm types.SigningAlgorithmSpec, typ types.MessageType, message []byte) error {
	if err := usable(k, operation, types.KeyUsageTypeSignVerify, algorithm, k.algorithms().signing); err != nil {
		return err
	}
	err := keycrypt.SigningAlgorithm(algorithm).Check(keycrypt.MessageType(typ), message)
	switch {
	case errors.Is(err, keycrypt.ErrMessageType):
		return call.Errorf("ValidationException", "Message type %s is incompatible with algorithm %s.", typ, algorithm)
	case errors.Is(err, keycrypt.ErrMessageSize):
		return call.Errorf("ValidationException", "Digest is invalid length for algorithm %s.", algorithm)
	}
	return err
}
