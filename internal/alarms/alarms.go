// Package alarms is CloudWatch alarms on single metrics.
//
//   - config.go, put.go   what an alarm is; describe.go   lists of alarms and of their history, and SetAlarmState
//   - evaluate.go   what points and missing points come to: the state, and the texts that say why
//   - run.go   evaluation at slots of the server's clock
//   - transition.go, message.go   a change of state, with its history, actions and event
//
// Configuration and its history are in the main database, where a call's effect changes them together with the call's record. States,
// and the history of what happened, are in the watch database, where a transition is one transaction with all that it causes.
//
// Alarms on expressions, on anomaly detection and on other alarms are not built yet, and refused.
package alarms

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/store"
)

// Config is what an Alarms needs. All but Act, Emit and Log are required.
type Config struct {
	DB    store.DB // configuration
	Watch store.DB // states and history
	Clock clock.Clock
	// Query computes a statistic of each period that has data, oldest first. Periods begin at Start.
	Query func(ctx context.Context, account, region string, q Query) ([]Point, error)
	// Act does an action of an alarm, which is given by its ARN, in the transaction of the transition. If it fails, the history says so, and the transition stands.
	Act func(tx store.Tx, alarm, action, subject, message string) error
	// Emit sends an EventBridge event in the transaction of the transition.
	Emit func(tx store.Tx, account, region string, event []byte) error
	Log  *slog.Logger
}

// Query asks for one statistic of one metric, from Start until before End.
type Query struct {
	Namespace  string
	Name       string
	Dimensions []Dimension
	Unit       string // "" for all units together
	Stat       string // "Sum", "p99.9" …
	Period     time.Duration
	Start, End time.Time
}

// Dimension is a name and a value that a metric is told apart by.
type Dimension struct{ Name, Value string }

// Alarms is the service, for all accounts and regions. It is used by many goroutines.
type Alarms struct {
	Config

	mu     sync.RWMutex
	alarms map[alarmID]*alarm // an alarm does not change; it is replaced
	states map[int64]*state   // by the alarm's number; likewise
	fresh  map[alarmID]bool   // to be evaluated at once
	wake   chan struct{}      // has a token when there is something fresh
}

type alarmID struct{ account, region, name string }

