package deliver

import (
	"context"
	"time"

	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// keepDead is how long a dead letter is kept: as long as a queue of SQS can keep one at most.
const keepDead = 14 * 24 * time.Hour

// DeadLetter is a delivery that was given up. It says nothing of the request, which may hold secrets.
type DeadLetter struct {
	ID              string
	Account, Region string
	Source, Target  string
	Cause           Cause
	Enqueued, Died  time.Time
	Attempts        int
	ErrorCode       string // of the last attempt, as in EventBridge's dead letters: TIMEOUT, THROTTLING …
	ErrorMessage    string
	Exhausted       string // MaximumRetryAttempts, MaximumEventAgeInSeconds, or empty when a retry would have been of no use
}

// Operations are those of Vigil's own API that are about dead letters. The root user of an account may call them for its own, the
// operator's for all.
func (o *Outbox) Operations() []call.Operation {
	return []call.Operation{
		call.Read("ListDeadLetters", o.ListDeadLetters),
		call.Op("RedriveDeadLetters", o.RedriveDeadLetters),
	}
}

// ListDeadLettersInput is the input of ListDeadLetters.
type ListDeadLettersInput struct {
	AccountId  *string // the caller's if it is not given; only the operator may give another
	SourceArn  *string // only those of this rule, topic …
	MaxResults *int32  // 1 to 100; 100 if it is not given
	NextToken  *string
}

// ListDeadLettersOutput is the output of ListDeadLetters.
type ListDeadLettersOutput struct {
	DeadLetters []DeadLetterEntry
	NextToken   *string // where to go on; nil at the end
}

// DeadLetterEntry is a delivery that was given up.
type DeadLetterEntry struct {
	DeliveryId              *string
	AccountId               *string
	Region                  *string
	SourceArn               *string
	TargetArn               *string
	CauseEventId            *string
	EnqueuedTime            *time.Time
	DeadLetteredTime        *time.Time
	RetryAttempts           *int32
	ErrorCode               *string
	ErrorMessage            *string
	ExhaustedRetryCondition *string // nil when a retry would have been of no use
}

// ListDeadLetters lists the deliveries of an account that were given up in the last 14 days, by id.
func (o *Outbox) ListDeadLetters(ctx context.Context, c *call.Call, in *ListDeadLettersInput) (*ListDeadLettersOutput, error) {
	account, err := o.allow(c, in.AccountId)
	if err != nil {
		return nil, err
	}
	limit := 100
	if in.MaxResults != nil {
		limit = min(int(*in.MaxResults), limit)
	}
	out := &ListDeadLettersOutput{DeadLetters: []DeadLetterEntry{}}
	err = o.db.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT `+storedColumns+` FROM deliver_delivery
			WHERE dead > 0 AND account = $1 AND id > $2 AND (CAST($3 AS TEXT) = '' OR source = $3) ORDER BY id LIMIT $4`,
			account, text(value(in.NextToken)), text(value(in.SourceArn)), limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			s, err := scan(rows)
			if err != nil {
				return err
			}
			out.DeadLetters = append(out.DeadLetters, s.letter.entry())
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	if len(out.DeadLetters) > limit {
		out.DeadLetters = out.DeadLetters[:limit]
		out.NextToken = out.DeadLetters[limit-1].DeliveryId
	}
	return out, nil
}

func (l *DeadLetter) entry() DeadLetterEntry {
	e := DeadLetterEntry{
		DeliveryId: &l.ID, AccountId: &l.Account, Region: &l.Region, SourceArn: &l.Source,
		EnqueuedTime: &l.Enqueued, DeadLetteredTime: &l.Died, RetryAttempts: new(int32(max(0, l.Attempts-1))), ErrorCode: &l.ErrorCode, ErrorMessage: &l.ErrorMessage,
	}
	for _, optional := range []struct {
		member **string
		value  string
	}{{&e.TargetArn, l.Target}, {&e.CauseEventId, l.Cause.EventID}, {&e.ExhaustedRetryCondition, l.Exhausted}} {
		if optional.value != "" {
			*optional.member = &optional.value
		}
	}
	return e
}

// RedriveDeadLettersInput is the input of RedriveDeadLetters. It names dead letters by their ids, or all of a source, or neither for
// all of the account.
type RedriveDeadLettersInput struct {
	AccountId   *string // the caller's if it is not given; only the operator may give another
	DeliveryIds []string
	SourceArn   *string
}

// RedriveDeadLettersOutput is the output of RedriveDeadLetters.
type RedriveDeadLettersOutput struct {
	Redriven *int32 // how many deliveries are attempted again
}

// RedriveDeadLetters puts dead letters back into the outbox, as if they had been enqueued now: their policies begin anew. An id that is
// none of the account's dead letters is passed over, so that a redrive can be repeated. The deliveries are data and so are in
// another database than the call's record: should the server die between the two, they are redriven without a record.
func (o *Outbox) RedriveDeadLetters(ctx context.Context, c *call.Call, in *RedriveDeadLettersInput) (*RedriveDeadLettersOutput, error) {
	account, err := o.allow(c, in.AccountId)
	if err != nil {
		return nil, err
	}
	if len(in.DeliveryIds) > 0 && in.SourceArn != nil {
		return nil, call.Errorf("ValidationException", "Only one of DeliveryIds and SourceArn can be given.")
	}
	ids := in.DeliveryIds
	if len(ids) == 0 {
		if ids, err = o.deadOf(ctx, account, value(in.SourceArn)); err != nil {
			return nil, err
		}
	}
	redriven := 0
	for len(ids) > 0 { // in pieces, as nothing else is written meanwhile
		piece := ids[:min(redrivePiece, len(ids))]
		ids = ids[len(piece):]
		n, err := o.redrive(ctx, account, piece)
		if err != nil {
			return nil, err
		}
		redriven += n
	}
	return &RedriveDeadLettersOutput{Redriven: new(int32(redriven))}, nil
}

const redrivePiece = 500

// deadOf are the ids of an account's dead letters, or of one source's.
func (o *Outbox) deadOf(ctx context.Context, account, source string) (ids []string, err error) {
	err = o.db.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT id FROM deliver_delivery WHERE dead > 0 AND account = $1 AND (CAST($2 AS TEXT) = '' OR source = $2) ORDER BY id`,
			account, text(source))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	return ids, err
}

func (o *Outbox) redrive(ctx context.Context, account string, ids []string) (redriven int, err error) {
	now := o.clock.Now()
	err = o.db.Update(ctx, func(tx store.Tx) error {
		redriven = 0
		for _, id := range ids {
			var lane string
			err := tx.QueryRow(`UPDATE deliver_delivery SET dead = 0, attempts = 0, exhausted = '', created = $3, due = $3
				WHERE dead > 0 AND account = $1 AND id = $2 RETURNING lane`, account, text(id), now.UnixMilli()).Scan(&lane)
			if err == store.ErrNoRows {
				continue
			}
			if err != nil {
				return err
			}
			redriven++
			tx.OnCommit(func() { o.note(lane, now) })
		}
		return nil
	})
	return redriven, err
}

// allow returns the account whose dead letters a call is about, if the caller may have them.
func (o *Outbox) allow(c *call.Call, asked *string) (account string, err error) {
	account = c.Account()
	if asked != nil {
		account = *asked
	}
	owner := account
	if operator := o.config.Operator(); operator != "" && c.Principal.Type == "Root" && c.Account() == operator {
		owner = operator
	}
	return account, c.Allow("vigil:"+c.Operation, policy.Resource{ARN: "*", Account: owner}, nil)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
