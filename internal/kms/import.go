package kms

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
	"vigil/internal/store"
)

const (
	importTokenLife = 24 * time.Hour
	maxMaterialLife = 365 * day // of imported material, from its import on
)

var wrappingKeyBits = map[types.WrappingKeySpec]int{
	types.WrappingKeySpecRsa2048: 2048,
	types.WrappingKeySpecRsa3072: 3072,
	types.WrappingKeySpecRsa4096: 4096,
}

// GetParametersForImport makes an RSA key to encrypt material with that is to be imported into a key, and a token that
// must come with it. They are good for this key and 24 hours. The private key is in the token, encrypted, and nowhere else.
func (k *KMS) GetParametersForImport(ctx context.Context, c *call.Call, in *kms.GetParametersForImportInput) (
	*kms.GetParametersForImportOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:GetParametersForImport").with(in))
	if err != nil {
		return nil, err
	}
	if err := key.importable(key.state); err != nil {
		return nil, err
	}
	if err := key.wrappedBy(in.WrappingAlgorithm, in.WrappingKeySpec); err != nil {
		return nil, err
	}
	private, err := rsa.GenerateKey(rand.Reader, wrappingKeyBits[in.WrappingKeySpec])
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	token := importToken{algorithm: in.WrappingAlgorithm, validTo: fromMillis(toMillis(c.Time.Add(importTokenLife))), private: private}
	sealed, err := k.sealToken(key, &token)
	if err != nil {
		return nil, err
	}
	return &kms.GetParametersForImportOutput{
		ImportToken: sealed, KeyId: &key.text, ParametersValidTo: &token.validTo, PublicKey: public,
	}, nil
}

// importable says whether material can be imported into a key in a state.
func (k *key) importable(state types.KeyState) error {
	if k.origin != types.OriginTypeExternal {
		return originNotValid(k)
	}
	return k.changeable(state)
}

// wrappedBy refuses a way of wrapping that AWS KMS has not for this kind of key, as the KMS developer guide's "Select a
// wrapping public key spec" and "Select a wrapping algorithm" say.
func (k *key) wrappedBy(algorithm types.AlgorithmSpec, spec types.WrappingKeySpec) error {
	w, known := wrappings[algorithm]
	bits, sized := wrappingKeyBits[spec]
	name := string(k.spec)
	fits := known && sized
	switch {
	case !fits:
	case strings.HasPrefix(name, "RSA_"): // too long for RSA alone
		fits = w.aes
	case !strings.HasPrefix(name, "ECC_"):
		fits = !w.aes
	case k.spec == types.KeySpecEccNistP521:
		fits = w.aes || bits > 2048
	}
	if !fits {
		return call.Errorf("UnsupportedOperationException",
			"Wrapping algorithm %s with wrapping key spec %s is not valid for key material of key spec %s.", algorithm, spec, k.spec)
	}
	return nil
}

// ImportKeyMaterial gives a key of origin EXTERNAL material that was made elsewhere. The first is its own for ever; the
// same can be imported again at any time, which is how the time when it expires is changed. A symmetric encryption key can be
// given new material too, for RotateKeyOnDemand to make it the current one.
func (k *KMS) ImportKeyMaterial(ctx context.Context, c *call.Call, in *kms.ImportKeyMaterialInput) (*kms.ImportKeyMaterialOutput, error) {
	if in.ExpirationModel == "" {
		in.ExpirationModel = types.ExpirationModelTypeKeyMaterialExpires
	}
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:ImportKeyMaterial").with(in))
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(key.importable(key.state), checkExpiry(in, c.Time), checkImportType(key, in)); err != nil {
		return nil, err
	}
	token, err := k.openToken(key, in.ImportToken, c.Time)
	if err != nil {
		return nil, err
	}
	value, err := token.unwrap(in.EncryptedKeyMaterial)
	if err != nil {
		return nil, err
	}
	defer clear(value)
	material, err := importedMaterial(key, value)
	if err != nil {
		return nil, err
	}
	wrapped, err := k.wrap(key.ref, material)
	if err != nil {
		return nil, err
	}
	i := &importing{of: key, in: in, now: c.Time, id: material.ID(), wrapped: wrapped}
	c.Effect(func(tx store.Tx) error { return k.importInto(tx, i) })
	c.Responded("keyId", key.text)
	out := &kms.ImportKeyMaterialOutput{KeyId: &key.text}
	if key.spec == types.KeySpecSymmetricDefault {
		c.Responded("keyMaterialId", i.id)
		out.KeyMaterialId = &i.id
	}
	if key.multiRegion == types.MultiRegionKeyTypePrimary {
		key.shareChanged(c) // the ids and descriptions of its material
	}
	return out, nil
}

