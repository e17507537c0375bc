package kms

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// maxExpired is how many materials are destroyed in one transaction.
const maxExpired = 100

// materialRef is one of a key's materials.
type materialRef struct {
	of keyRef
	id string
}

// expireDue destroys all imported material that has expired, and returns when the next one does: the zero time if none will.
func (k *KMS) expireDue(ctx context.Context) (next time.Time, err error) {
	return k.untilDone(ctx, func(ctx context.Context) (time.Time, error) {
		return k.earliest(ctx, `SELECT valid_to FROM kms_material WHERE valid_to > 0 ORDER BY valid_to LIMIT 1`)
	}, k.expire)
}

// expire destroys the materials that have expired, and records each as the service event DeleteExpiredKeyMaterial, in one
// transaction.
func (k *KMS) expire(ctx context.Context) error {
	now := k.clock.Now()
	var events []call.ServiceEvent
	effect := func(tx store.Tx) error {
		events = nil
		expired, err := expiredMaterials(tx, now)
		if err != nil {
			return err
		}
		for _, m := range expired {
			e, err := k.expireIn(tx, m, now)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		return nil
	}
	record := func(err error) (records []journal.Record) {
		if err != nil {
			return nil // nothing happened
		}
		for _, e := range events {
			records = append(records, e.Record())
		}
		return records
	}
	if err := k.journal.Commit(ctx, effect, record); err != nil {
		return fmt.Errorf("expired key material: %w", err)
	}
	for _, e := range events {
		k.log.Info("imported key material expired and was destroyed", "key", e.Resources[0].ARN)
	}
	return nil
}

func expiredMaterials(tx store.Tx, now time.Time) (expired []materialRef, err error) {
	rows, err := tx.Query(`SELECT account, region, key_id, id FROM kms_material WHERE valid_to > 0 AND valid_to <= $1
		ORDER BY valid_to LIMIT $2`, toMillis(now), maxExpired)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var m materialRef
		if err := rows.Scan(&m.of.account, &m.of.region, &m.of.id, &m.id); err != nil {
			return nil, err
		}
		expired = append(expired, m)
	}
	return expired, rows.Err()
}

// expireIn destroys one material, unless a material that went with it has taken it along.
func (k *KMS) expireIn(tx store.Tx, m materialRef, now time.Time) (call.ServiceEvent, error) {
	e := call.ServiceEvent{
		Source: eventSource, Name: "DeleteExpiredKeyMaterial", Region: m.of.region, Account: m.of.account, Time: now,
		Resources: []vigil.Resource{{AccountID: m.of.account, Type: keyType, ARN: m.of.arn().String()}},
		Details:   []call.Detail{{Name: "keyId", Value: m.of.id}},
	}
	var spec types.KeySpec
	if err := tx.QueryRow(`SELECT spec FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`,
		m.of.account, m.of.region, m.of.id).Scan(&spec); err != nil {
		return e, err
	}
	if spec == types.KeySpecSymmetricDefault { // other keys have one material, which has no id in the API
		e.Details = append(e.Details, call.Detail{Name: "keyMaterialId", Value: m.id})
	}
	all, err := versionsOf(tx, m.of)
	if err != nil {
		return e, err
	}
	if v := all.find(m.id); v != nil {
		err = k.removeMaterial(tx, m.of, v)
	}
	return e, err
}

// Expiration is one key whose imported material expires, with the next time that one of its materials does.
type Expiration struct {
	Account, Region, KeyID string
	ValidTo                time.Time
}

// Expiring are all keys that have material that expires: what the metric SecondsUntilKeyMaterialExpiration of AWS/KMS is made of.
func (k *KMS) Expiring(ctx context.Context) ([]Expiration, error) {
	return list(ctx, k.db, func(row store.Scanner) (e Expiration, err error) {
		var ms int64
		err = row.Scan(&e.Account, &e.Region, &e.KeyID, &ms)
		e.ValidTo = fromMillis(ms)
		return e, err
	}, `SELECT account, region, key_id, MIN(valid_to) FROM kms_material WHERE valid_to > 0 GROUP BY account, region, key_id
		ORDER BY account, region, key_id`)
}
