// Package trail is CloudTrail. What it has of it so far is trails that deliver to log groups and buckets (trails.go and its
// neighbours, files.go, digests.go, status.go), and the event history: the management events of the last 90 days, which LookupEvents finds by who,
// what and when. The rest of this page is about the history.
//
// The history copies nothing. It is an index over the journal, of three parts:
//
//   - The postings: for each term, such as "EventName is Encrypt" in one account and region, the indexes of the
//     journal's records that it is true of (postings.go).
//   - The timeline: the time of each record (timeline.go).
//   - The ids of events that were brought in from elsewhere (eventindex.go).
//
// A follower of the journal reads each record once (follow.go, facts.go) and keeps what the index needs of it in
// memory, in the tail (tail.go). When the tail is long enough it is folded into the database, a few bytes a record. The
// tail needs no storage of its own, as the journal has it all: a new process reads the records behind the index again.
// So the database is right after any crash, and a record costs it a share of one large transaction instead of a
// transaction.
//
// A look-up (lookup.go) walks postings from the newest to the oldest (search.go), over the tail and the database alike,
// and reads from the journal only the records that it answers with. Terms are hashes, so it judges each of those
// records again.
//
// The follower also notes when each KMS key was last used, for GetKeyLastUsage (lastuse.go), and when each access key and role last called, for
// IAM (lastcall.go).
package trail

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// follower names the history's cursor in the journal.
const follower = "history"

// Config is what a Trail is made of.
type Config struct {
	Journal *journal.Journal
	DB      store.DB // the history's own, so that folding never stalls committing
	Clock   clock.Clock

	// For trails, which are not there without Main: configuration, the follower's cursor with what became of deliveries,
	// and what puts events into a stream of a log group, in a transaction of Watch. PutLogs returns a *call.Error when the group
	// refuses them or is not there; after any other error the transaction is tried again.
	Main    store.DB
	Watch   store.DB
	PutLogs func(tx store.Tx, account, region, group, stream string, events []LogEvent) error

	// For the files of trails. Secrets keeps the keys that sign digests. Within is how long after an event a file has it at the latest;
	// 0 is DefaultWithin. Publish sends the notification of a file to a topic, in a transaction of Watch; its error is a *call.Error
	// when the topic does not take it, and is noted. HasTopic says whether there is a topic.
	Buckets  Buckets
	Secrets  Secrets
	Within   time.Duration
	Publish  func(tx store.Tx, trail, topic arn.ARN, message string) error
	HasTopic func(topic arn.ARN) bool
	// UseKey calls an operation of KMS in the name of by, through the door: see front.Door.Perform. Without it, files cannot be encrypted.
	UseKey func(ctx context.Context, by call.Principal, region, operation string, in any) (out any, requestID string, err error)
	Log    *slog.Logger // nil is none
}

// Trail is CloudTrail of all accounts and regions. Its methods may be used by many goroutines.
type Trail struct {
	journal *journal.Journal
	db      store.DB
	clock   clock.Clock

	// Constants, but for tests.
	term     func(scope, kind, string) int64
	foldAt   int
	patience time.Duration

	walkPatience int

	filters filters

	mu   sync.RWMutex
	tail *tail // replaced by the follower when it has been folded

	foldNow atomic.Bool // the follower is to fold in its next round

	main, watch store.DB // nil without trails
	putLogs     func(tx store.Tx, account, region, group, stream string, events []LogEvent) error
	trailsMu    sync.RWMutex
	trails      map[string][]*aTrail // by account, as loadTrails has them
	asked       asked

	buckets  Buckets
	secrets  Secrets
	within   time.Duration
	publish  func(tx store.Tx, trail, topic arn.ARN, message string) error
	hasTopic func(topic arn.ARN) bool
	useKey   func(ctx context.Context, by call.Principal, region, operation string, in any) (out any, requestID string, err error)
	log      *slog.Logger
	keysMu   sync.Mutex // held while a key that signs digests is made
}