func checkExpiry(in *kms.ImportKeyMaterialInput, now time.Time) error {
	expires := in.ExpirationModel == types.ExpirationModelTypeKeyMaterialExpires
	switch {
	case expires && in.ValidTo == nil:
		return call.Errorf("ValidationException", "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")
	case !expires && in.ValidTo != nil:
		return call.Errorf("ValidationException", "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE")
	case expires && !in.ValidTo.After(now):
		return call.Errorf("ValidationException", "The validTo date must be in the future")
	case expires && in.ValidTo.After(now.Add(maxMaterialLife)):
		return call.Errorf("ValidationException", "The validTo date must be at most 365 days in the future")
	}
	return nil
}

// checkImportType refuses the members that only keys with several materials have, where there is but one, and what they cannot be
// together.
func checkImportType(of *key, in *kms.ImportKeyMaterialInput) error {
	symmetric := of.spec == types.KeySpecSymmetricDefault
	switch {
	case !symmetric && (in.ImportType != "" || in.KeyMaterialId != nil || in.KeyMaterialDescription != nil):
		return call.Errorf("ValidationException",
			"ImportType, KeyMaterialId and KeyMaterialDescription are valid for symmetric encryption keys only.")
	case in.ImportType == types.ImportTypeNewKeyMaterial && in.KeyMaterialId != nil:
		return call.Errorf("ValidationException", "KeyMaterialId cannot be specified when ImportType is NEW_KEY_MATERIAL.")
	case of.multiRegion == types.MultiRegionKeyTypeReplica && in.KeyMaterialDescription != nil:
		return of.primary()
	}
	return nil
}

// importedMaterial is what was brought, if it is of the key's kind.
func importedMaterial(of *key, value []byte) (*keycrypt.Material, error) {
	material, err := keycrypt.Import(of.ref.id, keycrypt.Spec(of.spec), value)
	if errors.Is(err, keycrypt.ErrMaterial) {
		return nil, incorrectMaterial()
	}
	return material, err
}

func incorrectMaterial() error { return call.Errorf("IncorrectKeyMaterialException", "") }

// importing is an import on its way into the database.
type importing struct {
	of      *key
	in      *kms.ImportKeyMaterialInput
	now     time.Time
	id      string
	wrapped []byte
}

func (k *KMS) importInto(tx store.Tx, i *importing) error {
	state, err := stateOf(tx, i.of.ref)
	if err != nil {
		return err
	}
	if err := i.of.importable(state); err != nil {
		return err
	}
	all, err := versionsOf(tx, i.of.ref)
	if err != nil {
		return err
	}
	v, err := i.version(all)
	if err != nil {
		return err
	}
	v.wrapped, v.validTo = i.wrapped, time.Time{}
	if i.in.ValidTo != nil {
		v.validTo = *i.in.ValidTo
	}
	if i.in.KeyMaterialDescription != nil {
		v.description = *i.in.KeyMaterialDescription
	}
	if err := v.put(tx, i.of.ref); err != nil {
		return err
	}
	if err := setCurrent(tx, i.of.ref, v); err != nil {
		return err
	}
	if i.of.multiRegion == types.MultiRegionKeyTypePrimary {
		if err := announce(tx, i.of.ref, v); err != nil {
			return err
		}
	}
	return k.materialChanged(tx, i.of.ref)
}

// version is the one that the import is of: one that the key knows, or a new one if that is what the caller wants.
func (i *importing) version(all versions) (*version, error) {
	known := all.find(i.id)
	wantsNew := i.in.ImportType == types.ImportTypeNewKeyMaterial || i.in.ImportType == "" && len(all) == 0
	if !wantsNew {
		if known == nil || i.in.KeyMaterialId != nil && *i.in.KeyMaterialId != i.id {
			return nil, incorrectMaterial()
		}
		return known, nil
	}
	if err := i.of.sharedChangeable(); err != nil { // a replica takes what its primary has taken
		return nil, err
	}
	if known != nil || i.in.KeyMaterialId != nil {
		return nil, incorrectMaterial()
	}
	v := &version{id: i.id, ordinal: all.next(), state: types.KeyMaterialStateCurrent, created: i.now}
	if len(all) == 0 {
		return v, nil
	}
	if waiting := all.pending(); waiting != nil {
		return nil, call.Errorf("KMSInvalidStateException", "New key material (id: %s) cannot be imported into KMS key %s, "+
			"because another key material (id: %s) is pending rotation.", i.id, i.of.ref.id, waiting.id)
	}
	v.state = types.KeyMaterialStatePendingRotation
	return v, nil
}

// announce tells the replicas of a primary key of a material of its: the id and the description. Each imports it itself.
func announce(tx store.Tx, primary keyRef, v *version) error {
	replicas, err := replicasOf(tx, primary)
	if err != nil {
		return err
	}
	for _, ref := range replicas {
		all, err := versionsOf(tx, ref)
		if err != nil {
			return err
		}
		known := all.find(v.id)
		if known == nil {
			known = new(v.absent())
			if err := setCurrent(tx, ref, known); err != nil {
				return err
			}
		}
		known.description = v.description
		if err := known.put(tx, ref); err != nil {
			return err
		}
	}
	return nil
}

