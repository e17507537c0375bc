// Package events is EventBridge: event buses, their rules and targets, and events on their way from the one to the other.
//
// Buses, rules and targets are configuration: each change is its call's effect, and all of it is held in memory. Events are not
// kept: an event is matched and handed over to its targets in one transaction of the watch database, so that it is handed over
// exactly once, when whatever it came from is durable.
//
//   - bus.go, rule.go, target.go   the operations on the configuration; directory.go what is held of it in memory
//   - connection.go, credentials.go   what authorizes requests to API destinations; destination.go  these; tags.go  tags of buses and rules
//   - putevents.go   events of callers; follow.go  events that the journal's records become
//   - route.go       from a bus to its rules' targets; input.go  what a target is given
//
// Operations, limits and errors follow the EventBridge API reference and, where they were recorded, AWS's own answers.
package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// Config is what Events needs. DB, Watch and Clock are required. Targets of a kind whose function is missing are refused.
type Config struct {
	DB    store.DB // of the configuration
	Watch store.DB // of what targets keep
	Clock clock.Clock
	// Journal is what Follow makes events of.
	Journal *journal.Journal

	// These three hand an event over in a transaction of Watch. An error that is, or wraps, ErrNoTarget or a *call.Error says
	// that the target is not there, and must come before anything was changed: the event is lost to that target only. Any
	// other error undoes the transaction.

	// PutLogs puts events into a stream of a log group (arn:…:log-group:NAME), which it makes if there is none.
	PutLogs func(tx store.Tx, group arn.ARN, stream string, events []LogEvent) error
	// Publish sends a message to a topic, for a rule.
	Publish func(tx store.Tx, rule, topic arn.ARN, message string, cause Cause) error
	// Enqueue writes a request to an HTTP endpoint down.
	Enqueue func(tx store.Tx, d Delivery) error

	// Secrets wraps the secrets of connections, which there are none of without it. Enqueue's side asks for them by Events.Credentials.
	Secrets Wrapper
	// Functions are the invoke URLs of Lambda functions by ARN.
	Functions map[string]string
	Log       *slog.Logger
}

// ErrNoTarget says that what a target names does not exist.
var ErrNoTarget = errors.New("events: target does not exist")

// Cause is the event by which something came to be.
type Cause struct {
	EventID string
	Depth   int // how many events of Vigil's own making led to it; an event of a depth over MaxDepth goes nowhere
}

// MaxDepth is how deep events may lead to events, and how many buses an event may go through.
const MaxDepth = 5

// LogEvent is an event for a log group.
type LogEvent struct {
	Time    time.Time
	Message []byte
}

// Delivery is a request to an HTTP endpoint.
type Delivery struct {
	ID     string // the same for the same event and target of a rule
	Method string // empty for POST
	URL    string
	Header map[string]string
	Body   []byte

	Connection string        // ARN of the connection whose Credentials each attempt adds; empty for none
	Lane       string        // what Rate is about; empty for the URL
	Rate       int           // attempts a second at most; 0 for any
	Timeout    time.Duration // of an attempt; 0 for the outbox's own

	MaxRetries int           // after the first attempt
	MaxAge     time.Duration // after which it is not attempted again

	Account, Region string
	Rule, Target    string // ARNs
	Cause           Cause
}

// limits are constants, but for tests.
type limits struct{ buses, rules, targets, named int }

// What EventBridge allows in an account and region, on a bus, and of a rule; named is of connections and of API destinations (User Guide, "Amazon EventBridge quotas").
var defaultLimits = limits{buses: 100, rules: 300, targets: 5, named: 3000}

// Events is the service, for all accounts and regions. It is used by many goroutines.
type Events struct {
	config Config
	db     store.DB
	watch  store.DB
	clock  clock.Clock
	log    *slog.Logger
	limit  limits
	known  directory
}

