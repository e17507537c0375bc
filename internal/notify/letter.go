package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"vigil/internal/store"
)

// letter is a question to a subscriber: whether it wants to be one, or wants to be one again. It is written in the call's effect, in
// the database of the configuration, and goes from there into the outbox, which is in another. The number of the next one is kept
// beside the outbox, so each goes there once.
type letter struct {
	Kind         string
	Subscription string // ARN
	Token        string
	Time         time.Time
}

func letterContext(seq int64) []byte { return fmt.Appendf(nil, "letter %d", seq) }

// write adds a letter to those that Run takes to the outbox, and forgets those that are there. The last one stays, as it has
// the number after which the next one is numbered.
func (n *Notify) write(tx store.Tx, l letter) error {
	var last int64
	if err := tx.QueryRow(`SELECT COALESCE(MAX(seq), 0) FROM notify_letter`).Scan(&last); err != nil {
		return err
	}
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	wrapped, err := n.config.Secrets.Wrap(data, letterContext(last+1))
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM notify_letter WHERE seq < $1 AND seq < $2`, n.sent.Load(), last); err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO notify_letter (seq, letter) VALUES ($1, $2)`, last+1, wrapped); err != nil {
		return err
	}
	tx.OnCommit(n.wake)
	return nil
}

// wake has Run look at what there is to do.
func (n *Notify) wake() {
	select {
	case n.written <- struct{}{}:
	default:
	}
}

const (
	// forgetEvery is how often subscriptions that nobody confirmed are forgotten.
	forgetEvery       = time.Hour
	retryAfterFailure = time.Second
)

// Run takes letters to the outbox, and messages of encrypted topics that were held, and forgets subscriptions whose tokens have expired unused, until ctx is done.
func (n *Notify) Run(ctx context.Context) error {
	for {
		err := n.send(ctx)
		var held time.Time
		if err == nil {
			held, err = n.sendHeld(ctx)
		}
		if err == nil {
			err = n.forgetExpired(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrFenced):
			return err
		}
		until := n.clock.Now().Add(forgetEvery)
		switch {
		case err != nil:
			n.log.Error("Subscribers could not be asked, or sent what was held; trying again.", "error", err)
			until = n.clock.Now().Add(retryAfterFailure)
		case !held.IsZero() && held.Before(until):
			until = held
		}
		n.sleep(ctx, until)
	}
}

// sleep sleeps until t, or until a letter is written or ctx is done.
func (n *Notify) sleep(ctx context.Context, t time.Time) {
	ctx, wake := context.WithCancel(ctx)
	slept := make(chan struct{})
	go func() {
		defer close(slept)
		_ = n.clock.Sleep(ctx, t)
	}()
	select {
	case <-n.written:
	case <-slept:
	}
	wake()
	<-slept
}

