package kms

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// The waiting period of a scheduled deletion, in days.
const (
	minPendingWindow     = 7
	maxPendingWindow     = 30
	defaultPendingWindow = 30
)

// ScheduleKeyDeletion stops the use of a key at once, and has it destroyed when 7 to 30 days have passed, 30 unless the
// caller says otherwise. A multi-Region primary key with replicas waits for them to be destroyed, and then as long again.
func (k *KMS) ScheduleKeyDeletion(ctx context.Context, c *call.Call, in *kms.ScheduleKeyDeletionInput) (
	*kms.ScheduleKeyDeletionOutput, error) {
	if in.PendingWindowInDays == nil {
		in.PendingWindowInDays = new(int32(defaultPendingWindow))
	}
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:ScheduleKeyDeletion").with(in))
	if err != nil {
		return nil, err
	}
	days := *in.PendingWindowInDays
	if days < minPendingWindow || days > maxPendingWindow {
		return nil, call.Errorf("ValidationException", "PendingWindowInDays must be between %d and %d", minPendingWindow, maxPendingWindow)
	}
	out := &kms.ScheduleKeyDeletionOutput{KeyId: &key.text, PendingWindowInDays: &days}
	c.Effect(func(tx store.Tx) error {
		tx.OnCommit(k.wake)
		others, err := replicasOf(tx, key.ref)
		if err != nil {
			return err
		}
		if key.multiRegion == types.MultiRegionKeyTypePrimary && len(others) > 0 {
			out.KeyState, out.DeletionDate = types.KeyStatePendingReplicaDeletion, nil
			return k.change(key.ref, key.changeable,
				`UPDATE kms_key SET state = $4, pending_window = $5 WHERE account = $1 AND region = $2 AND id = $3`,
				string(out.KeyState), int64(days))(tx)
		}
		out.KeyState, out.DeletionDate = types.KeyStatePendingDeletion, new(deletionDate(c.Time, days))
		return k.change(key.ref, key.changeable,
			`UPDATE kms_key SET state = $4, deletion = $5 WHERE account = $1 AND region = $2 AND id = $3`,
			string(out.KeyState), toMillis(*out.DeletionDate))(tx)
	})
	return out, nil
}

func deletionDate(from time.Time, days int32) time.Time {
	return fromMillis(toMillis(from.Add(time.Duration(days) * 24 * time.Hour)))
}

// CancelKeyDeletion keeps a key whose deletion is scheduled. It is disabled then, or waits for its material to be imported.
func (k *KMS) CancelKeyDeletion(ctx context.Context, c *call.Call, in *kms.CancelKeyDeletionInput) (*kms.CancelKeyDeletionOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:CancelKeyDeletion"))
	if err != nil {
		return nil, err
	}
	pending := func(state types.KeyState) error {
		if state != types.KeyStatePendingDeletion && state != types.KeyStatePendingReplicaDeletion {
			return call.Errorf("KMSInvalidStateException", "%s is not pending deletion.", key.text)
		}
		return nil
	}
	cancel := k.change(key.ref, pending, `UPDATE kms_key SET state = $4, deletion = 0, pending_window = 0
		WHERE account = $1 AND region = $2 AND id = $3`, string(types.KeyStateDisabled))
	c.Effect(func(tx store.Tx) error {
		if err := cancel(tx); err != nil {
			return err
		}
		all, err := versionsOf(tx, key.ref)
		if err != nil || all.complete() {
			return err
		}
		return settle(tx, key.ref, all)
	})
	return &kms.CancelKeyDeletionOutput{KeyId: &key.text}, nil
}

// maxDestroyed is how many keys are destroyed in one transaction.
const maxDestroyed = 100

// destroyDue destroys all keys whose time has come, and returns when the next one's comes: the zero time if no deletion
// is scheduled.
func (k *KMS) destroyDue(ctx context.Context) (next time.Time, err error) {
	return k.untilDone(ctx, func(ctx context.Context) (time.Time, error) {
		return k.earliest(ctx, `SELECT deletion FROM kms_key WHERE deletion > 0 ORDER BY deletion LIMIT 1`)
	}, k.destroy)
}

// destroy destroys the keys that have waited longest, and records each as the service event DeleteKey, in one
// transaction.
func (k *KMS) destroy(ctx context.Context) error {
	now := k.clock.Now()
	var destroyed []keyRef
	effect := func(tx store.Tx) (err error) {
		destroyed, err = k.destroyIn(tx, now)
		return err
	}
	record := func(err error) []journal.Record {
		if err != nil {
			return nil // nothing happened
		}
		records := make([]journal.Record, len(destroyed))
		for i, ref := range destroyed {
			records[i] = deleteKeyEvent(ref, now).Record()
		}
		return records
	}
	if err := k.journal.Commit(ctx, effect, record); err != nil {
		return err
	}
	for _, ref := range destroyed {
		k.log.Info("key destroyed", "key", ref.arn().String())
	}
	return nil
}

func deleteKeyEvent(ref keyRef, at time.Time) call.ServiceEvent {
	return call.ServiceEvent{
		Source:    eventSource,
		Name:      "DeleteKey",
		Region:    ref.region,
		Account:   ref.account,
		Time:      at,
		Resources: []vigil.Resource{{AccountID: ref.account, Type: keyType, ARN: ref.arn().String()}},
	}
}

// destroyIn looks again for keys that are due, as a deletion may have been cancelled since, and deletes all that is
// theirs.
func (k *KMS) destroyIn(tx store.Tx, now time.Time) ([]keyRef, error) {
	due, err := keysOf(tx, `SELECT account, region, id FROM kms_key WHERE deletion > 0 AND deletion <= $1 ORDER BY deletion LIMIT $2`,
		toMillis(now), maxDestroyed)
	if err != nil {
		return nil, err
	}
	for _, ref := range due {
		names, err := aliasesOf(tx, ref)
		if err != nil {
			return nil, err
		}
		grantees, err := granteesOf(tx, ref)
		if err != nil {
			return nil, err
		}
		for _, statement := range []string{
			`DELETE FROM kms_material WHERE account = $1 AND region = $2 AND key_id = $3`,
			`DELETE FROM kms_alias WHERE account = $1 AND region = $2 AND key_id = $3`,
			`DELETE FROM kms_grant WHERE account = $1 AND region = $2 AND key_id = $3`,
			`DELETE FROM kms_policy_principal WHERE account = $1 AND region = $2 AND key_id = $3`,
			`DELETE FROM kms_tag WHERE account = $1 AND region = $2 AND key_id = $3`,
			`DELETE FROM kms_external_key WHERE account = $1 AND region = $2 AND key_id = $3`,
			`DELETE FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`,
		} {
			if _, err := tx.Exec(statement, ref.account, ref.region, ref.id); err != nil {
				return nil, err
			}
		}
		others, err := releasePrimary(tx, ref, now)
		if err != nil {
			return nil, err
		}
		tx.OnCommit(func() {
			k.forget(others)
			for _, name := range names {
				k.aliases.forget(aliasRef{ref.account, ref.region, name})
			}
			for _, grantee := range grantees {
				k.grants.forget(granteeRef{ref, grantee})
			}
			k.keys.forget(ref)
		})
	}
	return due, nil
}