// New opens the service's tables. Run must run for alarms to be evaluated.
func New(ctx context.Context, config Config) (*Alarms, error) {
	if config.DB == nil || config.Watch == nil || config.Clock == nil || config.Query == nil {
		return nil, errors.New("alarms: DB, Watch, Clock and Query are required")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Act == nil {
		config.Act = func(store.Tx, string, string, string, string) error {
			return errors.New("this server does no actions")
		}
	}
	if config.Emit == nil {
		config.Emit = func(store.Tx, string, string, []byte) error { return nil }
	}
	a := &Alarms{
		Config: config, alarms: map[alarmID]*alarm{}, states: map[int64]*state{}, fresh: map[alarmID]bool{}, wake: make(chan struct{}, 1),
	}
	if err := a.DB.Migrate(ctx, "alarms", migrations...); err != nil {
		return nil, fmt.Errorf("alarms: %w", err)
	}
	if err := a.Watch.Migrate(ctx, "alarms_data", watchMigrations...); err != nil {
		return nil, fmt.Errorf("alarms: %w", err)
	}
	if err := a.load(ctx); err != nil {
		return nil, fmt.Errorf("alarms: %w", err)
	}
	return a, nil
}

// Operations are the part of the CloudWatch API that is about alarms. Metrics are the other part.
func (a *Alarms) Operations() []call.Operation {
	return []call.Operation{
		call.Op("DeleteAlarms", a.DeleteAlarms),
		call.Read("DescribeAlarmHistory", a.DescribeAlarmHistory),
		call.Read("DescribeAlarms", a.DescribeAlarms),
		call.Read("DescribeAlarmsForMetric", a.DescribeAlarmsForMetric),
		call.Op("DisableAlarmActions", a.DisableAlarmActions),
		call.Op("EnableAlarmActions", a.EnableAlarmActions),
		call.Op("PutMetricAlarm", a.PutMetricAlarm),
		call.Op("SetAlarmState", a.SetAlarmState),
	}
}

// migrations are the main database's tables. Numbers are never used twice. Times are milliseconds since 1970.
var migrations = []string{
	`CREATE TABLE alarms_alarm (
		account TEXT   NOT NULL,
		region  TEXT   NOT NULL,
		name    TEXT   NOT NULL,
		id      BIGINT NOT NULL UNIQUE,
		created BIGINT NOT NULL,
		updated BIGINT NOT NULL,
		config  TEXT   NOT NULL, -- JSON
		PRIMARY KEY (account, region, name));

	-- History items of configuration.
	CREATE TABLE alarms_change (
		id      BIGINT NOT NULL PRIMARY KEY,
		account TEXT   NOT NULL,
		region  TEXT   NOT NULL,
		name    TEXT   NOT NULL,
		at      BIGINT NOT NULL,
		type    TEXT   NOT NULL,
		summary TEXT   NOT NULL,
		data    TEXT   NOT NULL);
	CREATE INDEX alarms_change_time ON alarms_change (account, region, at, id);
	CREATE INDEX alarms_change_age ON alarms_change (at);

	CREATE TABLE alarms_next (
		one BIGINT NOT NULL PRIMARY KEY,
		id  BIGINT NOT NULL);
	INSERT INTO alarms_next (one, id) VALUES (1, 1);`,
}

// watchMigrations are the watch database's.
var watchMigrations = []string{
	`CREATE TABLE alarms_state (
		id           BIGINT NOT NULL PRIMARY KEY,
		value        TEXT   NOT NULL,
		reason       TEXT   NOT NULL,
		data         TEXT   NOT NULL, -- StateReasonData, or empty
		updated      BIGINT NOT NULL,
		transitioned BIGINT NOT NULL);

	-- History items of transitions and actions.
	CREATE TABLE alarms_history (
		id      BIGINT NOT NULL PRIMARY KEY,
		account TEXT   NOT NULL,
		region  TEXT   NOT NULL,
		name    TEXT   NOT NULL,
		at      BIGINT NOT NULL,
		type    TEXT   NOT NULL,
		summary TEXT   NOT NULL,
		data    TEXT   NOT NULL);
	CREATE INDEX alarms_history_time ON alarms_history (account, region, at, id);
	CREATE INDEX alarms_history_age ON alarms_history (at);

	-- The newest slot that all alarms have been evaluated at.
	CREATE TABLE alarms_cursor (
		one  BIGINT NOT NULL PRIMARY KEY,
		slot BIGINT NOT NULL,
		next BIGINT NOT NULL); -- number of the next history item
	INSERT INTO alarms_cursor (one, slot, next) VALUES (1, 0, 1);`,
}

// load reads alarms and their states.
func (a *Alarms) load(ctx context.Context) error {
	err := a.DB.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT account, region, name, id, created, updated, config FROM alarms_alarm`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			one := &alarm{}
			var text string
			if err := rows.Scan(&one.account, &one.region, &one.name, &one.id, &one.created, &one.updated, &text); err != nil {
				return err
			}
			if err := one.parse(text); err != nil {
				return fmt.Errorf("the alarm %q: %w", one.name, err)
			}
			a.alarms[one.alarmID] = one
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	return a.Watch.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT id, value, reason, data, updated, transitioned FROM alarms_state`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			s := &state{}
			if err := rows.Scan(&id, (*string)(&s.value), &s.reason, &s.data, &s.updated, &s.transitioned); err != nil {
				return err
			}
			a.states[id] = s
		}
		return rows.Err()
	})
}

// state is an alarm's state. Times are milliseconds since 1970.
type state struct {
	value                 types.StateValue
	reason, data          string
	updated, transitioned int64
}

// stateOf is the state of an alarm: that of a new one until it has another.
func (a *Alarms) stateOf(one *alarm) *state {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if s := a.states[one.id]; s != nil {
		return s
	}
	return &state{types.StateValueInsufficientData, "Unchecked: Initial alarm creation", "", one.created, one.created}
}

func (a *Alarms) find(id alarmID) *alarm {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.alarms[id]
}

func invalid(format string, args ...any) error {
	return call.Errorf("ValidationError", format, args...)
}

func notBuilt(what string) error {
	return invalid("%s is not supported by this version of Vigil.", what)
}

func notFound() error { return &call.Error{Code: "ResourceNotFound", Status: 404} }
