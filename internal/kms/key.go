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

	description string
	created     time.Time
	deletion    time.Time // zero unless its deletion is scheduled
	policy      *policy.Document

	current   *keycrypt.Material   // what it encrypts with
	materials []*keycrypt.Material // all that it decrypts with
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
		KeyManager:            types.KeyManagerTypeCustomer,
		KeySpec:               k.spec,
		KeyState:              k.state,
		KeyUsage:              k.usage,
		MultiRegion:           new(false),
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
	if k.spec == types.KeySpecSymmetricDefault {
		m.CurrentKeyMaterialId = new(k.current.ID())
	}
	return m
}

// ready says whether the key can do what a cryptographic operation asks of it: its usage first, then its state, which
// is the order in which AWS KMS answers.
func (k *key) ready(operation string, usage types.KeyUsageType) error {
	if k.usage != usage {
		return call.Errorf("InvalidKeyUsageException", "%s key usage is %s which is not valid for %s.", k.text, k.usage, operation)
	}
	if k.state == types.KeyStateDisabled {
		return call.Errorf("DisabledException", "%s is disabled.", k.text)
	}
	return k.changeable(k.state)
}

// changeable says whether the key can be changed in a state, which it has or had: only a scheduled deletion stops that.
// See the KMS developer guide's "Key states of AWS KMS keys".
func (k *key) changeable(state types.KeyState) error {
	if state == types.KeyStatePendingDeletion {
		return call.Errorf("KMSInvalidStateException", "%s is pending deletion.", k.text)
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
	var document, current string
	err := tx.QueryRow(`SELECT spec, key_usage, origin, state, description, policy, material, created, deletion
		FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`, ref.account, ref.region, ref.id).Scan(&found.spec,
		&found.usage, &found.origin, &found.state, &found.description, &document, &current, &created, &deletion)
	if err != nil {
		return nil, err
	}
	found.created, found.deletion = fromMillis(created), fromMillis(deletion)
	if found.policy, err = policy.ParseKeyPolicy(document); err != nil {
		return nil, fmt.Errorf("the stored policy of %s: %w", found.text, err)
	}
	if found.materials, err = k.readMaterials(tx, found); err != nil {
		return nil, err
	}
	if found.current = found.material(current); found.current == nil {
		return nil, fmt.Errorf("%s has lost its material %s", found.text, current)
	}
	return found, nil
}

func (k *KMS) readMaterials(tx store.Tx, of *key) (materials []*keycrypt.Material, err error) {
	rows, err := tx.Query(`SELECT id, wrapped FROM kms_material WHERE account = $1 AND region = $2 AND key_id = $3`,
		of.ref.account, of.ref.region, of.ref.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var wrapped []byte
		if err := rows.Scan(&id, &wrapped); err != nil {
			return nil, err
		}
		secret, err := k.material.Unwrap(wrapped, wrapContext(of.text, id))
		if err != nil {
			return nil, fmt.Errorf("unwrap material %s of %s: %w", id, of.text, err)
		}
		material := keycrypt.New(of.ref.id, secret)
		clear(secret)
		if material.ID() != id {
			return nil, fmt.Errorf("material %s of %s is not what its id says", id, of.text)
		}
		materials = append(materials, material)
	}
	return materials, rows.Err()
}

// wrapContext binds wrapped material to its place: moved to another key's row, it does not unwrap.
func wrapContext(keyARN, materialID string) []byte { return []byte(keyARN + "\n" + materialID) }

// stateOf is a key's state as the transaction of an effect sees it.
func stateOf(tx store.Tx, ref keyRef) (state types.KeyState, err error) {
	err = tx.QueryRow(`SELECT state FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`,
		ref.account, ref.region, ref.id).Scan(&state)
	if errors.Is(err, store.ErrNoRows) {
		return "", noSuchKey(ref)
	}
	return state, err
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

func toMillis(t time.Time) int64 { return t.UnixMilli() }

// fromMillis is the time of a column. 0 is no time.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
