// Package notify is the notification service: topics, who subscribes to them, and the messages that they are sent. It answers the
// SNS API.
//
// Topics and subscriptions are configuration: each change is its call's effect. What is sent is data: a message becomes one
// delivery for each confirmed subscription, in one transaction of the database of the outbox, which then takes care of it.
//
//   - topic.go, subscription.go, confirm.go, attributes.go, tags.go, list.go   the life of topics and subscriptions
//   - encrypt.go   encrypted topics; held.go what waits to be encrypted
//   - publish.go   what a message may be; message.go what a subscriber gets; signer.go who vouches for it
//   - letter.go    how a subscriber is asked to confirm; link.go how it does so without a signature
//   - retry.go     delivery policies
//
// Errors, their codes and texts are those that were recorded against Amazon SNS where there is a recording, the others in its
// manner. Forms of messages follow the SNS developer guide, "Parsing message formats".
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// Config is what Notify needs. All of it is required but UseKey, ManagedKey, Mail and Log.
type Config struct {
	DB      store.DB // of the configuration
	Watch   store.DB // of the outbox
	Clock   clock.Clock
	Secrets Wrapper // for the key that signs messages, and for tokens that are on their way
	// Journal records calls that come by link.
	Journal Journal
	// Enqueue gives a delivery to the outbox, in a transaction of Watch.
	Enqueue func(store.Tx, Delivery) error
	// Endpoint is the URL at which subscribers reach this server, without a slash at its end: http://127.0.0.1:4599.
	Endpoint func() string
	// UseKey calls an operation of KMS in the name of by, through the door: see front.Door.Perform. Without it, topics cannot be encrypted.
	UseKey func(ctx context.Context, by call.Principal, region, operation string, in any) (out any, requestID string, err error)
	// ManagedKey is the ARN of the key that SNS itself has in an account, which is made the first time. It goes with UseKey.
	ManagedKey func(ctx context.Context, account, region string) (string, error)
	// Mail says that the outbox has a relay to hand mail to. Without one, a subscription by email is refused.
	Mail bool
	Log  *slog.Logger
}

// Wrapper encrypts secrets. What was wrapped with a context only unwraps with the same. It is used by many goroutines.
type Wrapper interface {
	Wrap(plaintext, context []byte) ([]byte, error)
	Unwrap(wrapped, context []byte) ([]byte, error)
}

// Journal makes an effect and its record durable: see journal.Journal.
type Journal interface {
	Commit(ctx context.Context, effect func(store.Tx) error, record func(error) []journal.Record) error
}

// Delivery is a message to one subscriber.
type Delivery struct {
	ID       string // the same for the same message to the same subscriber
	Protocol string // http, https, email or email-json
	Endpoint string // a URL, or a mail address
	Header   map[string]string
	Subject  string // of a mail
	Body     []byte
	Key      []byte // says that the body is encrypted: Decrypt takes this; nil for one that is not
	Secret   bool   // the body holds a token

	// Schedule is how long to wait before each retry. It is tried again after a status of 500 or more, after 429, after a failure of the
	// network, and when there is no answer in 15 s; for mail, after what the relay says is for now.
	Schedule []time.Duration

	Account, Region     string
	Topic, Subscription string // ARNs
	Cause               Cause
}

// Cause is the event by which a message came to be.
type Cause struct {
	EventID string
	Depth   int
}

// Notify is the service. It is used by many goroutines.
type Notify struct {
	config Config
	db     store.DB
	watch  store.DB
	clock  clock.Clock
	log    *slog.Logger

	known    directory
	signer   *signer
	dataKeys dataKeys
	sent     atomic.Int64  // letters below this one are in the outbox
	written  chan struct{} // has a token when there are letters that Run has not looked at
}

