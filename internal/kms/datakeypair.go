package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
)

// GenerateDataKeyPair makes a key pair for use outside, and returns its private key (PKCS #8, DER) as plaintext and
// encrypted under a symmetric key, and its public key (SubjectPublicKeyInfo, DER).
func (k *KMS) GenerateDataKeyPair(ctx context.Context, c *call.Call, in *kms.GenerateDataKeyPairInput) (*kms.GenerateDataKeyPairOutput, error) {
	to := k.recipient(c, in.Recipient, "the private key")
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:GenerateDataKeyPair").with(in).from(to), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := key.makesDataKeys(c.Operation); err != nil {
		return nil, err
	}
	if err := key.inNoKeyStore(c.Operation); err != nil {
		return nil, err
	}
	if err := to.check(); err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	pair, err := key.dataKeyPair(c, in.KeyPairSpec, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	private, sealed, err := to.seal(pair.private)
	if err != nil {
		return nil, err
	}
	return &kms.GenerateDataKeyPairOutput{
		CiphertextForRecipient:   sealed,
		KeyId:                    &key.text,
		KeyMaterialId:            new(key.current.ID()),
		KeyPairSpec:              in.KeyPairSpec,
		PrivateKeyCiphertextBlob: pair.encrypted,
		PrivateKeyPlaintext:      private,
		PublicKey:                pair.public,
	}, nil
}

// GenerateDataKeyPairWithoutPlaintext is GenerateDataKeyPair for who will need the private key later: Decrypt gives it.
func (k *KMS) GenerateDataKeyPairWithoutPlaintext(ctx context.Context, c *call.Call, in *kms.GenerateDataKeyPairWithoutPlaintextInput) (
	*kms.GenerateDataKeyPairWithoutPlaintextOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:GenerateDataKeyPairWithoutPlaintext").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := key.makesDataKeys(c.Operation); err != nil {
		return nil, err
	}
	if err := key.inNoKeyStore(c.Operation); err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	pair, err := key.dataKeyPair(c, in.KeyPairSpec, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	clear(pair.private)
	return &kms.GenerateDataKeyPairWithoutPlaintextOutput{
		KeyId:                    &key.text,
		KeyMaterialId:            new(key.current.ID()),
		KeyPairSpec:              in.KeyPairSpec,
		PrivateKeyCiphertextBlob: pair.encrypted,
		PublicKey:                pair.public,
	}, nil
}

// makesDataKeys says whether data keys can be had under the key: it must be a symmetric encryption key.
func (k *key) makesDataKeys(operation string) error {
	return usable(k, operation, types.KeyUsageTypeEncryptDecrypt, types.EncryptionAlgorithmSpecSymmetricDefault, k.algorithms().encryption)
}

type dataKeyPair struct{ private, encrypted, public []byte }

func (k *key) dataKeyPair(c *call.Call, spec types.DataKeyPairSpec, context map[string]string) (pair dataKeyPair, err error) {
	if pair.private, pair.public, err = keycrypt.GeneratePair(keycrypt.Spec(spec)); err != nil {
		return dataKeyPair{}, err
	}
	if pair.encrypted, err = k.current.Encrypt(k.text, pair.private, context); err != nil {
		return dataKeyPair{}, err
	}
	c.Note("keyMaterialId", k.current.ID())
	return pair, nil
}