// setCurrent notes in a key's row what it encrypts with.
func setCurrent(tx store.Tx, ref keyRef, v *version) error {
	if v.state != types.KeyMaterialStateCurrent {
		return nil
	}
	_, err := tx.Exec(`UPDATE kms_key SET material = $4 WHERE account = $1 AND region = $2 AND id = $3`,
		ref.account, ref.region, ref.id, v.id)
	return err
}

// materialChanged does what follows when material of a key has come or gone.
func (k *KMS) materialChanged(tx store.Tx, ref keyRef) error {
	all, err := versionsOf(tx, ref)
	if err != nil {
		return err
	}
	if err := settle(tx, ref, all); err != nil {
		return err
	}
	sharers, err := awaitReplicas(tx, ref)
	if err != nil {
		return err
	}
	tx.OnCommit(func() {
		for _, ref := range sharers {
			k.keys.forget(ref)
		}
		k.wake()
	})
	return nil
}

// awaitReplicas gives the material that waits for a rotation its state in all keys of a set: it can become the current
// one when each of them has it. It returns the set.
func awaitReplicas(tx store.Tx, ref keyRef) ([]keyRef, error) {
	sharers, err := sharersOf(tx, ref)
	if err != nil {
		return nil, err
	}
	waiting := make([]*version, len(sharers))
	state := types.KeyMaterialStatePendingRotation
	for i, ref := range sharers {
		all, err := versionsOf(tx, ref)
		if err != nil {
			return nil, err
		}
		if waiting[i] = all.pending(); waiting[i] != nil && !waiting[i].imported() && len(sharers) > 1 {
			state = types.KeyMaterialStatePendingMultiRegionImportAndRotation
		}
	}
	for i, v := range waiting {
		if v == nil || v.state == state {
			continue
		}
		v.state = state
		if err := v.put(tx, sharers[i]); err != nil {
			return nil, err
		}
	}
	return sharers, nil
}

// DeleteImportedKeyMaterial destroys a key's imported material, the current one unless the caller names another. The key
// cannot be used until the same is imported again, unless it was only waiting for a rotation.
func (k *KMS) DeleteImportedKeyMaterial(ctx context.Context, c *call.Call, in *kms.DeleteImportedKeyMaterialInput) (
	*kms.DeleteImportedKeyMaterialOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:DeleteImportedKeyMaterial"))
	if err != nil {
		return nil, err
	}
	if key.origin != types.OriginTypeExternal {
		return nil, originNotValid(key)
	}
	symmetric := key.spec == types.KeySpecSymmetricDefault
	if in.KeyMaterialId != nil && !symmetric {
		return nil, call.Errorf("ValidationException", "KeyMaterialId is valid for symmetric encryption keys only.")
	}
	id := key.currentID
	if in.KeyMaterialId != nil {
		id = *in.KeyMaterialId
	}
	c.Effect(func(tx store.Tx) error {
		if _, err := stateOf(tx, key.ref); err != nil {
			return err
		}
		all, err := versionsOf(tx, key.ref)
		if err != nil {
			return err
		}
		v := all.find(id)
		if v == nil && in.KeyMaterialId != nil {
			return call.Errorf("NotFoundException", "Key material '%s' of key '%s' does not exist", id, key.text)
		}
		if v == nil {
			return nil // nothing has been imported yet
		}
		return k.removeMaterial(tx, key.ref, v)
	})
	c.Responded("keyId", key.text)
	out := &kms.DeleteImportedKeyMaterialOutput{KeyId: &key.text}
	if symmetric && id != "" {
		c.Responded("keyMaterialId", id)
		out.KeyMaterialId = &id
	}
	if key.multiRegion == types.MultiRegionKeyTypePrimary && id != key.currentID {
		key.shareChanged(c)
	}
	return out, nil
}

// removeMaterial destroys imported material. What a key has been used with stays known, to be imported again. What waits for
// a rotation is forgotten, by the replicas too; a replica only loses its own copy.
func (k *KMS) removeMaterial(tx store.Tx, of keyRef, v *version) error {
	gone := v.absent()
	if v.permanent() {
		if err := gone.put(tx, of); err != nil {
			return err
		}
		return k.materialChanged(tx, of)
	}
	set, err := relatedOf(tx, of)
	if err != nil {
		return err
	}
	if slices.Contains(set, related{of, types.MultiRegionKeyTypeReplica}) {
		err = gone.put(tx, of)
	} else {
		err = dropEverywhere(tx, of, v.id)
	}
	if err != nil {
		return err
	}
	return k.materialChanged(tx, of)
}

func dropEverywhere(tx store.Tx, of keyRef, id string) error {
	sharers, err := sharersOf(tx, of)
	if err != nil {
		return err
	}
	for _, ref := range sharers {
		if err := dropVersion(tx, ref, id); err != nil {
			return err
		}
	}
	return nil
}
