// Package metrics is CloudWatch metrics: points of data, put by clients and by Vigil itself, and statistics of them.
//
// A metric is a series: an account, a region, a namespace, a name and dimensions. What is put into it is gathered in buckets of a minute
// (of a second, with StorageResolution 1), each with its sum, count, minimum and maximum, and with the values themselves and how
// often each occurred, so that percentiles are exact (bucket.go, codec.go, statistic.go). A row of the database has the buckets of one
// series and one hour (slot.go).
//
// Points are durable before they are answered, and yet no hour's row is written for each of them. They go two ways:
//
//   - Into the log: one row for all that a transaction puts, whatever its series (put.go, log.go). It needs one insert.
//   - Into memory: the hours that points go to are there, complete (series.go). Statistics of recent times need no database at all.
//
// From time to time the hours that have changed are written, and the log up to there is dropped (fold.go). A new process reads the log
// again. Each hour's row knows how much of the log is in it, so that a point is counted once whenever a process ends.
//
// As time passes, hours get coarser and are dropped, as in AWS (retain.go).
//
// Vigil's own metrics come from the journal (follow.go) and from the door (latency.go). The server's own health, in Prometheus
// form, is something else (health.go).
package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// Config is what a Metrics is made of.
type Config struct {
	Watch   store.DB
	Clock   clock.Clock
	Journal *journal.Journal // nil for none to follow
	Log     *slog.Logger     // nil for silence
}

// Metrics is CloudWatch metrics of all accounts and regions. Its methods may be used by many goroutines.
type Metrics struct {
	db      store.DB
	clock   clock.Clock
	journal *journal.Journal
	log     *slog.Logger

	pages   pages
	queue   queue
	latency latency
	health  health

	foldNow chan struct{} // tells Run that the log is long

	mu      sync.RWMutex
	series  map[string]*series // by key; those that are not here are in the database, if at all
	evicted uint64             // how many were taken out of series

	put atomic.Int64 // values put, for the health
}

var migrations = []string{
	`CREATE TABLE metrics_series (
		id         BIGINT NOT NULL PRIMARY KEY,
		hash       BYTEA  NOT NULL UNIQUE,
		account    TEXT   NOT NULL,
		region     TEXT   NOT NULL,
		namespace  TEXT   NOT NULL,
		name       TEXT   NOT NULL,
		dimensions BYTEA  NOT NULL,
		active     BIGINT NOT NULL);
	CREATE INDEX metrics_series_list ON metrics_series (account, region, namespace, name, id);
	CREATE TABLE metrics_hour (
		series BIGINT NOT NULL,
		hour   BIGINT NOT NULL,
		period BIGINT NOT NULL,
		upto   BIGINT NOT NULL,
		body   BYTEA  NOT NULL,
		PRIMARY KEY (series, hour));
	CREATE INDEX metrics_hour_age ON metrics_hour (period, hour);
	CREATE TABLE metrics_page (
		id    BIGINT NOT NULL PRIMARY KEY,
		nonce BIGINT NOT NULL,
		at    BIGINT NOT NULL,
		body  BYTEA  NOT NULL);
	CREATE TABLE metrics_log (
		one  BIGINT NOT NULL PRIMARY KEY,
		last BIGINT NOT NULL);
	INSERT INTO metrics_log (one, last) VALUES (1, 0)`,
	// An hour of a series has one number, its slot, so that a row is in one index only, and those of a day are neighbours: see slotOf.
	`CREATE TABLE metrics_series_hour (
		slot   BIGINT NOT NULL PRIMARY KEY,
		period BIGINT NOT NULL,
		upto   BIGINT NOT NULL,
		body   BYTEA  NOT NULL);
	INSERT INTO metrics_series_hour (slot, period, upto, body)
		SELECT hour / 24 * 35184372088832 + series * 32 + hour % 24, period, upto, body FROM metrics_hour WHERE hour >= 0 ORDER BY 1;
	CREATE TABLE metrics_due (
		period BIGINT NOT NULL,
		hour   BIGINT NOT NULL,
		PRIMARY KEY (period, hour));
	INSERT INTO metrics_due (period, hour) SELECT DISTINCT period, hour FROM metrics_hour WHERE hour >= 0 AND period < 3600;
	ALTER TABLE metrics_series ADD COLUMN last BIGINT NOT NULL DEFAULT 0;
	UPDATE metrics_series SET last = COALESCE((SELECT MAX(hour) FROM metrics_hour WHERE series = id), 0);
	DROP TABLE metrics_hour`,
}

// New prepares the tables in the database and takes in what an earlier process left in the log.
func New(ctx context.Context, config Config) (*Metrics, error) {
	m := &Metrics{
		db: config.Watch, clock: config.Clock, journal: config.Journal, log: config.Log,
		foldNow: make(chan struct{}, 1),
		series:  map[string]*series{},
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.pages.dirty = map[*hour]*series{}
	m.latency.init()
	m.ownHealth()
	if err := m.db.Migrate(ctx, "metrics", migrations...); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if err := m.replay(ctx); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return m, nil
}

// Service is the part of the CloudWatch API that is about metrics. Alarms are the other part.
func (m *Metrics) Service() call.Service {
	return call.Service{
		Name:          "cloudwatch",
		EventSource:   "monitoring.amazonaws.com",
		InternalError: "InternalServiceFault",
		Operations:    m.Operations(),
	}
}

// Operations are those of Service.
func (m *Metrics) Operations() []call.Operation {
	return []call.Operation{
		data(call.Op("PutMetricData", m.putNamed)),
		data(call.Read("GetMetricStatistics", m.GetMetricStatistics)),
		data(call.Read("GetMetricData", m.GetMetricData)),
		data(call.Read("ListMetrics", m.ListMetrics)),
	}
}

// metricType is what CloudTrail calls metrics. They have no ARNs.
const metricType = "AWS::CloudWatch::Metric"

// data makes an operation one on data: see "CloudWatch data events in CloudTrail" in the CloudWatch user guide.
func data(op call.Operation) call.Operation {
	op.Data, op.DataType = true, metricType
	do := op.Do
	op.Do = func(ctx context.Context, c *call.Call, in any) (any, error) {
		c.TouchType(metricType)
		return do(ctx, c, in)
	}
	return op
}

// Times within the package are seconds since 1970, and hours since 1970.

func hourOf(second int64) int64 {
	if second < 0 {
		return (second - perHour + 1) / perHour
	}
	return second / perHour
}

func (m *Metrics) hourNow() int64 { return hourOf(m.clock.Now().Unix()) }

// retention is how long points are kept at most, whatever their period.
const retention = 455 * 24 * time.Hour
