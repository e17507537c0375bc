package kms

import (
	"context"
	"errors"
	"time"

	"vigil/internal/store"
)

// retryAfter is how long Run waits after a failure, in time of the machine.
const retryAfter = 5 * time.Second

// Run does what comes due, also what came due while nothing ran: it destroys keys whose waiting period has ended and
// imported key material that has expired, and rotates keys. It goes on until ctx is done; then it returns nil. A failure
// of the database or the journal is logged and tried again, except when another process has taken the database over, which Run returns.
func (k *KMS) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		next, err := k.doDue(ctx)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, store.ErrFenced):
			return err
		case err != nil:
			k.log.Error("what has come due for keys could not be done; trying again", "error", err, "after", retryAfter)
			k.sleepAfterFailure(ctx)
		default:
			k.sleepUntil(ctx, next)
		}
	}
	return nil
}

// doDue does all that is due, and returns when the next thing will be: the zero time if there is none. What is
// destroyed comes first: no key is rotated on the day on which it ends.
func (k *KMS) doDue(ctx context.Context) (next time.Time, err error) {
	for _, do := range []func(context.Context) (time.Time, error){k.destroyDue, k.expireDue, k.rotateDue} {
		at, err := do(ctx)
		if err != nil {
			return time.Time{}, err
		}
		if next.IsZero() || !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next, nil
}

// untilDone does what is due again and again until nothing is, and returns when the next thing will be.
func (k *KMS) untilDone(ctx context.Context, nextDue func(context.Context) (time.Time, error), do func(context.Context) error) (
	next time.Time, err error) {
	for {
		next, err = nextDue(ctx)
		if err != nil || next.IsZero() || next.After(k.clock.Now()) {
			return next, err
		}
		if err := do(ctx); err != nil {
			return time.Time{}, err
		}
	}
}

// earliest is the time that a query finds, in milliseconds, or the zero time when it finds none.
func (k *KMS) earliest(ctx context.Context, query string) (next time.Time, err error) {
	err = k.db.View(ctx, func(tx store.Tx) error {
		var ms int64
		err := tx.QueryRow(query).Scan(&ms)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		next = fromMillis(ms)
		return err
	})
	return next, err
}

// wake has Run look at what is due again: something has been given a date.
func (k *KMS) wake() {
	select {
	case k.scheduled <- struct{}{}:
	default: // it has been told already
	}
}

// sleepUntil sleeps until the server's time is t, for ever if t is zero, or until a date is set or ctx is
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

// sleepAfterFailure sleeps for retryAfter, or until a date is set, which shows that the database is well
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
