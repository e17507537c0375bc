// Package deliver is the outbox: what Vigil sends to the outside, by HTTP or mail, it first writes down here.
//
// Whoever has something to send calls Enqueue in the transaction of its cause, so that a delivery is there exactly when its cause
// is. From then on it is attempted until it has arrived or its policy is exhausted: at least once, as a process that dies between
// an answer and its settling tries again, and in no promised order. A delivery that is given up becomes a dead letter, which
// its owner can list and redrive.
//
// A delivery belongs to a lane, which is its endpoint. Lanes do not wait for each other: each has only so many attempts at a time,
// a lane that fails or is slow has one, and all such lanes together never have more than half of the attempts that there are.
//
//   - deliver.go  what a delivery is, and Enqueue
//   - run.go      which attempts are made when; settle.go what becomes of them
//   - http.go, mail.go  one attempt; dial.go  which addresses are refused
//   - credentials.go, token.go  what a connection adds to an attempt
//   - policy.go   how often and how long
//   - dead.go     dead letters, and the operations on them
package deliver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"vigil/internal/clock"
	"vigil/internal/store"
)

// Config is what an Outbox needs. DB, Clock and Secrets are required.
type Config struct {
	DB      store.DB // of the data, not of the configuration
	Clock   clock.Clock
	Secrets Wrapper // for deliveries that hold secrets
	Log     *slog.Logger
	// AllowLocal allows endpoints at addresses of this machine and its links, which are refused otherwise.
	AllowLocal bool
	// TLS is for https endpoints; nil is the system's roots and Go's defaults.
	TLS *tls.Config
	// Relay is where mail is handed over. Without an address, mail is given up at once.
	Relay Relay
	// Connect gives the credentials of the connection that a delivery names. It is asked at each attempt. Its error, which is shown and
	// so holds no secret, gives the delivery up; so does its absence.
	Connect func(connection string) (Credentials, error)
	// Open decrypts the body of a delivery that has a Key, outside any transaction. Its error, which is shown and so holds no secret, fails
	// the attempt as an endpoint that does not answer would; so does its absence.
	Open func(ctx context.Context, key, body []byte) ([]byte, error)
	// Operator is the account whose root user sees the dead letters of all accounts. It may be nil.
	Operator func() string
	// Dead is told of a delivery that is given up, in the transaction in which it becomes a dead letter. It may be nil.
	Dead func(store.Tx, DeadLetter) error
	// Lanes and attempts at a time; 0 for 256 in total, and 8 in a lane.
	MaxInFlight, MaxInLane int
}

// Wrapper encrypts secrets. What was wrapped with a context only unwraps with the same. It is used by many goroutines.
type Wrapper interface {
	Wrap(plaintext, context []byte) ([]byte, error)
	Unwrap(wrapped, context []byte) ([]byte, error)
}

// Kind is how something is delivered.
type Kind string

const (
	HTTP Kind = "http" // a request to a URL of scheme http or https; any status of 200 to 299 is an arrival
	SMTP Kind = "smtp" // a mail, handed to the relay
)

// Delivery is something to send.
type Delivery struct {
	// ID makes it one delivery: another of the same ID, while this one is waiting or a dead letter, is not enqueued.
	// It is empty for a new one.
	ID   string
	Kind Kind

	// Method, URL and Header are of an HTTP request. Redirects are not followed.
	Method string // empty for POST
	URL    string
	Header map[string]string

	// To is the address of a mail, whose Subject may have any characters and whose Body is text in UTF-8. Header adds to its header.
	To      string
	Subject string

	Body []byte
	// Key says that Body is encrypted, and with what, in terms of Config.Open, which is asked at each attempt. It is nil for one that is not.
	// The Body of a mail that is encrypted is still its text when it is decrypted.
	Key []byte

	// Secret says that the URL, a header or the body holds a secret, such as an API key: the request is stored encrypted,
	// and it is never shown.
	Secret bool

	// Connection names the credentials that each attempt over HTTP adds to the request. They are not stored with the delivery.
	Connection string

	// Lane is the endpoint. It is empty for the URL without its query, or the relay.
	Lane string
	// Rate is how many attempts the lane makes in a second at most; 0 for as many as it can.
	Rate    int
	Timeout time.Duration // of an attempt; 0 for 15 s
	Policy  Policy

	Account, Region string // whose it is
	Source          string // ARN of what sends: a rule, a topic
	Target          string // ARN of what is sent to: a destination, a subscription
	Cause           Cause
}

// Cause is the event by which a delivery came to be.
type Cause struct {
	EventID string
	Depth   int // how many events of Vigil's own making led to it
}

// Outbox is the deliveries that are waiting, and the dead letters.
type Outbox struct {
	config Config
	db     store.DB
	clock  clock.Clock
	log    *slog.Logger
	client *http.Client
	tokens tokens

	mu    sync.Mutex
	woken map[string]time.Time // lanes that have something new, and when it is due
	wake  chan struct{}        // has a token when there are woken lanes that Run has not looked at

	inFlight, delivered, failed, died atomic.Int64
}