// New opens the service's tables. Follow must run for records of the journal to become events.
func New(ctx context.Context, config Config) (*Events, error) {
	if config.DB == nil || config.Watch == nil || config.Clock == nil {
		return nil, errors.New("events: DB, Watch and Clock are required")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	e := &Events{config: config, db: config.DB, watch: config.Watch, clock: config.Clock, log: config.Log, limit: defaultLimits}
	if err := e.db.Migrate(ctx, "events", migrations...); err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	if err := e.db.View(ctx, e.load); err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	return e, nil
}

// Service lists the operations. Those of EventBridge that are missing here are not built yet.
func (e *Events) Service() call.Service {
	putEvents := call.Op("PutEvents", e.PutEvents)
	putEvents.Data = true
	return call.Service{
		Name:          "events",
		EventSource:   "events.amazonaws.com",
		InternalError: "InternalException",
		Operations: []call.Operation{
			call.Op("CreateApiDestination", e.CreateApiDestination),
			call.Op("CreateConnection", e.CreateConnection),
			call.Op("CreateEventBus", e.CreateEventBus),
			call.Op("DeauthorizeConnection", e.DeauthorizeConnection),
			call.Op("DeleteApiDestination", e.DeleteApiDestination),
			call.Op("DeleteConnection", e.DeleteConnection),
			call.Op("DeleteEventBus", e.DeleteEventBus),
			call.Op("DeleteRule", e.DeleteRule),
			call.Read("DescribeApiDestination", e.DescribeApiDestination),
			call.Read("DescribeConnection", e.DescribeConnection),
			call.Read("DescribeEventBus", e.DescribeEventBus),
			call.Read("DescribeRule", e.DescribeRule),
			call.Op("DisableRule", e.DisableRule),
			call.Op("EnableRule", e.EnableRule),
			call.Read("ListApiDestinations", e.ListApiDestinations),
			call.Read("ListConnections", e.ListConnections),
			call.Read("ListEventBuses", e.ListEventBuses),
			call.Read("ListRuleNamesByTarget", e.ListRuleNamesByTarget),
			call.Read("ListRules", e.ListRules),
			call.Read("ListTagsForResource", e.ListTagsForResource),
			call.Read("ListTargetsByRule", e.ListTargetsByRule),
			putEvents,
			call.Op("PutRule", e.PutRule),
			call.Op("PutTargets", e.PutTargets),
			call.Op("RemoveTargets", e.RemoveTargets),
			call.Op("TagResource", e.TagResource),
			call.Read("TestEventPattern", e.TestEventPattern),
			call.Op("UntagResource", e.UntagResource),
			call.Op("UpdateApiDestination", e.UpdateApiDestination),
			call.Op("UpdateConnection", e.UpdateConnection),
		},
	}
}

// migrations are the tables. Every account has a bus named default in every region, which has no row. Times are milliseconds since
// 1970.
var migrations = []string{
	`CREATE TABLE events_bus (
		account     TEXT NOT NULL,
		region      TEXT NOT NULL,
		name        TEXT NOT NULL,
		description TEXT NOT NULL,
		created     BIGINT NOT NULL,
		PRIMARY KEY (account, region, name));

	CREATE TABLE events_rule (
		account     TEXT NOT NULL,
		region      TEXT NOT NULL,
		bus         TEXT NOT NULL,
		name        TEXT NOT NULL,
		pattern     TEXT NOT NULL,
		state       TEXT NOT NULL, -- as in the API
		description TEXT NOT NULL,
		role        TEXT NOT NULL,
		PRIMARY KEY (account, region, bus, name));

	CREATE TABLE events_target (
		account TEXT NOT NULL,
		region  TEXT NOT NULL,
		bus     TEXT NOT NULL,
		rule    TEXT NOT NULL,
		id      TEXT NOT NULL,
		target  TEXT NOT NULL, -- JSON
		PRIMARY KEY (account, region, bus, rule, id));`,

	`CREATE TABLE events_connection (
		account            TEXT NOT NULL,
		region             TEXT NOT NULL,
		name               TEXT NOT NULL,
		id                 TEXT NOT NULL,
		description        TEXT NOT NULL,
		authorization_type TEXT NOT NULL,  -- as in the API
		shown              TEXT NOT NULL,  -- its parameters without secrets, JSON
		sealed             BYTEA NOT NULL, -- its parameters, JSON, wrapped; empty: not authorized
		version            BIGINT NOT NULL,
		created            BIGINT NOT NULL,
		modified           BIGINT NOT NULL,
		authorized         BIGINT NOT NULL,
		PRIMARY KEY (account, region, name));

	CREATE TABLE events_destination (
		account     TEXT NOT NULL,
		region      TEXT NOT NULL,
		name        TEXT NOT NULL,
		id          TEXT NOT NULL,
		description TEXT NOT NULL,
		connection  TEXT NOT NULL, -- ARN
		endpoint    TEXT NOT NULL,
		method      TEXT NOT NULL,
		rate        BIGINT NOT NULL, -- invocations a second
		version     BIGINT NOT NULL,
		created     BIGINT NOT NULL,
		modified    BIGINT NOT NULL,
		PRIMARY KEY (account, region, name));

	CREATE TABLE events_tag (
		account  TEXT NOT NULL,
		region   TEXT NOT NULL,
		resource TEXT NOT NULL, -- of its ARN: event-bus/NAME, rule/NAME, rule/BUS/NAME
		name     TEXT NOT NULL,
		value    TEXT NOT NULL,
		PRIMARY KEY (account, region, resource, name));`,
}

func invalid(format string, args ...any) error {
	return call.Errorf("ValidationException", format, args...)
}

func limitExceeded() error {
	return call.Errorf("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
}

// given is an optional text: nil for none.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// text is the text of an optional member.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
