// Package logs is CloudWatch Logs: log groups, their streams and events, retention and metric filters.
//
// What is configured (groups, streams that were created, tags, metric filters) is in the main database, where a call's effect
// changes it together with the call's record. Log groups and their filters are also held in memory. Log events are data, in the
// watch database, in the journal's page form: a page is the events of one stream that came in together.
//
//   - group.go, stream.go, retention.go, tags.go, metricfilter.go   the management operations
//   - put.go, ingest.go   events on their way in; measure.go has each go through the group's metric filters, once
//   - position.go, page.go, words.go   the order of events, how pages are found and passed over
//   - encrypt.go   groups with a KMS key
//   - get.go, filter.go   events on their way out: one stream, or all of a group by a pattern
//   - sweep.go   what happens by itself: retention, default values of metric filters, the end of what was deleted
//
// Operations, their limits and errors follow the CloudWatch Logs API reference; error texts are those that AWS was seen to
// give, or in their manner.
package logs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/store"
)

// Config is what a Logs needs. DB, Watch and Clock are required.
type Config struct {
	DB    store.DB // configuration
	Watch store.DB // log events
	Clock clock.Clock
	// PutMetrics takes what metric filters measure, in the transaction of the watch database that has the events, so that each
	// event counts exactly once. Without it, PutMetricFilter is refused.
	PutMetrics func(tx store.Tx, account, region string, data []Datum) error
	// UseKey calls an operation of KMS in the name of by, through the door: see front.Door.Perform. Without it, log groups cannot be
	// encrypted.
	UseKey func(ctx context.Context, by call.Principal, region, operation string, in any) (out any, requestID string, err error)
	Log    *slog.Logger
}

// Datum is one value of a metric.
type Datum struct {
	Namespace  string
	Name       string
	Dimensions []Dimension // by name
	Value      float64
	Unit       string // as in the API: None
	Time       time.Time
}

// Dimension is a name and a value that a metric is told apart by.
type Dimension struct{ Name, Value string }

// Logs is the service, for all accounts and regions. It is used by many goroutines.
type Logs struct {
	db         store.DB
	watch      store.DB
	clock      clock.Clock
	putMetrics func(tx store.Tx, account, region string, data []Datum) error
	useKey     func(ctx context.Context, by call.Principal, region, operation string, in any) (out any, requestID string, err error)
	private    privateKeys
	log        *slog.Logger

	mu      sync.RWMutex
	groups  map[LogGroupID]*group // a group does not change; it is replaced
	byID    map[int64]*group
	deleted map[int64]bool // streams whose data is not yet removed

	swept chan struct{} // has a token when something was deleted that Run has not looked at
	limit limits
}

// limits are constants, but for tests.
type limits struct {
	pageSize int // bytes of messages in a page, about
	scan     int // bytes of messages that one FilterLogEvents looks at
}

var defaultLimits = limits{pageSize: 256 << 10, scan: 2 << 30}