// migrations are the table. A delivery whose dead is 0 is waiting; otherwise dead is when it was given up. Times are
// milliseconds since 1970.
var migrations = []string{
	`CREATE TABLE deliver_delivery (
		id            TEXT PRIMARY KEY,
		lane          TEXT NOT NULL,
		account       TEXT NOT NULL,
		region        TEXT NOT NULL,
		source        TEXT NOT NULL,
		target        TEXT NOT NULL,
		cause_event   TEXT NOT NULL,
		cause_depth   BIGINT NOT NULL,
		secret        BIGINT NOT NULL, -- 1: request and body are wrapped
		request       BYTEA NOT NULL,
		body          BYTEA NOT NULL,
		created       BIGINT NOT NULL, -- or redriven
		due           BIGINT NOT NULL,
		attempts      BIGINT NOT NULL, -- that have failed
		dead          BIGINT NOT NULL,
		error_code    TEXT NOT NULL,   -- of the last attempt
		error_message TEXT NOT NULL,
		exhausted     TEXT NOT NULL);  -- what of its policy
	CREATE INDEX deliver_live ON deliver_delivery (lane, due, id, created) WHERE dead = 0;
	CREATE INDEX deliver_dead ON deliver_delivery (account, id) WHERE dead > 0;
	CREATE INDEX deliver_died ON deliver_delivery (dead) WHERE dead > 0;`,

	`ALTER TABLE deliver_delivery ADD COLUMN rate BIGINT NOT NULL DEFAULT 0; -- attempts a second in its lane; 0: no limit`,
}

// New opens the outbox's table. Run must run for anything to be sent.
func New(ctx context.Context, config Config) (*Outbox, error) {
	if config.DB == nil || config.Clock == nil || config.Secrets == nil {
		return nil, errors.New("deliver: DB, Clock and Secrets are required")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Operator == nil {
		config.Operator = func() string { return "" }
	}
	if config.MaxInFlight == 0 {
		config.MaxInFlight = 256
	}
	if config.MaxInLane == 0 {
		config.MaxInLane = 8
	}
	if err := config.DB.Migrate(ctx, "deliver", migrations...); err != nil {
		return nil, fmt.Errorf("deliver: %w", err)
	}
	return &Outbox{
		config: config, db: config.DB, clock: config.Clock, log: config.Log,
		client: newClient(config),
		woken:  make(map[string]time.Time),
		wake:   make(chan struct{}, 1),
	}, nil
}

// Enqueue writes a delivery down in tx, a transaction of the outbox's database. It is attempted once tx has been committed. What is
// wrong with the delivery itself is no error here, where it would hold up its cause: it becomes a dead letter.
func (o *Outbox) Enqueue(tx store.Tx, d Delivery) error {
	if d.ID == "" {
		d.ID = uuid.NewString()
	}
	request, body, err := o.pack(&d)
	if err != nil {
		return err
	}
	lane, now := laneOf(&d), o.clock.Now()
	n, err := tx.Exec(`INSERT INTO deliver_delivery (id, lane, account, region, source, target, cause_event, cause_depth, secret,
			request, body, created, due, attempts, dead, error_code, error_message, exhausted, rate)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, 0, 0, '', '', '', $13) ON CONFLICT (id) DO NOTHING`,
		text(d.ID), lane, text(d.Account), text(d.Region), text(d.Source), text(d.Target), text(d.Cause.EventID), d.Cause.Depth,
		number(d.Secret), request, body, now.UnixMilli(), max(0, d.Rate))
	if err != nil || n == 0 {
		return err
	}
	tx.OnCommit(func() { o.note(lane, now) })
	return nil
}

// note tells Run that a lane has something new.
func (o *Outbox) note(lane string, due time.Time) {
	o.mu.Lock()
	if known, ok := o.woken[lane]; !ok || due.Before(known) {
		o.woken[lane] = due
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Stats is the outbox's health at a moment.
type Stats struct {
	Queued    int64         // deliveries that have neither arrived nor been given up
	Oldest    time.Duration // how long the oldest of them has been waiting
	InFlight  int64         // attempts that are being made or settled
	Delivered int64         // deliveries that have arrived since the process began
	Failed    int64         // attempts that have failed since the process began
	Died      int64         // deliveries that were given up since the process began
	Dead      int64         // dead letters that are kept
}

// Stats counts. It reads an index over all that is queued.
func (o *Outbox) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	var oldest int64
	err := o.db.View(ctx, func(tx store.Tx) error {
		err := tx.QueryRow(`SELECT COUNT(*), COALESCE(MIN(created), 0) FROM deliver_delivery WHERE dead = 0`).Scan(&s.Queued, &oldest)
		if err != nil {
			return err
		}
		return tx.QueryRow(`SELECT COUNT(*) FROM deliver_delivery WHERE dead > 0`).Scan(&s.Dead)
	})
	// InFlight goes down after the others have gone up, so a delivery that is not queued any more is in one of them.
	s.InFlight, s.Delivered, s.Failed, s.Died = o.inFlight.Load(), o.delivered.Load(), o.failed.Load(), o.died.Load()
	if s.Queued > 0 {
		s.Oldest = max(0, o.clock.Now().Sub(time.UnixMilli(oldest)))
	}
	return s, err
}

// laneOf is the lane that a delivery names, or its endpoint.
func laneOf(d *Delivery) string {
	switch {
	case d.Lane != "":
		return text(d.Lane)
	case d.Kind == SMTP:
		return "smtp"
	}
	endpoint, _, _ := strings.Cut(d.URL, "?")
	return text(endpoint)
}

// text is s as the database takes it.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