// send takes all letters to the outbox.
func (n *Notify) send(ctx context.Context) error {
	for {
		var next int64
		err := n.watch.View(ctx, func(tx store.Tx) error {
			err := tx.QueryRow(`SELECT next FROM notify_cursor WHERE one = 1`).Scan(&next)
			if err == store.ErrNoRows {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		n.sent.Store(next)
		letters, end, err := n.letters(ctx, next)
		if err != nil || end == next {
			return err
		}
		err = n.watch.Update(ctx, func(tx store.Tx) error {
			for _, l := range letters {
				if err := n.post(tx, l); err != nil {
					return err
				}
			}
			_, err := tx.Exec(`INSERT INTO notify_cursor (one, next) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET next = excluded.next`, end)
			return err
		})
		if err != nil {
			return err
		}
	}
}

const lettersAtATime = 100

// addressed is a letter with its subscription and topic. They are read with it: memory may not have them yet.
type addressed struct {
	letter
	topic        *topic
	subscription *subscription
}

// letters are the next ones, and the number of the one after them. One whose subscription or topic is gone by now, or that has a
// token that is not the newest, is left out.
func (n *Notify) letters(ctx context.Context, next int64) (letters []addressed, end int64, err error) {
	type row struct {
		seq     int64
		wrapped []byte
	}
	err = n.db.View(ctx, func(tx store.Tx) error {
		letters, end = nil, next
		rows, err := store.List(tx, func(s store.Scanner) (r row, err error) { err = s.Scan(&r.seq, &r.wrapped); return r, err },
			`SELECT seq, letter FROM notify_letter WHERE seq >= $1 ORDER BY seq LIMIT $2`, next, lettersAtATime)
		if err != nil {
			return err
		}
		for _, r := range rows {
			a, err := n.addressedIn(tx, r.seq, r.wrapped)
			if err != nil && !isNotFound(err) {
				return err
			}
			if err == nil && sameToken(a.subscription.token, a.Token) {
				letters = append(letters, a)
			}
			end = r.seq + 1
		}
		return nil
	})
	return letters, end, err
}

func (n *Notify) addressedIn(tx store.Tx, seq int64, wrapped []byte) (a addressed, err error) {
	data, err := n.config.Secrets.Unwrap(wrapped, letterContext(seq))
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(data, &a.letter); err != nil {
		return a, err
	}
	ref, err := parseSubscription(a.Subscription)
	if err != nil {
		return a, err
	}
	if a.topic, err = topicIn(tx, ref.topic); err != nil {
		return a, err
	}
	a.subscription, err = subscriptionIn(tx, ref)
	return a, err
}

// post enqueues a letter.
func (n *Notify) post(tx store.Tx, l addressed) error {
	t, s := l.topic, l.subscription
	e := envelope{
		Type: l.Kind, MessageID: uuid.NewString(), TopicARN: t.ref.String(), Time: l.Time, Token: l.Token,
		SubscribeURL: n.config.Endpoint() + "/?Action=ConfirmSubscription&TopicArn=" + t.ref.String() + "&Token=" + l.Token,
	}
	e.Message = "You have chosen to subscribe to the topic " + e.TopicARN +
		".\nTo confirm the subscription, visit the SubscribeURL included in this message."
	if l.Kind == unsubscribeConfirmation {
		e.Message = "You have chosen to deactivate subscription " + l.Subscription +
			".\nTo cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
	}
	d := n.delivery(t, s, &e)
	d.Secret = true
	if s.protocol == "email" {
		d.Subject, d.Body = letterMail(&e, l.Subscription)
	} else {
		d.Subject = letterSubject(e.Type)
		var err error
		if d.Body, err = n.signed(t, &e); err != nil {
			return err
		}
	}
	return n.config.Enqueue(tx, d)
}

func letterSubject(kind string) string {
	if kind == unsubscribeConfirmation {
		return "AWS Notification - Unsubscribe Confirmation"
	}
	return "AWS Notification - Subscription Confirmation"
}

// letterMail is a letter as a mail to a person.
func letterMail(e *envelope, subscription string) (subject string, body []byte) {
	text := "You have chosen to subscribe to the topic:\n" + e.TopicARN +
		"\n\nTo confirm this subscription, click or visit the link below (If this was in error no action is necessary):\n" +
		e.SubscribeURL + "\n"
	if e.Type == unsubscribeConfirmation {
		text = "Your subscription with the id " + subscription + " has been removed from the topic:\n" + e.TopicARN +
			"\n\nIf this was in error, click or visit the link below to restore it:\n" + e.SubscribeURL + "\n"
	}
	return letterSubject(e.Type), []byte(text)
}

// forgetExpired deletes subscriptions that were not confirmed, or not restored, while their tokens were valid.
func (n *Notify) forgetExpired(ctx context.Context) error {
	now := n.clock.Now()
	refs := n.known.expired(now)
	if len(refs) == 0 {
		return nil
	}
	return n.db.Update(ctx, func(tx store.Tx) error {
		for _, ref := range refs {
			s, err := subscriptionIn(tx, ref)
			if isNotFound(err) || err == nil && (s.state == confirmed || !now.After(s.expires)) {
				continue // it has been confirmed, deleted or asked again meanwhile
			}
			if err != nil {
				return err
			}
			if err := n.dropSubscription(tx, ref); err != nil {
				return err
			}
		}
		return nil
	})
}
