package kms

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/kms/keycrypt"
	"vigil/internal/paging"
	"vigil/internal/store"
)

const (
	defaultRotationPeriod = 365 // days
	maxOnDemandRotations  = 25  // of a key, for ever
	maxRotated            = 50  // keys in one transaction
	day                   = 24 * time.Hour
	// soon is how near an automatic rotation is for a rotation on demand to be refused.
	soon = 20 * time.Minute
)

// EnableKeyRotation has a key rotated every so many days, from 90 to 2560 and 365 unless the caller says otherwise, the first time
// that many days from now. A key that is rotated already gets the new period; the same period again changes nothing.
func (k *KMS) EnableKeyRotation(ctx context.Context, c *call.Call, in *kms.EnableKeyRotationInput) (*kms.EnableKeyRotationOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:EnableKeyRotation").with(in))
	if err != nil {
		return nil, err
	}
	period := int64(defaultRotationPeriod)
	if in.RotationPeriodInDays != nil {
		period = int64(*in.RotationPeriodInDays)
	}
	if err := k.setRotation(c, key, period); err != nil {
		return nil, err
	}
	return &kms.EnableKeyRotationOutput{}, nil
}

// DisableKeyRotation ends the automatic rotation of a key. It keeps all of its material.
func (k *KMS) DisableKeyRotation(ctx context.Context, c *call.Call, in *kms.DisableKeyRotationInput) (*kms.DisableKeyRotationOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:DisableKeyRotation"))
	if err != nil {
		return nil, err
	}
	if err := k.setRotation(c, key, 0); err != nil {
		return nil, err
	}
	return &kms.DisableKeyRotationOutput{}, nil
}

// setRotation has a key, and those that share its material, rotated every period days, or not if period is 0.
func (k *KMS) setRotation(c *call.Call, of *key, period int64) error {
	if err := of.rotates(); err != nil {
		return err
	}
	if of.origin != types.OriginTypeAwsKms {
		return originNotValid(of)
	}
	if err := of.sharedChangeable(); err != nil {
		return err
	}
	var next time.Time
	if period > 0 {
		next = c.Time.Add(time.Duration(period) * day)
	}
	c.Effect(func(tx store.Tx) error {
		state, err := stateOf(tx, of.ref)
		if err != nil {
			return err
		}
		if err := of.enabled(state); err != nil {
			return err
		}
		sharers, err := sharersOf(tx, of.ref)
		if err != nil {
			return err
		}
		for _, ref := range sharers {
			_, err := tx.Exec(`UPDATE kms_key SET rotation_period = $4, next_rotation = $5
				WHERE account = $1 AND region = $2 AND id = $3 AND rotation_period <> $4`, ref.account, ref.region, ref.id, period, toMillis(next))
			if err != nil {
				return err
			}
		}
		tx.OnCommit(k.wake)
		return nil
	})
	c.Responded("keyId", of.text)
	of.shareChanged(c)
	return nil
}

// shareChanged records, beside a call that changes what a set of keys shares, that the set is synchronized.
func (k *key) shareChanged(c *call.Call) {
	if len(k.related) > 1 {
		c.Also(func(vigil.Record) vigil.Record { return synchronized(k.ref, c.Time) })
	}
}

// rotates says whether a key is of the one kind that can have several materials.
func (k *key) rotates() error {
	if k.spec != types.KeySpecSymmetricDefault || k.origin != types.OriginTypeAwsKms && k.origin != types.OriginTypeExternal {
		return call.Errorf("UnsupportedOperationException", "")
	}
	return nil
}

func originNotValid(of *key) error {
	return call.Errorf("UnsupportedOperationException", "%s origin is %s which is not valid for this operation.", of.text, of.origin)
}