// New opens the service's tables. Run must run for retention and the default values of metric filters.
func New(ctx context.Context, config Config) (*Logs, error) {
	if config.DB == nil || config.Watch == nil || config.Clock == nil {
		return nil, errors.New("logs: DB, Watch and Clock are required")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if err := config.DB.Migrate(ctx, "logs", migrations...); err != nil {
		return nil, err
	}
	if err := config.Watch.Migrate(ctx, "logs_data", watchMigrations...); err != nil {
		return nil, err
	}
	l := &Logs{
		db: config.DB, watch: config.Watch, clock: config.Clock, putMetrics: config.PutMetrics, useKey: config.UseKey, log: config.Log,
		groups: map[LogGroupID]*group{}, byID: map[int64]*group{}, deleted: map[int64]bool{},
		swept: make(chan struct{}, 1), limit: defaultLimits,
	}
	return l, l.load(ctx)
}

// Service lists the operations. Those of CloudWatch Logs that are missing here are not built yet.
func (l *Logs) Service() call.Service {
	data := func(op call.Operation) call.Operation {
		op.Data = true
		return op
	}
	return call.Service{
		Name:          "logs",
		EventSource:   "logs.amazonaws.com",
		InternalError: "InternalFailure",
		Operations: []call.Operation{
			call.Op("AssociateKmsKey", l.AssociateKmsKey),
			call.Op("CreateLogGroup", l.CreateLogGroup),
			call.Op("CreateLogStream", l.CreateLogStream),
			call.Op("DeleteLogGroup", l.DeleteLogGroup),
			call.Op("DeleteLogStream", l.DeleteLogStream),
			call.Op("DeleteMetricFilter", l.DeleteMetricFilter),
			call.Op("DeleteRetentionPolicy", l.DeleteRetentionPolicy),
			call.Read("DescribeLogGroups", l.DescribeLogGroups),
			call.Read("DescribeLogStreams", l.DescribeLogStreams),
			call.Read("DescribeMetricFilters", l.DescribeMetricFilters),
			call.Op("DisassociateKmsKey", l.DisassociateKmsKey),
			data(call.Read("FilterLogEvents", l.FilterLogEvents)),
			data(call.Read("GetLogEvents", l.GetLogEvents)),
			call.Read("ListTagsForResource", l.ListTagsForResource),
			call.Read("ListTagsLogGroup", l.ListTagsLogGroup),
			data(call.Op("PutLogEvents", l.PutLogEvents)),
			call.Op("PutMetricFilter", l.PutMetricFilter),
			call.Op("PutRetentionPolicy", l.PutRetentionPolicy),
			call.Op("TagLogGroup", l.TagLogGroup),
			call.Op("TagResource", l.TagResource),
			call.Read("TestMetricFilter", l.TestMetricFilter),
			call.Op("UntagLogGroup", l.UntagLogGroup),
			call.Op("UntagResource", l.UntagResource),
		},
	}
}

// migrations are the main database's tables. Ids are never used twice. Times are milliseconds since 1970.
var migrations = []string{
	`CREATE TABLE logs_group (
		account   TEXT   NOT NULL,
		region    TEXT   NOT NULL,
		name      TEXT   NOT NULL,
		id        BIGINT NOT NULL UNIQUE,
		created   BIGINT NOT NULL,
		retention BIGINT NOT NULL, -- days; 0 is for ever
		PRIMARY KEY (account, region, name));

	CREATE TABLE logs_tag (
		group_id BIGINT NOT NULL,
		name     TEXT   NOT NULL,
		value    TEXT   NOT NULL,
		PRIMARY KEY (group_id, name));

	CREATE TABLE logs_metric_filter (
		group_id       BIGINT NOT NULL,
		name           TEXT   NOT NULL,
		id             BIGINT NOT NULL, -- another one after each change
		pattern        TEXT   NOT NULL,
		transformation TEXT   NOT NULL, -- JSON
		created        BIGINT NOT NULL,
		PRIMARY KEY (group_id, name));

	-- Streams that were created by a call. Those that came to be with their first event are only in the watch database.
	CREATE TABLE logs_stream (
		group_id BIGINT NOT NULL,
		name     TEXT   NOT NULL,
		id       BIGINT NOT NULL,
		created  BIGINT NOT NULL,
		PRIMARY KEY (group_id, name));

	-- Groups and streams whose data is still to be removed from the watch database. The one that is not meant is 0.
	CREATE TABLE logs_deleted (
		group_id  BIGINT NOT NULL,
		stream_id BIGINT NOT NULL,
		PRIMARY KEY (group_id, stream_id));

	CREATE TABLE logs_next (
		one BIGINT NOT NULL PRIMARY KEY,
		id  BIGINT NOT NULL);
	INSERT INTO logs_next (one, id) VALUES (1, 2);`,

	`ALTER TABLE logs_group ADD COLUMN key_id BIGINT NOT NULL DEFAULT 0; -- that encrypts what comes in; 0: none

	CREATE TABLE logs_key (
		id       BIGINT NOT NULL PRIMARY KEY,
		group_id BIGINT NOT NULL,
		kms_key  TEXT   NOT NULL, -- its ARN
		wrapped  BYTEA  NOT NULL, -- the data key, as KMS encrypted it
		public   BYTEA  NOT NULL); -- the public key that is derived from it
	CREATE INDEX logs_key_group ON logs_key (group_id);`,
}

// watchMigrations are the watch database's.
var watchMigrations = []string{
	// Streams that have had events. The id is that of the main database's stream if there was one, which is even, or else odd.
	`CREATE TABLE logs_data_stream (
		group_id BIGINT NOT NULL,
		name     TEXT   NOT NULL,
		id       BIGINT NOT NULL UNIQUE,
		created  BIGINT NOT NULL,
		first    BIGINT NOT NULL, -- time of the earliest event that there has been
		last     BIGINT NOT NULL,
		ingested BIGINT NOT NULL,
		PRIMARY KEY (group_id, name));

	CREATE TABLE logs_data_group (
		group_id BIGINT NOT NULL PRIMARY KEY,
		bytes    BIGINT NOT NULL); -- of the messages that there are

	-- A page of events. Those of one page are of times within pageSpan.
	CREATE TABLE logs_page (
		id        BIGINT NOT NULL PRIMARY KEY, -- in the order of ingestion
		group_id  BIGINT NOT NULL,
		stream_id BIGINT NOT NULL,
		first     BIGINT NOT NULL, -- time of the earliest event
		last      BIGINT NOT NULL,
		ingested  BIGINT NOT NULL,
		count     BIGINT NOT NULL,
		size      BIGINT NOT NULL, -- bytes of messages
		words     BYTEA  NOT NULL); -- see words.go
	CREATE INDEX logs_page_group ON logs_page (group_id, first, id);
	CREATE INDEX logs_page_group_last ON logs_page (group_id, last, id);
	CREATE INDEX logs_page_stream ON logs_page (stream_id, first, id);
	CREATE INDEX logs_page_stream_last ON logs_page (stream_id, last, id);

	CREATE TABLE logs_body (
		id   BIGINT NOT NULL PRIMARY KEY,
		body BYTEA  NOT NULL);

	-- Whether a metric filter with a default value has matched any of the events that came in during a minute.
	CREATE TABLE logs_minute (
		minute    BIGINT NOT NULL, -- its beginning
		group_id  BIGINT NOT NULL,
		filter_id BIGINT NOT NULL,
		matched   BIGINT NOT NULL,
		PRIMARY KEY (minute, group_id, filter_id));

	CREATE TABLE logs_data_next (
		one    BIGINT NOT NULL PRIMARY KEY,
		stream BIGINT NOT NULL,
		page   BIGINT NOT NULL);
	INSERT INTO logs_data_next (one, stream, page) VALUES (1, 1, 1);`,

	`ALTER TABLE logs_body ADD COLUMN key_id BIGINT NOT NULL DEFAULT 0; -- that encrypted it, of logs_key; 0: none`,
}

// nextID is a new id in the main database: even, so that it is not one of the watch database's.
func nextID(tx store.Tx) (id int64, err error) {
	err = tx.QueryRow(`UPDATE logs_next SET id = id + 2 WHERE one = 1 RETURNING id`).Scan(&id)
	return id, err
}

func invalid(format string, args ...any) error {
	return call.Errorf("InvalidParameterException", format, args...)
}

func noSuchGroup() error {
	return call.Errorf("ResourceNotFoundException", "The specified log group does not exist.")
}

func noSuchStream() error {
	return call.Errorf("ResourceNotFoundException", "The specified log stream does not exist.")
}

func badToken() error { return invalid("The specified nextToken is invalid.") }

func toMillis(t time.Time) int64 { return t.UnixMilli() }