// New opens the service's tables, and makes the key that signs messages when there is none. Run must run for subscribers to be asked
// to confirm.
func New(ctx context.Context, config Config) (*Notify, error) {
	if config.DB == nil || config.Watch == nil || config.Clock == nil || config.Secrets == nil || config.Journal == nil ||
		config.Enqueue == nil || config.Endpoint == nil {
		return nil, errors.New("notify: DB, Watch, Clock, Secrets, Journal, Enqueue and Endpoint are required")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	n := &Notify{
		config: config, db: config.DB, watch: config.Watch, clock: config.Clock, log: config.Log,
		written: make(chan struct{}, 1),
	}
	if err := n.db.Migrate(ctx, "notify", migrations...); err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	if err := n.watch.Migrate(ctx, "notify_watch", watchMigrations...); err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	if err := n.db.View(ctx, n.known.load); err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	var err error
	if n.signer, err = openSigner(ctx, config); err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	return n, nil
}

// Service lists the operations. The operations of Amazon SNS that are missing here are not built yet.
func (n *Notify) Service() call.Service {
	publish := call.Op("Publish", n.PublishMessage).Without("Message", "MessageAttributes", "Subject")
	publish.Data, publish.DataType = true, topicType
	return call.Service{
		Name:          "sns",
		EventSource:   eventSource,
		InternalError: "InternalError",
		Operations: []call.Operation{
			call.Op("ConfirmSubscription", n.ConfirmSubscription).Without("Token"),
			call.Op("CreateTopic", n.CreateTopic),
			call.Op("DeleteTopic", n.DeleteTopic),
			call.Read("GetSubscriptionAttributes", n.GetSubscriptionAttributes),
			call.Read("GetTopicAttributes", n.GetTopicAttributes),
			call.Read("ListSubscriptions", n.ListSubscriptions),
			call.Read("ListSubscriptionsByTopic", n.ListSubscriptionsByTopic),
			call.Read("ListTagsForResource", n.ListTagsForResource),
			call.Read("ListTopics", n.ListTopics),
			publish,
			call.Op("SetSubscriptionAttributes", n.SetSubscriptionAttributes),
			call.Op("SetTopicAttributes", n.SetTopicAttributes),
			call.Op("Subscribe", n.Subscribe),
			call.Op("TagResource", n.TagResource),
			call.Op("Unsubscribe", n.Unsubscribe),
			call.Op("UntagResource", n.UntagResource),
		},
	}
}

const (
	eventSource = "sns.amazonaws.com"
	topicType   = "AWS::SNS::Topic"
)

// migrations are the tables of the configuration. Attributes and tags are JSON objects of texts. Times are milliseconds
// since 1970.
var migrations = []string{
	`CREATE TABLE notify_topic (
		account    TEXT NOT NULL,
		region     TEXT NOT NULL,
		name       TEXT NOT NULL,
		attributes TEXT NOT NULL, -- that were set
		tags       TEXT NOT NULL,
		created    BIGINT NOT NULL,
		PRIMARY KEY (account, region, name));

	CREATE TABLE notify_subscription (
		account       TEXT NOT NULL, -- account, region and topic are the topic's
		region        TEXT NOT NULL,
		topic         TEXT NOT NULL,
		id            TEXT NOT NULL,
		protocol      TEXT NOT NULL,
		endpoint      TEXT NOT NULL,
		principal     TEXT NOT NULL, -- who subscribed
		attributes    TEXT NOT NULL,
		state         TEXT NOT NULL, -- pending, confirmed, or unsubscribed by a link that can be taken back
		token         BYTEA NOT NULL, -- the SHA-256 of what confirms it
		expires       BIGINT NOT NULL, -- the token
		authenticated BIGINT NOT NULL, -- 1: it was confirmed by a signed call
		guarded       BIGINT NOT NULL, -- 1: only a signed call unsubscribes it
		PRIMARY KEY (account, region, topic, id));

	CREATE TABLE notify_letter (
		seq    BIGINT PRIMARY KEY,
		letter BYTEA NOT NULL); -- wrapped

	CREATE TABLE notify_signer (
		id      TEXT PRIMARY KEY,
		wrapped BYTEA NOT NULL, -- the key, PKCS #8
		cert    BYTEA NOT NULL, -- X.509, DER
		created BIGINT NOT NULL);`,
}

// watchMigrations are the tables beside the outbox: how many letters have gone into it, and messages that are to be encrypted first.
var watchMigrations = []string{
	`CREATE TABLE notify_cursor (
		one  BIGINT PRIMARY KEY,
		next BIGINT NOT NULL)`,

	`CREATE TABLE notify_held (
		id    TEXT PRIMARY KEY,
		since BIGINT NOT NULL,
		due   BIGINT NOT NULL,
		held  BYTEA NOT NULL); -- wrapped
	CREATE INDEX notify_held_due ON notify_held (due, since, id);`,
}

// ErrNoTopic says that a message was published to a topic that does not exist.
var ErrNoTopic = errors.New("notify: topic does not exist")

func invalid(format string, args ...any) error {
	return call.Errorf("InvalidParameter", "Invalid parameter: "+format, args...)
}

func notFound(what string) error {
	return &call.Error{Code: "NotFound", Message: what + " does not exist", Status: 404}
}

// allow asks whether the caller may. SNS has its own code for a denial.
func allow(c *call.Call, action, resource, owner string) error {
	err := c.Allow(action, policy.Resource{ARN: resource, Account: owner}, nil)
	var denied *call.Error
	if errors.As(err, &denied) && denied.Code == "AccessDeniedException" {
		return &call.Error{Code: "AuthorizationError", Message: denied.Message, Status: 403}
	}
	return err
}

// topicRef is where a topic is.
type topicRef struct{ account, region, name string }

func (r topicRef) arn() arn.ARN   { return arn.New("sns", r.region, r.account, r.name) }
func (r topicRef) String() string { return r.arn().String() }

// subscriptionRef is where a subscription is.
type subscriptionRef struct {
	topic topicRef
	id    string
}

func (r subscriptionRef) String() string { return r.topic.String() + ":" + r.id }
