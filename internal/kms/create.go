package kms

//lint:file-ignore SA1019 CustomerMasterKeySpec is deprecated, but AWS KMS takes it and answers with it still.

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/uuid"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
	"vigil/internal/store"
)

// maxKeys is AWS's quota of customer managed keys, in one account and region. Keys count in every state.
const maxKeys = 100_000

// CreateKey makes a key and its material.
func (k *KMS) CreateKey(ctx context.Context, c *call.Call, in *kms.CreateKeyInput) (*kms.CreateKeyOutput, error) {
	if err := fillCreateKey(in); err != nil {
		return nil, err
	}
	if err := allowCreateKey(c, in); err != nil {
		return nil, err
	}
	if err := checkCreateKey(in); err != nil {
		return nil, err
	}
	made := newKey(c, in)
	document, err := k.initialPolicy(c, made, in)
	if err != nil {
		return nil, err
	}
	bind := func(store.Tx) error { return nil }
	if in.CustomKeyStoreId != nil {
		if bind, err = k.bindExternal(ctx, c, made, in); err != nil {
			return nil, err
		}
	}
	if made.origin != types.OriginTypeExternal {
		if made.current, err = keycrypt.GenerateKey(made.ref.id, keycrypt.Spec(made.spec)); err != nil {
			return nil, err
		}
		made.currentID = made.current.ID()
	}
	insert, err := k.insertKey(made, document, in.Tags)
	if err != nil {
		return nil, err
	}
	c.Touch(keyType, made.arn)
	c.Effect(func(tx store.Tx) error {
		if err := bind(tx); err != nil {
			return err
		}
		return insert(tx)
	})
	return &kms.CreateKeyOutput{KeyMetadata: made.metadata()}, nil
}

// fillCreateKey gives every member its default, as AWS KMS records them. KeySpec and CustomerMasterKeySpec are two
// names of one thing.
func fillCreateKey(in *kms.CreateKeyInput) error {
	if in.KeySpec != "" && in.CustomerMasterKeySpec != "" && string(in.KeySpec) != string(in.CustomerMasterKeySpec) {
		return call.Errorf("ValidationException", "KeySpec %s and CustomerMasterKeySpec %s differ. Specify only KeySpec.",
			in.KeySpec, in.CustomerMasterKeySpec)
	}
	if in.KeySpec == "" {
		in.KeySpec = types.KeySpec(in.CustomerMasterKeySpec)
	}
	if in.KeySpec == "" {
		in.KeySpec = types.KeySpecSymmetricDefault
	}
	in.CustomerMasterKeySpec = types.CustomerMasterKeySpec(in.KeySpec)
	if in.KeyUsage == "" && in.KeySpec == types.KeySpecSymmetricDefault {
		in.KeyUsage = types.KeyUsageTypeEncryptDecrypt
	}
	if in.Origin == "" {
		in.Origin = types.OriginTypeAwsKms
	}
	if in.Description == nil {
		in.Description = new("")
	}
	if in.MultiRegion == nil {
		in.MultiRegion = new(false)
	}
	if in.Tags == nil {
		in.Tags = []types.Tag{}
	}
	return nil
}

// allowCreateKey: a key that is made with tags needs the permission to tag too.
func allowCreateKey(c *call.Call, in *kms.CreateKeyInput) error {
	if err := allowAny(c, "kms:CreateKey", in); err != nil || len(in.Tags) == 0 {
		return err
	}
	return allowAny(c, "kms:TagResource", in)
}

// checkCreateKey refuses what AWS KMS refuses.
func checkCreateKey(in *kms.CreateKeyInput) error {
	if in.KeyUsage == "" {
		return call.Errorf("ValidationException",
			"You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
	}
	if _, fits := algorithmsOf[specUsage{in.KeySpec, in.KeyUsage}]; !fits {
		return call.Errorf("ValidationException", "KeyUsage %s is not compatible with KeySpec %s", in.KeyUsage, in.KeySpec)
	}
	if err := checkText("description", *in.Description); err != nil {
		return err
	}
	if err := checkTags(in.Tags); err != nil {
		return err
	}
	if in.Origin == types.OriginTypeExternal && strings.HasPrefix(string(in.KeySpec), "ML_") {
		return call.Errorf("UnsupportedOperationException", "Origin %s is not compatible with KeySpec %s", in.Origin, in.KeySpec)
	}
	return checkCustomKeyStore(in)
}

func newKey(c *call.Call, in *kms.CreateKeyInput) *key {
	ref := keyRef{c.Account(), c.Region, uuid.NewString()}
	if *in.MultiRegion {
		ref.id = newMultiRegionID()
	}
	made := &key{
		ref:         ref,
		arn:         ref.arn(),
		spec:        in.KeySpec,
		usage:       in.KeyUsage,
		origin:      in.Origin,
		state:       types.KeyStateEnabled,
		description: *in.Description,
		created:     fromMillis(toMillis(c.Time)),
		manager:     types.KeyManagerTypeCustomer,
	}
	made.text = made.arn.String()
	if *in.MultiRegion {
		made.multiRegion = types.MultiRegionKeyTypePrimary
		made.related = []related{{ref, made.multiRegion}}
	}
	if in.Origin == types.OriginTypeExternal {
		made.state = types.KeyStatePendingImport
	}
	return made
}

// insertKey is the effect that stores a new key, with its material if it has any yet. The material is wrapped before it: that takes
// time that the effect has not.
func (k *KMS) insertKey(made *key, document string, tags []types.Tag) (func(store.Tx) error, error) {
	first := version{id: made.currentID, ordinal: 1, state: types.KeyMaterialStateCurrent, created: made.created}
	if made.current != nil {
		var err error
		if first.wrapped, err = k.wrap(made.ref, made.current); err != nil {
			return nil, err
		}
	}
	return func(tx store.Tx) error {
		ref := made.ref
		if err := roomForKey(tx, made); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO kms_key (account, region, id, spec, key_usage, origin, state, description, policy, material,
			created, deletion, manager, multi_region) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, $13)`,
			ref.account, ref.region, ref.id, made.spec, made.usage, made.origin, made.state, made.description, document, made.currentID,
			toMillis(made.created), made.manager, made.multiRegion)
		if err != nil {
			return err
		}
		if made.current != nil {
			if err := first.put(tx, ref); err != nil {
				return err
			}
		}
		if err := k.putPrincipals(tx, ref, document); err != nil {
			return err
		}
		return putTags(tx, ref, tags)
	}, nil
}

// roomForKey says whether the account may have one more key in the region.
func roomForKey(tx store.Tx, made *key) error {
	if made.manager != types.KeyManagerTypeCustomer {
		return nil
	}
	var count int
	for _, which := range []string{``, ` AND manager = 'CUSTOMER'`} { // the first is answered from the index alone, and mostly enough
		err := tx.QueryRow(`SELECT COUNT(*) FROM kms_key WHERE account = $1 AND region = $2`+which, made.ref.account, made.ref.region).Scan(&count)
		if err != nil || count < maxKeys {
			return err
		}
	}
	return call.Errorf("LimitExceededException", "The limit of %d KMS keys in account %s and Region %s has been reached.",
		maxKeys, made.ref.account, made.ref.region)
}
