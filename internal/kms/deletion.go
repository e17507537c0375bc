package kms

import (
	"context"
	"errors"
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
// caller says otherwise.
func (k *KMS) ScheduleKeyDeletion(ctx context.Context, c *call.Call, in *kms.ScheduleKeyDeletionInput) (
	*kms.ScheduleKeyDeletionOutput, error) {
	if in.PendingWindowInDays == nil {
		in.PendingWindowInDays = new(int32(defaultPendingWindow))
	}
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:ScheduleKeyDeletion"))
	if err != nil {
		return nil, err
	}
	days := *in.PendingWindowInDays
	if days < minPendingWindow || days > maxPendingWindow {
		return nil, call.Errorf("ValidationException", "PendingWindowInDays must be between %d and %d", minPendingWindow, maxPendingWindow)
	}
	deletion := fromMillis(toMillis(c.Time.Add(time.Duration(days) * 24 * time.Hour)))
	schedule := k.change(key.ref, key.changeable,
		`UPDATE kms_key SET state = $4, deletion = $5 WHERE account = $1 AND region = $2 AND id = $3`,
		types.KeyStatePendingDeletion, toMillis(deletion))
	c.Effect(func(tx store.Tx) error {
		tx.OnCommit(k.deletionScheduled)
		return schedule(tx)
	})
	return &kms.ScheduleKeyDeletionOutput{
		DeletionDate:        &deletion,
		KeyId:               &key.text,
		KeyState:            types.KeyStatePendingDeletion,
		PendingWindowInDays: &days,
	}, nil
}

// CancelKeyDeletion keeps a key whose deletion is scheduled. It is disabled then.
func (k *KMS) CancelKeyDeletion(ctx context.Context, c *call.Call, in *kms.CancelKeyDeletionInput) (*kms.CancelKeyDeletionOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:CancelKeyDeletion"))
	if err != nil {
		return nil, err
	}
	pending := func(state types.KeyState) error {
		if state != types.KeyStatePendingDeletion {
			return call.Errorf("KMSInvalidStateException", "%s is not pending deletion.", key.text)
		}
		return nil
	}
	c.Effect(k.change(key.ref, pending,
		`UPDATE kms_key SET state = $4, deletion = 0 WHERE account = $1 AND region = $2 AND id = $3`, types.KeyStateDisabled))
	return &kms.CancelKeyDeletionOutput{KeyId: &key.text}, nil
}

// deletionScheduled wakes Run.
func (k *KMS) deletionScheduled() {
	select {
	case k.scheduled <- struct{}{}:
	default: // it has been told already
	}
}

// How many keys are destroyed in one transaction, and how long Run waits after a failure, in time of the machine.
const (
	maxDestroyed = 100
	retryAfter   = 5 * time.Second
)

// Run destroys keys when their waiting period has ended, also those whose period ended while nothing ran, until ctx is
// done; then it returns nil. A failure of the database or the journal is logged and tried again, except when
// another process has taken the database over, which Run returns.
func (k *KMS) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		next, err := k.destroyDue(ctx)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, store.ErrFenced):
			return err
		case err != nil:
			k.log.Error("keys whose waiting period has ended could not be destroyed; trying again", "error", err, "after", retryAfter)
			k.sleepAfterFailure(ctx)
		default:
			k.sleepUntil(ctx, next)
		}
	}
	return nil
}

// destroyDue destroys all keys whose time has come, and returns when the next one's comes: the zero time if no deletion
// is scheduled.
func (k *KMS) destroyDue(ctx context.Context) (next time.Time, err error) {
	for {
		next, err = k.nextDeletion(ctx)
		if err != nil || next.IsZero() || next.After(k.clock.Now()) {
			return next, err
		}
		if err := k.destroy(ctx); err != nil {
			return time.Time{}, err
		}
	}
}

func (k *KMS) nextDeletion(ctx context.Context) (next time.Time, err error) {
	err = k.db.View(ctx, func(tx store.Tx) error {
		var ms int64
		err := tx.QueryRow(`SELECT deletion FROM kms_key WHERE deletion > 0 ORDER BY deletion LIMIT 1`).Scan(&ms)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		next = fromMillis(ms)
		return err
	})
	return next, err
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
	due, err := dueKeys(tx, now)
	if err != nil {
		return nil, err
	}
	for _, ref := range due {
		names, err := aliasesOf(tx, ref)
		if err != nil {
			return nil, err
		}
		for _, statement := range []string{
			`DELETE FROM kms_material WHERE account = $1 AND region = $2 AND key_id = $3`,
			`DELETE FROM kms_alias WHERE account = $1 AND region = $2 AND key_id = $3`,
			`DELETE FROM kms_tag WHERE account = $1 AND region = $2 AND key_id = $3`,
			`DELETE FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`,
		} {
			if _, err := tx.Exec(statement, ref.account, ref.region, ref.id); err != nil {
				return nil, err
			}
		}
		tx.OnCommit(func() {
			for _, name := range names {
				k.aliases.forget(aliasRef{ref.account, ref.region, name})
			}
			k.keys.forget(ref)
		})
	}
	return due, nil
}

func dueKeys(tx store.Tx, now time.Time) (due []keyRef, err error) {
	rows, err := tx.Query(`SELECT account, region, id FROM kms_key WHERE deletion > 0 AND deletion <= $1
		ORDER BY deletion LIMIT $2`, toMillis(now), maxDestroyed)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var ref keyRef
		if err := rows.Scan(&ref.account, &ref.region, &ref.id); err != nil {
			return nil, err
		}
		due = append(due, ref)
	}
	return due, rows.Err()
}

// sleepUntil sleeps until the server's time is t, for ever if t is zero, or until a deletion is scheduled or ctx is
// done.
func (k *KMS) sleepUntil(ctx context.Context, t time.Time) {
	if t.IsZero() {
		select {
		case <-k.scheduled:
		case <-ctx.Done():
		}
		return
	}
	ctx, wake := context.WithCancel(ctx)
	slept := make(chan struct{})
	go func() {
		defer close(slept)
		k.clock.Sleep(ctx, t)
	}()
	select {
	case <-k.scheduled:
	case <-slept:
	}
	wake()
	<-slept
}

// sleepAfterFailure sleeps for retryAfter, or until a deletion is scheduled, which shows that the database is well
// again, or ctx is done.
func (k *KMS) sleepAfterFailure(ctx context.Context) {
	timer := time.NewTimer(retryAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.scheduled:
	case <-ctx.Done():
	}
}