var migrations = []string{
	// The records before next are in the tables below; those from next on are in the tail. tide is the latest time
	// before next.
	`CREATE TABLE history_index (
		one  BIGINT NOT NULL PRIMARY KEY,
		next BIGINT NOT NULL,
		tide BIGINT NOT NULL)`,
	// A row has records of a term from first to last: see appendRuns for runs. Rows of a term do not overlap.
	`CREATE TABLE history_posting (
		term  BIGINT NOT NULL,
		first BIGINT NOT NULL,
		last  BIGINT NOT NULL,
		runs  BYTEA  NOT NULL,
		PRIMARY KEY (term, first))`,
	// A row has count records from first on, whose times are within [low, high]; tide is the latest time of all records
	// before first. The times themselves are in history_time, so that looking for a time reads few pages.
	`CREATE TABLE history_span (
		first BIGINT NOT NULL PRIMARY KEY,
		count BIGINT NOT NULL,
		low   BIGINT NOT NULL,
		high  BIGINT NOT NULL,
		tide  BIGINT NOT NULL)`,
	`CREATE TABLE history_time (
		first BIGINT NOT NULL PRIMARY KEY,
		times BYTEA  NOT NULL)`,
	`CREATE TABLE history_last_use (
		key        TEXT   NOT NULL PRIMARY KEY,
		time       BIGINT NOT NULL,
		operation  TEXT   NOT NULL,
		request_id TEXT   NOT NULL,
		event_id   TEXT   NOT NULL)`,
	`INSERT INTO history_index (one, next, tide) VALUES (1, 0, 0)`,
	`CREATE TABLE history_last_call (
		caller TEXT   NOT NULL PRIMARY KEY,
		time   BIGINT NOT NULL,
		source TEXT   NOT NULL,
		region TEXT   NOT NULL)`,
	// The ids of events that do not tell their time: see eventindex.go. A block has events from the key first on.
	`CREATE TABLE history_event_run (
		id     BIGINT NOT NULL PRIMARY KEY,
		level  BIGINT NOT NULL,
		filter BYTEA  NOT NULL)`,
	`CREATE TABLE history_event_block (
		run   BIGINT NOT NULL,
		first BIGINT NOT NULL,
		data  BYTEA  NOT NULL,
		PRIMARY KEY (run, first))`,
	`CREATE TABLE history_event_next (
		one BIGINT NOT NULL PRIMARY KEY,
		run BIGINT NOT NULL)`,
	`INSERT INTO history_event_next (one, run) VALUES (1, 0)`,
	// By which the newest are found when records are not in the order of their times.
	`CREATE INDEX history_span_high ON history_span (high)`,
}

// New prepares the history in the database. It follows the journal once Run runs.
func New(ctx context.Context, config Config) (*Trail, error) {
	t := &Trail{journal: config.Journal, db: config.DB, clock: config.Clock, term: termOf, foldAt: foldRecords, patience: patience, walkPatience: walkPatience,
		main: config.Main, watch: config.Watch, putLogs: config.PutLogs,
		buckets: config.Buckets, secrets: config.Secrets, within: config.Within, publish: config.Publish, hasTopic: config.HasTopic, useKey: config.UseKey, log: config.Log}
	if t.within <= 0 {
		t.within = DefaultWithin
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if err := t.db.Migrate(ctx, "history", migrations...); err != nil {
		return nil, fmt.Errorf("event history: %w", err)
	}
	err := t.db.View(ctx, func(tx store.Tx) error {
		next, tide, err := indexed(tx)
		t.tail = newTail(next, tide)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("event history: %w", err)
	}
	if t.main != nil {
		if err := t.openTrails(ctx); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Service is the CloudTrail API, as far as it is built.
func (t *Trail) Service() call.Service {
	operations := []call.Operation{
		call.Read("LookupEvents", t.LookupEvents),
	}
	if t.main != nil {
		operations = append(operations,
			call.Op("AddTags", t.AddTags),
			call.Op("CreateTrail", t.CreateTrail),
			call.Op("DeleteTrail", t.DeleteTrail),
			call.Op("DeregisterOrganizationDelegatedAdmin", t.DeregisterOrganizationDelegatedAdmin),
			call.Read("DescribeTrails", t.DescribeTrails),
			call.Read("GetEventSelectors", t.GetEventSelectors),
			call.Read("GetInsightSelectors", t.GetInsightSelectors),
			call.Read("GetTrail", t.GetTrail),
			call.Read("GetTrailStatus", t.GetTrailStatus),
			call.Read("ListPublicKeys", t.ListPublicKeys),
			call.Read("ListTags", t.ListTags),
			call.Read("ListTrails", t.ListTrails),
			call.Op("PutEventSelectors", t.PutEventSelectors),
			call.Op("PutInsightSelectors", t.PutInsightSelectors),
			call.Op("RegisterOrganizationDelegatedAdmin", t.RegisterOrganizationDelegatedAdmin),
			call.Op("RemoveTags", t.RemoveTags),
			call.Op("StartLogging", t.StartLogging),
			call.Op("StopLogging", t.StopLogging),
			call.Op("UpdateTrail", t.UpdateTrail),
		)
	}
	return call.Service{Name: "cloudtrail", EventSource: "cloudtrail.amazonaws.com", InternalError: "InternalFailure", Operations: operations}
}

// indexed says which records are in the database: those before next. tide is the latest of their times.
func indexed(tx store.Tx) (next, tide int64, err error) {
	err = tx.QueryRow(`SELECT next, tide FROM history_index WHERE one = 1`).Scan(&next, &tide)
	return next, tide, err
}
