package kms

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// Decrypt decrypts what Encrypt and the operations that make data keys and data key pairs made. The ciphertext tells the
// key; a caller who names one too wants no other to be used. That of a key pair does not: the caller must name the key.
func (k *KMS) Decrypt(ctx context.Context, c *call.Call, in *kms.DecryptInput) (*kms.DecryptOutput, error) {
	in.EncryptionAlgorithm = orSymmetric(in.EncryptionAlgorithm)
	s := source{in.CiphertextBlob, in.KeyId, "keyId", in.EncryptionAlgorithm, in.EncryptionContext, in.DryRun, in.DryRunModifiers}
	to := k.recipient(c, in.Recipient, "the plaintext")
	key, err := k.sourceKey(ctx, c, s, use("kms:Decrypt").with(in).from(to), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := to.check(); err != nil {
		return nil, err
	}
	plaintext, material, err := key.open(ctx, c, s)
	if err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	plaintext, sealed, err := to.seal(plaintext)
	if err != nil {
		return nil, err
	}
	noteMaterial(c, "keyMaterialId", material)
	return &kms.DecryptOutput{
		CiphertextForRecipient: sealed,
		EncryptionAlgorithm:    in.EncryptionAlgorithm,
		KeyId:                  &key.text,
		KeyMaterialId:          orNil(material),
		Plaintext:              plaintext,
	}, nil
}

// ReEncrypt decrypts a ciphertext and encrypts the plaintext under another key, or the same with another context,
// without letting it out. Either key may be another account's.
func (k *KMS) ReEncrypt(ctx context.Context, c *call.Call, in *kms.ReEncryptInput) (*kms.ReEncryptOutput, error) {
	in.SourceEncryptionAlgorithm = orSymmetric(in.SourceEncryptionAlgorithm)
	in.DestinationEncryptionAlgorithm = orSymmetric(in.DestinationEncryptionAlgorithm)
	s := source{in.CiphertextBlob, in.SourceKeyId, "sourceKeyId", in.SourceEncryptionAlgorithm, in.SourceEncryptionContext, in.DryRun,
		in.DryRunModifiers}
	from, err := k.sourceKey(ctx, c, s, use("kms:ReEncryptFrom").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	to, err := k.authorize(ctx, c, in.DestinationKeyId, use("kms:ReEncryptTo").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := to.encrypts(c.Operation, in.DestinationEncryptionAlgorithm, in.DestinationEncryptionContext); err != nil {
		return nil, err
	}
	plaintext, fromMaterial, err := from.open(ctx, c, s)
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	if err := to.fits(in.DestinationEncryptionAlgorithm, len(plaintext)); err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	blob, toMaterial, err := to.encrypt(ctx, c, in.DestinationEncryptionAlgorithm, plaintext, in.DestinationEncryptionContext)
	if err != nil {
		return nil, err
	}
	noteMaterial(c, "destinationKeyMaterialId", toMaterial)
	noteMaterial(c, "sourceKeyMaterialId", fromMaterial)
	return &kms.ReEncryptOutput{
		CiphertextBlob:                 blob,
		DestinationEncryptionAlgorithm: in.DestinationEncryptionAlgorithm,
		DestinationKeyMaterialId:       orNil(toMaterial),
		KeyId:                          &to.text,
		SourceEncryptionAlgorithm:      in.SourceEncryptionAlgorithm,
		SourceKeyId:                    &from.text,
		SourceKeyMaterialId:            orNil(fromMaterial),
	}, nil
}

// source is what there is to decrypt, and what the caller says of it.
type source struct {
	blob      []byte
	keyID     *string // nil when the ciphertext alone tells
	member    string  // what keyID is called in the request
	algorithm types.EncryptionAlgorithmSpec
	context   map[string]string
	dryRun    *bool
	modifiers []types.DryRunModifierType
}

// symmetric says that the ciphertext is of the form that names its key.
func (s *source) symmetric() bool {
	return s.algorithm == types.EncryptionAlgorithmSpecSymmetricDefault
}

// ignored says that the caller only asks for permission: DryRun with IGNORE_CIPHERTEXT.
func (s *source) ignored() bool {
	return slices.Contains(s.modifiers, types.DryRunModifierTypeIgnoreCiphertext)
}

// validate checks what the model of the API leaves to the service.
func (s *source) validate() error {
	null := "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null"
	switch {
	case len(s.modifiers) > 0 && (s.dryRun == nil || !*s.dryRun):
		return call.Errorf("ValidationException", "DryRunModifiers can only be specified when DryRun is true.")
	case (s.ignored() || !s.symmetric()) && s.keyID == nil:
		return call.Errorf("ValidationException", null, s.member)
	case !s.ignored() && len(s.blob) == 0:
		return call.Errorf("ValidationException", null, "ciphertextBlob")
	}
	return nil
}

// sourceKey is the key to decrypt with: authorized, the one that the ciphertext names, and ready for it.
func (k *KMS) sourceKey(ctx context.Context, c *call.Call, s source, a access, grantTokens ...string) (*key, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	var found *key
	var err error
	if s.keyID == nil {
		found, err = k.keyOfBlob(ctx, c, s.blob, a, grantTokens...)
	} else {
		found, err = k.namedKeyOfBlob(ctx, c, s, a, grantTokens...)
	}
	if err != nil {
		return nil, err
	}
	return found, found.encrypts(c.Operation, s.algorithm, s.context)
}

// namedKeyOfBlob is the key that the caller names, if it is the one that the ciphertext names. A key id
// alone is enough for a key of another account, because the ciphertext has the rest of the ARN.
func (k *KMS) namedKeyOfBlob(ctx context.Context, c *call.Call, s source, a access, grantTokens ...string) (*key, error) {
	name := *s.keyID
	if s.ignored() || !s.symmetric() { // there is no ciphertext, or none of the form that names its key
		return k.authorize(ctx, c, &name, a, grantTokens...)
	}
	header, parseErr := keycrypt.ParseBlob(s.blob)
	if target, ok := parseARN(header.KeyARN); ok && isKeyID(name) && target.Resource == "key/"+name {
		if target = here(c, target); target.Region == c.Region {
			name = target.String()
		}
	}
	found, err := k.authorize(ctx, c, &name, a, grantTokens...)
	switch {
	case err != nil:
		return nil, err
	case parseErr != nil:
		return nil, invalidCiphertext()
	case !found.encrypted(header.KeyARN):
		return nil, call.Errorf("IncorrectKeyException",
			"The key ID in the request does not identify a CMK that can perform this operation.")
	}
	return found, nil
}

// keyOfBlob is the key that the ciphertext names.
func (k *KMS) keyOfBlob(ctx context.Context, c *call.Call, blob []byte, a access, grantTokens ...string) (*key, error) {
	header, err := keycrypt.ParseBlob(blob)
	if err != nil {
		return nil, invalidCiphertext()
	}
	target, ok := parseARN(header.KeyARN)
	if !ok || target.Type() != "key" || !isKeyID(target.ID()) {
		return nil, invalidCiphertext()
	}
	if target = here(c, target); target.Region != c.Region {
		return nil, noKeyForBlob(c, target, a)
	}
	found, err := k.load(ctx, keyRef{target.Account, target.Region, target.ID()})
	if errors.Is(err, store.ErrNoRows) {
		return nil, noKeyForBlob(c, target, a)
	}
	if err != nil {
		return nil, err
	}
	return found, k.allow(ctx, c, found, "", a, grantTokens...)
}

// noKeyForBlob is the answer when the key of a ciphertext does not exist here. Another account's key gives the text
// that it would give if it existed and were denied.
func noKeyForBlob(c *call.Call, target arn.ARN, a access) error {
	if target.Account != c.Account() {
		r := policy.Resource{ARN: target.String(), Account: target.Account, CrossAccount: a.crossAccount, Unnamed: true}
		if err := c.Allow(a.action, r, conditionsOf(c, a)); err != nil {
			return err
		}
	}
	return call.Errorf("AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, "+
		"does not exist in this region, or you are not allowed to access.")
}

// open decrypts, and returns the id of the material that it took if the key is symmetric and KMS's alone. A ciphertext that is to be
// ignored opens to nothing.
func (k *key) open(ctx context.Context, c *call.Call, s source) (plaintext []byte, materialID string, err error) {
	if s.ignored() {
		return nil, "", nil
	}
	if asymmetric(k.spec) {
		plaintext, err = k.openPublic(s)
		return plaintext, "", err
	}
	header, err := keycrypt.ParseBlob(s.blob)
	if err != nil {
		return nil, "", invalidCiphertext()
	}
	material := k.material(header.MaterialID)
	if material == nil {
		return nil, "", invalidCiphertext()
	}
	if k.external != nil {
		plaintext, err = k.openExternal(ctx, c, s, material)
		return plaintext, "", err
	}
	plaintext, err = material.Decrypt(s.blob, s.context)
	if errors.Is(err, keycrypt.ErrCiphertext) {
		return nil, "", invalidCiphertext()
	}
	return plaintext, header.MaterialID, err
}

// orNil is a member of an output that is absent when it is empty.
func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func invalidCiphertext() error { return call.Errorf("InvalidCiphertextException", "") }