// GetKeyRotationStatus tells whether, how often and when next a key is rotated by itself. A rotation on demand is done
// before its call is answered, so that none is ever in progress.
func (k *KMS) GetKeyRotationStatus(ctx context.Context, c *call.Call, in *kms.GetKeyRotationStatusInput) (
	*kms.GetKeyRotationStatusOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, access{action: "kms:GetKeyRotationStatus", crossAccount: true})
	if err != nil {
		return nil, err
	}
	if err := key.rotates(); err != nil {
		return nil, err
	}
	if key.state == types.KeyStatePendingImport {
		return nil, originNotValid(key)
	}
	var period, next int64
	err = k.db.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT rotation_period, next_rotation FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`,
			key.ref.account, key.ref.region, key.ref.id).Scan(&period, &next)
	})
	if err != nil {
		return nil, orNoSuchKey(err, key.ref)
	}
	out := &kms.GetKeyRotationStatusOutput{KeyId: new(key.ref.id)}
	if period > 0 && key.changeable(key.state) == nil { // a key that is to be deleted is not rotated, unless that is cancelled
		out.KeyRotationEnabled, out.RotationPeriodInDays, out.NextRotationDate = true, new(int32(period)), new(fromMillis(next))
	}
	return out, nil
}

// RotateKeyOnDemand rotates a key now, at most 25 times in its life: it gets new material, or, if its material is imported, that
// which was imported for it. The dates of its automatic rotation stay as they are.
func (k *KMS) RotateKeyOnDemand(ctx context.Context, c *call.Call, in *kms.RotateKeyOnDemandInput) (*kms.RotateKeyOnDemandOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:RotateKeyOnDemand"))
	if err != nil {
		return nil, err
	}
	if err := key.enabled(key.state); err != nil {
		return nil, err
	}
	if err := key.rotates(); err != nil {
		return nil, err
	}
	if err := key.sharedChangeable(); err != nil {
		return nil, err
	}
	r := rotation{of: key.ref, kind: types.RotationTypeOnDemand, at: c.Time}
	c.Effect(func(tx store.Tx) error { return k.rotateOnDemand(tx, key, &r) })
	c.Also(func(vigil.Record) vigil.Record { return r.event().CloudTrail() })
	key.shareChanged(c)
	return &kms.RotateKeyOnDemandOutput{KeyId: new(key.ref.id)}, nil
}

func (k *KMS) rotateOnDemand(tx store.Tx, of *key, r *rotation) error {
	state, err := stateOf(tx, of.ref)
	if err != nil {
		return err
	}
	if err := of.enabled(state); err != nil {
		return err
	}
	all, err := versionsOf(tx, of.ref)
	if err != nil {
		return err
	}
	if all.rotations(types.RotationTypeOnDemand) >= maxOnDemandRotations {
		return call.Errorf("LimitExceededException", "The on-demand rotations limit has been reached for the given keyId. "+
			"No more on-demand rotations can be performed for this key: %s", of.text)
	}
	var next int64
	if err := tx.QueryRow(`SELECT next_rotation FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`,
		of.ref.account, of.ref.region, of.ref.id).Scan(&next); err != nil {
		return err
	}
	if next > 0 && fromMillis(next).Sub(r.at) <= soon {
		return call.Errorf("ConflictException", "An automatic rotation of this key is currently in progress or scheduled to begin "+
			"within the next 20 minutes.")
	}
	return k.rotate(tx, r)
}

// rotation is one rotation of a key, with what became of it.
type rotation struct {
	of   keyRef
	kind types.RotationType
	at   time.Time

	origin            types.OriginType
	previous, current string // ids of material
	synchronized      bool   // its replicas have it too
}

// rotate gives a key, and those that share its material, its next material. None of them encrypts with it before all
// have it.
func (k *KMS) rotate(tx store.Tx, r *rotation) error {
	err := tx.QueryRow(`SELECT origin, material FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`,
		r.of.account, r.of.region, r.of.id).Scan(&r.origin, &r.previous)
	if err != nil {
		return err
	}
	sharers, err := sharersOf(tx, r.of)
	if err != nil {
		return err
	}
	r.synchronized = len(sharers) > 1
	var fresh *keycrypt.Material
	if r.origin == types.OriginTypeAwsKms {
		fresh = keycrypt.Generate(r.of.id, keycrypt.SizeSymmetric)
	}
	for _, ref := range sharers {
		if err := k.advance(tx, ref, r, fresh); err != nil {
			return err
		}
	}
	tx.OnCommit(func() {
		for _, ref := range sharers {
			k.keys.forget(ref)
		}
	})
	return nil
}

// advance makes fresh the current material of one key, or, without it, what was imported and waits for that.
func (k *KMS) advance(tx store.Tx, ref keyRef, r *rotation, fresh *keycrypt.Material) error {
	all, err := versionsOf(tx, ref)
	if err != nil {
		return err
	}
	next := all.pending()
	switch {
	case fresh != nil:
		wrapped, err := k.wrap(ref, fresh)
		if err != nil {
			return err
		}
		next = &version{id: fresh.ID(), ordinal: all.next(), wrapped: wrapped, created: r.at}
	case next == nil || next.state != types.KeyMaterialStatePendingRotation || !next.imported():
		return call.Errorf("KMSInvalidStateException", "No available key material pending rotation for the key: %s.", r.of.arn())
	}
	if last := all.current(); last != nil {
		last.state = types.KeyMaterialStateNonCurrent
		if err := last.put(tx, ref); err != nil {
			return err
		}
	}
	next.state, next.rotated, next.rotation = types.KeyMaterialStateCurrent, r.at, r.kind
	if err := next.put(tx, ref); err != nil {
		return err
	}
	r.current = next.id
	_, err = tx.Exec(`UPDATE kms_key SET material = $4 WHERE account = $1 AND region = $2 AND id = $3`,
		ref.account, ref.region, ref.id, next.id)
	if err == nil && r.kind == types.RotationTypeAutomatic {
		_, err = tx.Exec(`UPDATE kms_key SET next_rotation = $4 + rotation_period * 86400000
			WHERE account = $1 AND region = $2 AND id = $3`, ref.account, ref.region, ref.id, toMillis(r.at))
	}
	return err
}

// event is the service event of a rotation.
func (r *rotation) event() call.ServiceEvent {
	return call.ServiceEvent{
		Source: eventSource, Name: "RotateKey", Region: r.of.region, Account: r.of.account, Time: r.at,
		Resources: []vigil.Resource{{AccountID: r.of.account, Type: keyType, ARN: r.of.arn().String()}},
		Details: []call.Detail{
			{Name: "rotationType", Value: string(r.kind)}, {Name: "keyOrigin", Value: string(r.origin)},
			{Name: "previousKeyMaterialId", Value: r.previous}, {Name: "currentKeyMaterialId", Value: r.current}, {Name: "keyId", Value: r.of.id},
		},
	}
}

// due is what keys are to be rotated now. A disabled key waits until it is enabled.
const due = `FROM kms_key WHERE next_rotation > 0 AND state = 'Enabled' AND multi_region <> 'REPLICA'`

// rotateDue rotates all keys whose time has come, and returns when the next one's comes: the zero time if there is none.
func (k *KMS) rotateDue(ctx context.Context) (next time.Time, err error) {
	return k.untilDone(ctx, func(ctx context.Context) (time.Time, error) {
		return k.earliest(ctx, `SELECT next_rotation `+due+` ORDER BY next_rotation LIMIT 1`)
	}, k.rotateSome)
}

// rotateSome rotates the keys that have waited longest, and records each as the service event RotateKey, in one transaction.
func (k *KMS) rotateSome(ctx context.Context) error {
	now := k.clock.Now()
	var done []rotation
	effect := func(tx store.Tx) error {
		done = nil
		refs, err := keysOf(tx, `SELECT account, region, id `+due+` AND next_rotation <= $1 ORDER BY next_rotation LIMIT $2`,
			toMillis(now), maxRotated)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			r := rotation{of: ref, kind: types.RotationTypeAutomatic, at: now}
			if err := k.rotate(tx, &r); err != nil {
				return err
			}
			done = append(done, r)
		}
		return nil
	}
	record := func(err error) (records []journal.Record) {
		if err != nil {
			return nil // nothing happened
		}
		for _, r := range done {
			records = append(records, r.event().Record())
			if r.synchronized {
				s := synchronized(r.of, now)
				records = append(records, journal.Record{Time: now, Data: s.AppendJSON(nil)})
			}
		}
		return records
	}
	if err := k.journal.Commit(ctx, effect, record); err != nil {
		return fmt.Errorf("automatic rotation: %w", err)
	}
	for _, r := range done {
		k.log.Info("key rotated", "key", r.of.arn().String(), "material", r.current)
	}
	return nil
}

// ListKeyRotations lists the rotations of a key in their order, and, if the caller asks for all of its material, the
// first one and what waits for a rotation.
func (k *KMS) ListKeyRotations(ctx context.Context, c *call.Call, in *kms.ListKeyRotationsInput) (*kms.ListKeyRotationsOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:ListKeyRotations"))
	if err != nil {
		return nil, err
	}
	if err := key.rotates(); err != nil {
		return nil, err
	}
	page := paging.New(in.Limit, 100, 1000, c.Operation, key.text, string(in.IncludeKeyMaterial))
	after, err := pageAfter(page, in.Marker)
	if err != nil {
		return nil, err
	}
	var last int64 // the ordinal of the last one shown
	if after != "" {
		if last, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, invalidMarker()
		}
	}
	var all versions
	err = k.db.View(ctx, func(tx store.Tx) error {
		all, err = versionsOf(tx, key.ref)
		return err
	})
	if err != nil {
		return nil, err
	}
	type entry struct {
		types.RotationsListEntry
		ordinal int64
	}
	found := []entry{}
	for i := range all {
		v := &all[i]
		if v.ordinal > last && (in.IncludeKeyMaterial == types.IncludeKeyMaterialAllKeyMaterial || !v.rotated.IsZero()) {
			found = append(found, entry{key.rotationEntry(v), v.ordinal})
		}
	}
	found, next := paging.Cut(page, found, func(e entry) string { return strconv.FormatInt(e.ordinal, 10) })
	out := &kms.ListKeyRotationsOutput{Rotations: make([]types.RotationsListEntry, len(found)), NextMarker: next, Truncated: next != nil}
	for i := range found {
		out.Rotations[i] = found[i].RotationsListEntry
	}
	return out, nil
}

// rotationEntry is one of the key's materials as ListKeyRotations shows it.
func (k *key) rotationEntry(v *version) types.RotationsListEntry {
	e := types.RotationsListEntry{KeyId: new(k.ref.id), KeyMaterialId: new(v.id), KeyMaterialState: v.state, RotationType: v.rotation}
	if !v.rotated.IsZero() {
		e.RotationDate = new(v.rotated)
	}
	if k.origin != types.OriginTypeExternal {
		return e
	}
	if v.description != "" {
		e.KeyMaterialDescription = new(v.description)
	}
	if !v.imported() {
		e.ImportState = types.ImportStatePendingImport
		return e
	}
	e.ImportState, e.ExpirationModel = types.ImportStateImported, types.ExpirationModelTypeKeyMaterialDoesNotExpire
	if !v.validTo.IsZero() {
		e.ExpirationModel, e.ValidTo = types.ExpirationModelTypeKeyMaterialExpires, new(v.validTo)
	}
	return e
}
