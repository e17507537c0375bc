package kms

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/kms/keycrypt"
	"vigil/internal/store"
)

// version is one of a key's materials as the database has it. Materials that are generated are there from the first
// to the last day of their key. Imported ones come and go: what is known of them stays, so that they can be imported again.
type version struct {
	id          string
	ordinal     int64
	state       types.KeyMaterialState
	wrapped     []byte // empty while it is not here
	created     time.Time
	rotated     time.Time // when it became the current one; zero for the first and for what waits
	rotation    types.RotationType
	validTo     time.Time // zero if it does not expire, or is not here
	description string
}

func (v *version) imported() bool { return len(v.wrapped) > 0 }

// permanent says that the key decrypts with it, and cannot be used without it.
func (v *version) permanent() bool {
	return v.state == types.KeyMaterialStateCurrent || v.state == types.KeyMaterialStateNonCurrent
}

// absent is the version without its material.
func (v version) absent() version {
	v.wrapped, v.validTo = nil, time.Time{}
	return v
}

// versions are a key's materials in the order in which they became known.
type versions []version

func versionsOf(tx store.Tx, ref keyRef) (all versions, err error) {
	rows, err := tx.Query(`SELECT id, ordinal, state, wrapped, created, rotated, rotation_type, valid_to, description
		FROM kms_material WHERE account = $1 AND region = $2 AND key_id = $3 ORDER BY ordinal, id`, ref.account, ref.region, ref.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v version
		var created, rotated, validTo int64
		if err := rows.Scan(&v.id, &v.ordinal, &v.state, &v.wrapped, &created, &rotated, &v.rotation, &validTo, &v.description); err != nil {
			return nil, err
		}
		v.created, v.rotated, v.validTo = fromMillis(created), fromMillis(rotated), fromMillis(validTo)
		all = append(all, v)
	}
	return all, rows.Err()
}

// find is the one with this id, or nil.
func (vs versions) find(id string) *version {
	i := slices.IndexFunc(vs, func(v version) bool { return v.id == id })
	if i < 0 {
		return nil
	}
	return &vs[i]
}

// current is the one that the key encrypts with, or nil before the first import.
func (vs versions) current() *version {
	i := slices.IndexFunc(vs, func(v version) bool { return v.state == types.KeyMaterialStateCurrent })
	if i < 0 {
		return nil
	}
	return &vs[i]
}

// pending is the one that waits for a rotation to make it the current one, or nil.
func (vs versions) pending() *version {
	i := slices.IndexFunc(vs, func(v version) bool { return !v.permanent() })
	if i < 0 {
		return nil
	}
	return &vs[i]
}

// complete says that the key has all the material that it needs to be used.
func (vs versions) complete() bool {
	return vs.current() != nil && !slices.ContainsFunc(vs, func(v version) bool { return v.permanent() && !v.imported() })
}

// next is the ordinal of a material that becomes known now.
func (vs versions) next() int64 {
	if len(vs) == 0 {
		return 1
	}
	return vs[len(vs)-1].ordinal + 1
}

// rotations counts those of one type.
func (vs versions) rotations(of types.RotationType) (n int) {
	for _, v := range vs {
		if v.rotation == of {
			n++
		}
	}
	return n
}

// put stores a version of a key, or what has changed of it.
func (v *version) put(tx store.Tx, of keyRef) error {
	wrapped := v.wrapped
	if wrapped == nil {
		wrapped = []byte{}
	}
	_, err := tx.Exec(`INSERT INTO kms_material (account, region, key_id, id, wrapped, created, ordinal, state, rotated, rotation_type,
		valid_to, description) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (account, region, key_id, id) DO UPDATE SET wrapped = excluded.wrapped, state = excluded.state,
		rotated = excluded.rotated, rotation_type = excluded.rotation_type, valid_to = excluded.valid_to, description = excluded.description`,
		of.account, of.region, of.id, v.id, wrapped, toMillis(v.created), v.ordinal, string(v.state), toMillis(v.rotated), string(v.rotation),
		toMillis(v.validTo), v.description)
	return err
}

// dropVersion forgets a material that a key was never used with.
func dropVersion(tx store.Tx, of keyRef, id string) error {
	_, err := tx.Exec(`DELETE FROM kms_material WHERE account = $1 AND region = $2 AND key_id = $3 AND id = $4`,
		of.account, of.region, of.id, id)
	return err
}

// wrap encrypts material for a key's row.
func (k *KMS) wrap(of keyRef, material *keycrypt.Material) ([]byte, error) {
	secret := material.Secret()
	defer clear(secret)
	return k.material.Wrap(secret, wrapContext(of.arn().String(), material.ID()))
}

// unwrap decrypts what wrap made.
func (k *KMS) unwrap(of keyRef, v *version) (*keycrypt.Material, error) {
	secret, err := k.material.Unwrap(v.wrapped, wrapContext(of.arn().String(), v.id))
	if err != nil {
		return nil, fmt.Errorf("unwrap material %s of %s: %w", v.id, of.arn(), err)
	}
	defer clear(secret)
	material := keycrypt.New(of.id, secret)
	if material.ID() != v.id {
		return nil, fmt.Errorf("material %s of %s is not what its id says", v.id, of.arn())
	}
	return material, nil
}

// readMaterials fills in what a key encrypts and decrypts with.
func (k *KMS) readMaterials(tx store.Tx, of *key) error {
	all, err := versionsOf(tx, of.ref)
	if err != nil {
		return err
	}
	for i := range all {
		v := &all[i]
		if !v.imported() || !v.permanent() {
			continue
		}
		material, err := k.unwrap(of.ref, v)
		if err != nil {
			return err
		}
		of.materials = append(of.materials, material)
		if v.id == of.currentID {
			of.current, of.validTo = material, v.validTo
		}
	}
	if of.current == nil && of.origin != types.OriginTypeExternal {
		return fmt.Errorf("%s has lost its material %s", of.text, of.currentID)
	}
	return nil
}

// settle gives a key the state that its materials let it have: it waits for import while one of them is missing, and is
// enabled when the last one has come. A key whose deletion is scheduled stays what it is.
func settle(tx store.Tx, ref keyRef, all versions) error {
	to, from, or := types.KeyStatePendingImport, types.KeyStateEnabled, types.KeyStateDisabled
	if all.complete() {
		to, from, or = types.KeyStateEnabled, types.KeyStatePendingImport, types.KeyStatePendingImport
	}
	_, err := tx.Exec(`UPDATE kms_key SET state = $4 WHERE account = $1 AND region = $2 AND id = $3 AND (state = $5 OR state = $6)`,
		ref.account, ref.region, ref.id, string(to), string(from), string(or))
	return err
}
