package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/store"
)

var clockMigrations = []string{
	`CREATE TABLE server_clock (
		one    BIGINT NOT NULL PRIMARY KEY,
		ahead  BIGINT NOT NULL)`, // milliseconds ahead of the machine's clock
}

// startClock starts the server's clock. One that was moved stays ahead over restarts, as records and deletion dates do.
func (s *Server) startClock(ctx context.Context) error {
	if err := s.main.Migrate(ctx, "server_clock", clockMigrations...); err != nil {
		return err
	}
	var ahead int64
	err := s.main.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT ahead FROM server_clock WHERE one = 1`).Scan(&ahead)
	})
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return err
	}
	if !s.cfg.TestClock {
		if ahead != 0 {
			return fmt.Errorf("this data directory's clock was moved %s ahead: it can only be served with --test-clock", time.Duration(ahead)*time.Millisecond)
		}
		s.clock = clock.Wall{}
		return nil
	}
	s.movable = clock.NewMovable(time.Duration(ahead) * time.Millisecond)
	s.clock = s.movable
	return nil
}

// AdvanceClockInput asks to move the clock of a server that runs with --test-clock.
type AdvanceClockInput struct {
	Seconds *int64 // 1 to 3,153,600,000, a hundred years
}

// AdvanceClockOutput says what time it is now.
type AdvanceClockOutput struct {
	Now *time.Time
}

// advanceClock is the operation behind `vigil clock advance`.
func (s *Server) advanceClock(_ context.Context, c *call.Call, in *AdvanceClockInput) (*AdvanceClockOutput, error) {
	if err := s.identity.AllowOperator(c); err != nil {
		return nil, err
	}
	if s.movable == nil {
		return nil, call.Errorf("UnsupportedOperationException", "The clock of this server cannot be moved; start it with --test-clock.")
	}
	by := time.Duration(*in.Seconds) * time.Second
	out := &AdvanceClockOutput{}
	c.Effect(func(tx store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO server_clock (one, ahead) VALUES (1, $1)
			ON CONFLICT (one) DO UPDATE SET ahead = excluded.ahead`, (s.movable.Offset() + by).Milliseconds()); err != nil {
			return err
		}
		now := s.movable.Now().Add(by)
		out.Now = &now
		tx.OnCommit(func() { s.movable.Advance(by) })
		return nil
	})
	return out, nil
}

const vigilEventSource = "vigil"

// vigilService is the API that AWS does not have: the operator's.
func (s *Server) vigilService() call.Service {
	return call.Service{
		Name: "vigil", EventSource: vigilEventSource, InternalError: "InternalFailure",
		Operations: slices.Concat(s.identity.Vigil(), s.outbox.Operations(), s.intake.Operations(), []call.Operation{
			call.Op("AdvanceClock", s.advanceClock), call.Read("ProveEvent", s.proveEvent), call.Read("GetKeyTimeline", s.getKeyTimeline),
		}),
	}
}
