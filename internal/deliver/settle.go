package deliver

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"vigil/internal/store"
)

// result is what became of an attempt.
type result struct {
	stored    *stored
	failure   *failure // nil when it has arrived
	took      time.Duration
	abandoned bool // the outbox stopped: it counts for nothing
	expired   bool // there was no attempt, as it came too late; failure is the last one's

	again time.Time // when it is attempted again; zero when it is not
}

// slow reports whether the attempt makes its lane a slow one. An endpoint that answers at once, even to refuse what it is sent,
// is not slow.
func (r *result) slow() bool {
	return r.took > slowAttempt || r.failure != nil && !r.failure.final
}

// try makes one attempt.
func (o *Outbox) try(ctx context.Context, s *stored) result {
	if err := o.unpack(s); err != nil {
		o.log.Error("A delivery cannot be read.", "delivery", s.letter.ID, "error", err)
		return result{stored: s, failure: &failure{code: codeInternal, message: "the delivery cannot be read", final: true}}
	}
	if o.clock.Now().Sub(s.created) > s.Policy.MaxAge {
		f := &failure{code: s.letter.ErrorCode, message: s.letter.ErrorMessage}
		if s.attempts == 0 {
			f.code, f.message = codeTimeout, "it could not be attempted in time"
		}
		return result{stored: s, failure: f, expired: true}
	}
	begun := time.Now()
	timed, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	f := o.decrypt(timed, s)
	if f == nil {
		f = o.attempt(timed, s)
	}
	return result{stored: s, failure: f, took: time.Since(begun), abandoned: f != nil && ctx.Err() != nil}
}

func (o *Outbox) attempt(ctx context.Context, s *stored) *failure {
	switch s.Kind {
	case HTTP:
		return o.post(ctx, s)
	case SMTP:
		return o.mail(ctx, s)
	}
	return &failure{code: codeParameter, message: "there is no such kind of delivery", final: true}
}

// decrypt decrypts the body, if it is encrypted with a key of its sender's. A key that cannot be used may be usable later.
func (o *Outbox) decrypt(ctx context.Context, s *stored) *failure {
	if len(s.Key) == 0 {
		return nil
	}
	if o.config.Open == nil {
		return &failure{code: codeInternal, message: "the body is encrypted and cannot be decrypted"}
	}
	body, err := o.config.Open(ctx, s.Key, s.body)
	if err != nil {
		return &failure{code: codeNotAllowed, message: "the body cannot be decrypted: " + err.Error()}
	}
	s.body = body
	return nil
}

// settleAll writes down what became of attempts, as many at a time as have ended, until results is closed. It gives up, with the
// error, only when the database is not this process's any more.
func (o *Outbox) settleAll(ctx context.Context, results <-chan result, settled chan<- []result) error {
	for first := range results {
		batch := []result{first}
		for more := true; more; {
			select {
			case r, ok := <-results:
				if more = ok; ok {
					batch = append(batch, r)
				}
			default:
				more = false
			}
		}
		if err := o.settleSurely(ctx, batch); err != nil {
			return err // what has arrived is attempted again by the next process
		}
		settled <- batch
	}
	return nil
}

// settleSurely tries for as long as it takes.
func (o *Outbox) settleSurely(ctx context.Context, batch []result) error {
	for {
		err := o.settle(ctx, batch)
		if err == nil || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrFenced) {
			return err
		}
		o.log.Error("What became of deliveries could not be written down; trying again.", "error", err)
		if err := o.clock.Sleep(ctx, o.clock.Now().Add(retryAfterFailure)); err != nil {
			return err
		}
	}
}

// settle writes a batch down. It may run again for the same batch.
func (o *Outbox) settle(ctx context.Context, batch []result) error {
	now := o.clock.Now()
	var delivered, failed, died int64
	err := o.db.Update(ctx, func(tx store.Tx) error {
		delivered, failed, died = 0, 0, 0
		for i := range batch {
			r := &batch[i]
			switch {
			case r.abandoned:
			case r.failure == nil:
				delivered++
				if _, err := tx.Exec(`DELETE FROM deliver_delivery WHERE id = $1 AND dead = 0`, r.stored.letter.ID); err != nil {
					return err
				}
			default:
				if !r.expired {
					failed++
				}
				dead, err := o.settleFailure(tx, r, now)
				if err != nil {
					return err
				}
				if dead {
					died++
				}
			}
		}
		return nil
	})
	if err == nil {
		o.delivered.Add(delivered)
		o.failed.Add(failed)
		o.died.Add(died)
	}
	return err
}

// What of a policy is exhausted, in EventBridge's words.
const (
	exhaustedAttempts = "MaximumRetryAttempts"
	exhaustedAge      = "MaximumEventAgeInSeconds"
)

// settleFailure sets the time of the next attempt, or makes the delivery a dead letter.
func (o *Outbox) settleFailure(tx store.Tx, r *result, now time.Time) (dead bool, err error) {
	s, l := r.stored, r.stored.letter
	l.ErrorCode, l.ErrorMessage = r.failure.code, clip(text(r.failure.message))
	if !r.expired {
		l.Attempts++
	}
	r.again = time.Time{}
	switch {
	case r.expired:
		l.Exhausted = exhaustedAge
	case r.failure.final:
	case l.Attempts >= s.Policy.MaxAttempts:
		l.Exhausted = exhaustedAttempts
	default:
		again := now.Add(max(s.Policy.delay(l.Attempts, rand.Float64()), r.failure.after))
		if again.Sub(s.created) <= s.Policy.MaxAge {
			r.again = again
		} else {
			l.Exhausted = exhaustedAge
		}
	}
	if !r.again.IsZero() {
		_, err := tx.Exec(`UPDATE deliver_delivery SET due = $2, attempts = $3, error_code = $4, error_message = $5
			WHERE id = $1 AND dead = 0`, l.ID, r.again.UnixMilli(), l.Attempts, l.ErrorCode, l.ErrorMessage)
		return false, err
	}
	l.Died = now
	changed, err := tx.Exec(`UPDATE deliver_delivery SET dead = $2, attempts = $3, error_code = $4, error_message = $5, exhausted = $6
		WHERE id = $1 AND dead = 0`, l.ID, now.UnixMilli(), l.Attempts, l.ErrorCode, l.ErrorMessage, l.Exhausted)
	if err != nil || changed == 0 {
		return false, err
	}
	if o.config.Dead != nil {
		if err := o.config.Dead(tx, l); err != nil {
			return false, err
		}
	}
	o.log.Warn("A delivery was given up.", "delivery", l.ID, "source", l.Source, "target", l.Target,
		"attempts", l.Attempts, "code", l.ErrorCode, "error", l.ErrorMessage)
	return true, nil
}

// clip shortens a message for the table.
func clip(s string) string {
	const most = 512
	if len(s) > most {
		s = text(s[:most])
	}
	return s
}
