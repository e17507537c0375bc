package notify

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
)

// held is a message that another service of Vigil published to an encrypted topic. It does so in a transaction, where KMS cannot be
// asked for a data key: the message waits beside the outbox, wrapped, until Run has encrypted it.
type held struct {
	ID, To, Subject string
	Texts           map[string]string
	Time            time.Time
	Cause           Cause
	By              string // the service that published, such as events.amazonaws.com
	SourceARN       string
}

const (
	// keepHeld is how long it is tried to encrypt a message, as long as EventBridge tries to deliver an event.
	keepHeld = 24 * time.Hour
	// KMS is asked again for a message after as long as it has been waiting, within these bounds.
	minHeldRetry, maxHeldRetry = 10 * time.Second, time.Hour
	heldAtATime                = 100
)

func heldContext(id string) []byte { return []byte("held message " + id) }

const typeService = "AWSService"

// hold keeps a message until it can be encrypted.
func (n *Notify) hold(tx store.Tx, to arn.ARN, m *message, by, source string) error {
	data, err := json.Marshal(held{
		ID: m.id, To: to.String(), Subject: m.subject, Texts: m.texts, Time: m.time, Cause: m.cause, By: by, SourceARN: source,
	})
	if err != nil {
		return err
	}
	id := uuid.NewString()
	wrapped, err := n.config.Secrets.Wrap(data, heldContext(id))
	if err != nil {
		return err
	}
	now := n.clock.Now().UnixMilli()
	if _, err := tx.Exec(`INSERT INTO notify_held (id, since, due, held) VALUES ($1, $2, $2, $3)`, id, now, wrapped); err != nil {
		return err
	}
	tx.OnCommit(n.wake)
	return nil
}

// waiting is a held message with its row.
type waiting struct {
	held
	id    string
	since time.Time
}

// sendHeld encrypts the held messages that are due and takes them to the outbox. It returns when the next one is due, or a zero time.
func (n *Notify) sendHeld(ctx context.Context) (next time.Time, err error) {
	for {
		due, next, err := n.dueHeld(ctx)
		if err != nil || len(due) == 0 {
			return next, err
		}
		for _, w := range due {
			if err := n.release(ctx, w); err != nil {
				return time.Time{}, err
			}
		}
	}
}

func (n *Notify) dueHeld(ctx context.Context) (due []waiting, next time.Time, err error) {
	type row struct {
		id         string
		since, due int64
		wrapped    []byte
	}
	var rows []row
	err = n.watch.View(ctx, func(tx store.Tx) (err error) {
		rows, err = store.List(tx, func(s store.Scanner) (r row, err error) { return r, s.Scan(&r.id, &r.since, &r.due, &r.wrapped) },
			`SELECT id, since, due, held FROM notify_held ORDER BY due, since, id LIMIT $1`, heldAtATime)
		return err
	})
	if err != nil {
		return nil, next, err
	}
	now := n.clock.Now()
	for _, r := range rows {
		if at := time.UnixMilli(r.due); at.After(now) {
			return due, at, nil
		}
		w := waiting{id: r.id, since: time.UnixMilli(r.since)}
		data, err := n.config.Secrets.Unwrap(r.wrapped, heldContext(r.id))
		if err != nil {
			return nil, next, err
		}
		if err := json.Unmarshal(data, &w.held); err != nil {
			return nil, next, err
		}
		due = append(due, w)
	}
	return due, next, nil
}

// release takes one message to the outbox, or sets when it is tried again. It is given up when its topic is gone, and when
// KMS has refused for a day.
func (n *Notify) release(ctx context.Context, w waiting) error {
	deliveries, err := n.seal(ctx, w)
	now := n.clock.Now()
	var refused *call.Error
	switch {
	case err == nil:
	case errors.Is(err, ErrNoTopic):
		n.log.Warn("A message was given up, as its topic is gone.", "topic", w.To, "from", w.By)
	case errors.As(err, &refused) && now.Sub(w.since) >= keepHeld:
		n.log.Warn("A message was given up, as it cannot be encrypted.", "topic", w.To, "from", w.By, "error", err)
	case errors.As(err, &refused):
		again := now.Add(min(max(now.Sub(w.since), minHeldRetry), maxHeldRetry)).UnixMilli()
		return n.watch.Update(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(`UPDATE notify_held SET due = $2 WHERE id = $1`, w.id, again)
			return err
		})
	default:
		return err
	}
	return n.watch.Update(ctx, func(tx store.Tx) error {
		gone, err := tx.Exec(`DELETE FROM notify_held WHERE id = $1`, w.id)
		if err != nil || gone == 0 {
			return err
		}
		return n.enqueue(tx, deliveries)
	})
}

// seal makes a held message its deliveries, encrypted if the topic still is.
func (n *Notify) seal(ctx context.Context, w waiting) ([]Delivery, error) {
	to, err := arn.Parse(w.To)
	if err != nil {
		return nil, err
	}
	ref := topicRef{to.Account, to.Region, to.Resource}
	t := n.known.topic(ref)
	if t == nil {
		return nil, ErrNoTopic
	}
	sealer, err := n.sealer(ctx, t, call.Principal{Type: typeService, Service: w.By, SourceARN: w.SourceARN})
	if err != nil {
		return nil, err
	}
	deliveries, err := n.address(ref, &message{id: w.ID, subject: w.Subject, texts: w.Texts, time: w.Time, cause: w.Cause})
	if err != nil {
		return nil, err
	}
	sealer.seal(deliveries)
	return deliveries, nil
}
