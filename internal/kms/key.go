package kms

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// keyRef is where a key is: its primary key in the database, and its place in the cache.
type keyRef struct{ account, region, id string }

func (r keyRef) arn() arn.ARN { return arn.New("kms", r.region, r.account, "key/"+r.id) }

// key is what was known of a key at one moment. It does not change: another state is another key value.
type key struct {
	ref    keyRef
	arn    arn.ARN
	text   string // the ARN
	spec   types.KeySpec
	usage  types.KeyUsageType
	origin types.OriginType
	state  types.KeyState

	manager     types.KeyManagerType
	multiRegion types.MultiRegionKeyType // empty unless it is a multi-Region key
	related     []related                // its whole set, itself included, by region; nil unless it is a multi-Region key

	description string
	created     time.Time
	deletion    time.Time // zero unless its deletion is scheduled
	window      int32     // days that it waits when its replicas are gone; 0 unless its state is PendingReplicaDeletion
	policy      *policy.Document
	aliases     []string // names, for conditions
	tags        []types.Tag

	currentID string               // the id of the current material, also while that is not here; empty before the first import
	validTo   time.Time            // when the current material expires; zero if it does not
	current   *keycrypt.Material   // what it encrypts with; nil while it is not here, which is imported material only
	materials []*keycrypt.Material // all that it decrypts with
	external  *externalKey         // nil unless the key is in an external key store
}

// resource is the key as the policy package sees it.
func (k *key) resource() policy.Resource {
	return policy.Resource{ARN: k.text, Account: k.ref.account, Policy: k.policy}
}

// material is the one with this id, or nil.
func (k *key) material(id string) *keycrypt.Material {
	for _, m := range k.materials {
		if m.ID() == id {
			return m
		}
	}
	return nil
}

// metadata is the key as DescribeKey shows it.
func (k *key) metadata() *types.KeyMetadata {
	m := &types.KeyMetadata{
		KeyId:                 new(k.ref.id),
		AWSAccountId:          new(k.ref.account),
		Arn:                   new(k.text),
		CreationDate:          new(k.created),
		CustomerMasterKeySpec: types.CustomerMasterKeySpec(k.spec), //lint:ignore SA1019 AWS KMS answers with it still
		Description:           new(k.description),
		Enabled:               k.state == types.KeyStateEnabled,
		KeyManager:            k.manager,
		KeySpec:               k.spec,
		KeyState:              k.state,
		KeyUsage:              k.usage,
		MultiRegion:           new(k.multiRegion != ""),
		Origin:                k.origin,
	}
	if !k.deletion.IsZero() {
		m.DeletionDate = new(k.deletion)
	}
	can := k.algorithms()
	m.EncapsulationAlgorithms = can.encapsulation
	m.EncryptionAlgorithms = can.encryption
	m.KeyAgreementAlgorithms = can.agreement
	m.MacAlgorithms = can.mac
	m.SigningAlgorithms = can.signing
	if k.window != 0 {
		m.PendingDeletionWindowInDays = new(k.window)
	}
	if k.multiRegion != "" {
		m.MultiRegionConfiguration = k.configuration()
	}
	if k.origin == types.OriginTypeExternal && k.current != nil {
		m.ExpirationModel = types.ExpirationModelTypeKeyMaterialDoesNotExpire
		if !k.validTo.IsZero() {
			m.ExpirationModel, m.ValidTo = types.ExpirationModelTypeKeyMaterialExpires, new(k.validTo)
		}
	}
	if k.spec == types.KeySpecSymmetricDefault && k.currentID != "" {
		m.CurrentKeyMaterialId = new(k.currentID)
	}
	if k.external != nil {
		k.external.addMetadata(m)
	}
	return m
}

// ready says whether the key can do what a cryptographic operation asks of it: its usage first, then its state, which
// is the order in which AWS KMS answers.
func (k *key) ready(operation string, usage types.KeyUsageType) error {
	if k.usage != usage {
		return call.Errorf("InvalidKeyUsageException", "%s key usage is %s which is not valid for %s.", k.text, k.usage, operation)
	}
	if k.state == types.KeyStateUnavailable {
		return call.Errorf("KMSInvalidStateException", "%s is unavailable.", k.text)
	}
	return k.enabled(k.state)
}

// enabled says whether the key can be used in a state, which it has or had.
// See the KMS developer guide's "Key states of AWS KMS keys".
func (k *key) enabled(state types.KeyState) error {
	if state == types.KeyStateDisabled {
		return call.Errorf("DisabledException", "%s is disabled.", k.text)
	}
	return k.switchable(state)
}

