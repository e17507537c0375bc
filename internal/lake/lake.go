// Package lake is CloudTrail Lake, the part that queries: event data stores, and SQL over them.
//
// An event data store copies nothing. It is a view over the journal: the records of its account, in its region or in all, which
// happened while it was taking events in, which its selectors of then take, and which are within its retention (view.go). A query
// is compiled to SQLite's SQL by package presto, is run by an SQLite that has nothing but virtual tables over such views (engine.go,
// table.go, scan.go), and leaves its result in the database, where it stays for seven days (run.go, results.go), and in a
// bucket if it is asked for (deliver.go).
//
// The operations are those of stores (stores.go, stores_change.go, policies.go, tags.go) and of queries (queries.go, start.go);
// those of what there is not answer so (absent.go).
package lake

import (
	"context"
	"errors"
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

// Config is what a Lake is made of.
type Config struct {
	DB      store.DB // stores and queries, which change by recorded calls
	Watch   store.DB // results of queries
	Journal *journal.Journal
	Clock   clock.Clock
	Log     *slog.Logger
	// Principals knows the users and roles that resource policies may name.
	Principals Principals
	// Buckets is where results of queries go.
	Buckets Buckets
	// Timeout is how long a query runs at most; 0 is an hour.
	Timeout time.Duration
}

// Lake is CloudTrail Lake of all accounts and regions. Its methods may be used by many goroutines.
type Lake struct {
	db, watch store.DB
	journal   *journal.Journal
	clock     clock.Clock
	log       *slog.Logger
	timeout   time.Duration

	principals Principals
	buckets    Buckets

	dataFor atomic.Pointer[map[askedFor]bool] // see AsksForData
	wake    chan struct{}                     // there are queries to run
	mu      sync.Mutex
	running map[string]context.CancelCauseFunc // by the query's id
}

// migrations are the tables of the main database. Times are milliseconds since 1970; 0 is never.
var migrations = []string{
	`CREATE TABLE lake_store (
		id         TEXT   NOT NULL PRIMARY KEY,
		account    TEXT   NOT NULL,
		region     TEXT   NOT NULL,
		name       TEXT   NOT NULL,
		everywhere BIGINT NOT NULL, -- has events of all regions
		retention  BIGINT NOT NULL, -- days
		billing    TEXT   NOT NULL,
		protected  BIGINT NOT NULL, -- from deletion
		selectors  TEXT   NOT NULL, -- JSON
		created    BIGINT NOT NULL,
		updated    BIGINT NOT NULL,
		deleted    BIGINT NOT NULL, -- when its deletion was asked for
		stopped    BIGINT NOT NULL); -- takes no events in
	CREATE INDEX lake_store_account ON lake_store (account, region, name);

	-- When a store took events in, and which. What is changed holds from then on, so that nothing that was taken in is hidden by it.
	CREATE TABLE lake_period (
		store      TEXT   NOT NULL,
		begun      BIGINT NOT NULL,
		ended      BIGINT NOT NULL,
		everywhere BIGINT NOT NULL,
		selectors  TEXT   NOT NULL,
		PRIMARY KEY (store, begun));

	CREATE TABLE lake_tag (
		store TEXT NOT NULL,
		name  TEXT NOT NULL,
		value TEXT NOT NULL,
		PRIMARY KEY (store, name));

	CREATE TABLE lake_query (
		id        TEXT   NOT NULL PRIMARY KEY,
		account   TEXT   NOT NULL,
		region    TEXT   NOT NULL,
		statement TEXT   NOT NULL,
		created   BIGINT NOT NULL,
		status    TEXT   NOT NULL,
		took      BIGINT NOT NULL, -- milliseconds
		scanned   BIGINT NOT NULL,
		matched   BIGINT NOT NULL,
		bytes     BIGINT NOT NULL,
		results   BIGINT NOT NULL, -- rows
		columns   TEXT   NOT NULL, -- JSON; empty until there are any
		error     TEXT   NOT NULL);
	CREATE INDEX lake_query_account ON lake_query (account, region, created);
	CREATE INDEX lake_query_status ON lake_query (status, created);

	CREATE TABLE lake_query_store (
		query TEXT NOT NULL,
		store TEXT NOT NULL,
		PRIMARY KEY (store, query))`,
	policyMigration,
	deliveryMigration,
}

// resultMigrations are the tables of the watch database.
var resultMigrations = []string{
	// A row is count rows of a result, the first of which is the first-th: see encodeRows.
	`CREATE TABLE lake_result (
		query TEXT   NOT NULL,
		first BIGINT NOT NULL,
		count BIGINT NOT NULL,
		body  BYTEA  NOT NULL,
		PRIMARY KEY (query, first))`,
}

// New prepares the tables. Queries are run once Run runs.
func New(ctx context.Context, config Config) (*Lake, error) {
	l := &Lake{db: config.DB, watch: config.Watch, journal: config.Journal, clock: config.Clock, log: config.Log, timeout: config.Timeout, principals: config.Principals, buckets: config.Buckets,
		wake: make(chan struct{}, 1), running: map[string]context.CancelCauseFunc{}}
	if l.timeout == 0 {
		l.timeout = time.Hour
	}
	if _, err := engineDriver(); err != nil {
		return nil, fmt.Errorf("lake: %w", err)
	}
	if err := errors.Join(l.db.Migrate(ctx, "lake", migrations...), l.watch.Migrate(ctx, "lake_result", resultMigrations...)); err != nil {
		return nil, fmt.Errorf("lake: %w", err)
	}
	err := l.db.View(ctx, func(tx store.Tx) error {
		asked, err := readAsked(tx)
		l.dataFor.Store(&asked)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lake: %w", err)
	}
	return l, nil
}

// Operations are those of the CloudTrail API that are Lake's. AddTags, RemoveTags and ListTags are for event data stores only.
func (l *Lake) Operations() []call.Operation {
	return []call.Operation{
		call.Op("CreateEventDataStore", l.CreateEventDataStore),
		call.Op("DeleteEventDataStore", l.DeleteEventDataStore),
		call.Read("GetEventDataStore", l.GetEventDataStore),
		call.Read("ListEventDataStores", l.ListEventDataStores),
		call.Op("RestoreEventDataStore", l.RestoreEventDataStore),
		call.Op("StartEventDataStoreIngestion", l.StartEventDataStoreIngestion),
		call.Op("StopEventDataStoreIngestion", l.StopEventDataStoreIngestion),
		call.Op("UpdateEventDataStore", l.UpdateEventDataStore),

		call.Op("DeleteResourcePolicy", l.DeleteResourcePolicy),
		call.Read("GetResourcePolicy", l.GetResourcePolicy),
		call.Op("PutResourcePolicy", l.PutResourcePolicy),

		call.Op("AddTags", l.AddTags),
		call.Read("ListTags", l.ListTags),
		call.Op("RemoveTags", l.RemoveTags),

		call.Op("CancelQuery", l.CancelQuery),
		call.Read("DescribeQuery", l.DescribeQuery),
		call.Read("GetQueryResults", l.GetQueryResults),
		call.Read("ListQueries", l.ListQueries),
		call.Read("StartQuery", l.StartQuery).Responding(),

		call.Op("DeleteChannel", l.DeleteChannel),
		call.Read("GetChannel", l.GetChannel),
		call.Read("ListChannels", l.ListChannels),
		call.Op("UpdateChannel", l.UpdateChannel),

		call.Op("DeleteDashboard", l.DeleteDashboard),
		call.Read("GetDashboard", l.GetDashboard),
		call.Read("ListDashboards", l.ListDashboards),
		call.Op("StartDashboardRefresh", l.StartDashboardRefresh),
		call.Op("UpdateDashboard", l.UpdateDashboard),

		call.Read("GetImport", l.GetImport),
		call.Read("ListImportFailures", l.ListImportFailures),
		call.Read("ListImports", l.ListImports),
		call.Op("StopImport", l.StopImport),
	}
}

func truth(is bool) int64 {
	if is {
		return 1
	}
	return 0
}