// switchable says whether the key can be enabled and disabled in a state: not without its material.
func (k *key) switchable(state types.KeyState) error {
	if state == types.KeyStatePendingImport {
		return call.Errorf("KMSInvalidStateException", "%s is pending import.", k.text)
	}
	return k.changeable(state)
}

// changeable says whether the key can be changed in a state: only a scheduled deletion stops that.
func (k *key) changeable(state types.KeyState) error {
	switch state {
	case types.KeyStatePendingDeletion:
		return call.Errorf("KMSInvalidStateException", "%s is pending deletion.", k.text)
	case types.KeyStatePendingReplicaDeletion:
		return call.Errorf("KMSInvalidStateException", "%s is pending replica deletion.", k.text)
	}
	return nil
}

func incompatible(algorithm string, spec types.KeySpec) error {
	return call.Errorf("InvalidKeyUsageException", "Algorithm %s is incompatible with key spec %s.", algorithm, spec)
}

func noSuchKey(ref keyRef) error {
	return call.Errorf("NotFoundException", "Key '%s' does not exist", ref.arn())
}

// read loads a key as the transaction sees it. Its error is store.ErrNoRows when there is none.
func (k *KMS) read(tx store.Tx, ref keyRef) (*key, error) {
	found := &key{ref: ref, arn: ref.arn()}
	found.text = found.arn.String()
	var created, deletion int64
	var document string
	err := tx.QueryRow(`SELECT spec, key_usage, origin, state, description, policy, material, created, deletion, manager,
		multi_region, pending_window FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`,
		ref.account, ref.region, ref.id).Scan(&found.spec, &found.usage, &found.origin, &found.state, &found.description,
		&document, &found.currentID, &created, &deletion, &found.manager, &found.multiRegion, &found.window)
	if err != nil {
		return nil, err
	}
	found.created, found.deletion = fromMillis(created), fromMillis(deletion)
	if found.policy, err = policy.ParseKeyPolicy(document); err != nil {
		return nil, fmt.Errorf("the stored policy of %s: %w", found.text, err)
	}
	ids, err := principalsOf(tx, ref)
	if err != nil {
		return nil, err
	}
	if len(ids) > 0 {
		found.policy = found.policy.WithUniqueIDs(ids)
	}
	if found.aliases, err = aliasesOf(tx, ref); err != nil {
		return nil, err
	}
	if found.tags, err = readTags(tx, ref); err != nil {
		return nil, err
	}
	if found.multiRegion != "" {
		if found.related, err = relatedOf(tx, ref); err != nil {
			return nil, err
		}
	}
	if found.origin == types.OriginTypeExternalKeyStore {
		if err := k.readExternal(tx, found); err != nil {
			return nil, err
		}
	}
	return found, k.readMaterials(tx, found)
}

// wrapContext binds wrapped material to its place: moved to another key's row, it does not unwrap.
func wrapContext(keyARN, materialID string) []byte { return []byte(keyARN + "\n" + materialID) }

// stateOf is a key's state as the transaction of an effect sees it.
func stateOf(tx store.Tx, ref keyRef) (state types.KeyState, err error) {
	err = tx.QueryRow(`SELECT state FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`,
		ref.account, ref.region, ref.id).Scan(&state)
	return state, orNoSuchKey(err, ref)
}

// orNoSuchKey is the answer when a key was destroyed since it was found.
func orNoSuchKey(err error, ref keyRef) error {
	if errors.Is(err, store.ErrNoRows) {
		return noSuchKey(ref)
	}
	return err
}

// keysOf are the keys that a query finds, by account, region and id.
func keysOf(tx store.Tx, query string, args ...any) (found []keyRef, err error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var ref keyRef
		if err := rows.Scan(&ref.account, &ref.region, &ref.id); err != nil {
			return nil, err
		}
		found = append(found, ref)
	}
	return found, rows.Err()
}

// change is the effect of an operation that changes one key: it looks at the key's state and then runs a statement on
// its row, whose first three parameters are the key's account, region and id.
func (k *KMS) change(ref keyRef, allowed func(types.KeyState) error, statement string, args ...any) func(store.Tx) error {
	return func(tx store.Tx) error {
		state, err := stateOf(tx, ref)
		if err != nil {
			return err
		}
		if err := allowed(state); err != nil {
			return err
		}
		if _, err := tx.Exec(statement, slices.Concat([]any{ref.account, ref.region, ref.id}, args)...); err != nil {
			return err
		}
		tx.OnCommit(func() { k.keys.forget(ref) })
		return nil
	}
}

// toMillis is a time for a column.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the time of a column. 0 is no time.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
