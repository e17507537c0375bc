package server

import (
	"context"
	"maps"
	"slices"
	"time"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// MinRetention is the shortest time that records can be kept. A slip of the pen does not cost a trail.
const MinRetention = 24 * time.Hour

// retentionSlack is how much longer records stay at most than they must: so many are dropped at once, with one statement.
const retentionSlack = 24 * time.Hour

// retentionPace is how often it is seen whether there is something to drop, and retentionRetry how soon again at first when something could not be, be it
// that somebody still needed it: then after twice as long each time, up to the pace.
const (
	retentionPace  = time.Hour
	retentionRetry = time.Second
)

// runRetention drops the records that are older than they are to be kept, until ctx is done.
func (s *Server) runRetention(ctx context.Context) error {
	for wait := retentionPace; ; {
		now := s.clock.Now() // once: the clock may be moved while records are dropped
		done, err := s.dropExpired(ctx, now)
		if err != nil && ctx.Err() == nil {
			s.log.Error("Records that are past their retention could not be dropped; it is tried again.", "error", err)
		}
		switch {
		case err == nil && done:
			wait = retentionPace
		case wait == retentionPace:
			wait = retentionRetry
		default:
			wait = min(2*wait, retentionPace/2)
		}
		if s.clock.Sleep(ctx, now.Add(wait)) != nil {
			return nil
		}
	}
}

// dropExpired drops what was stated to be dropped, and states and drops what has become too old since. The log keeps the digests of all, and the statement
// is under a checkpoint before the first record goes: so `vigil verify` tells what retention has dropped from what somebody has removed. done is false
// when some of them are still needed and stay.
func (s *Server) dropExpired(ctx context.Context, now time.Time) (done bool, err error) {
	stated, err := s.notary.Stated(ctx)
	if err != nil {
		return false, err
	}
	if done, err := s.drop(ctx, stated); err != nil || !done {
		return false, err
	}
	if s.cfg.Retention == 0 {
		return true, nil
	}
	older := now.Add(-s.cfg.Retention)
	for _, keep := range s.keep {
		since, err := keep(ctx)
		if err != nil {
			return false, err
		}
		if !since.IsZero() && since.Before(older) {
			older = since
		}
	}
	before, oldest, err := s.journal.Older(ctx, older)
	if err != nil || before <= stated || oldest.After(older.Add(-retentionSlack)) {
		return err == nil, err
	}
	floor, name, err := s.needed(ctx)
	if err != nil {
		return false, err
	}
	whole := before <= floor
	if before = min(before, floor); before <= stated {
		s.log.Warn("Records that are past their retention are still needed and stay.", "by", name)
		return false, nil
	}
	s.trail.Settle()
	if err := s.notary.State(ctx, before, older, now, s.dropRecord); err != nil {
		return false, err
	}
	done, err = s.drop(ctx, before)
	return done && whole, err
}

// dropRecord is the event that the statement is on record in.
func (s *Server) dropRecord(statement string) journal.Record {
	return call.ServiceEvent{
		Source: vigil.RetentionSource, Name: vigil.RetentionEvent, Region: s.cfg.Region, Account: s.identity.Operator(), Time: s.clock.Now(),
		Details: []call.Detail{{Name: vigil.RetentionDetail, Value: statement}},
	}.Record()
}

// drop drops the records before an index, which has been stated, from the journal and from the index over it. done is false when they are still needed.
func (s *Server) drop(ctx context.Context, before int64) (done bool, err error) {
	dropped, err := s.journal.Dropped(ctx)
	if err != nil || before == 0 {
		return err == nil, err
	}
	if dropped < before {
		floor, by, err := s.needed(ctx)
		if err != nil {
			return false, err
		}
		s.trail.Settle()
		settled, err := s.trail.Settled(ctx)
		if err != nil {
			return false, err
		}
		if min(floor, settled) < before {
			s.log.Info("Records that are past their retention are still needed and stay.", "records", before, "settled", settled, "followed", floor, "by", by)
			return false, nil
		}
		if err := s.journal.Drop(ctx, before); err != nil {
			return false, err
		}
		was := dropped
		if dropped, err = s.journal.Dropped(ctx); err != nil {
			return false, err
		}
		s.log.Info("Records that are past their retention were dropped.", "records", dropped-was, "next", dropped)
	}
	err = s.trail.Forget(ctx, dropped)
	return err == nil, err
}

// needed is the first record that some follower has not followed, or that a file of a trail is still to be made of, and who needs it. A follower that does
// not run counts too.
func (s *Server) needed(ctx context.Context) (floor int64, by string, err error) {
	floor = s.journal.Sequenced()
	least := func(cursors map[string]int64) {
		for _, name := range slices.Sorted(maps.Keys(cursors)) {
			if cursors[name] < floor {
				floor, by = cursors[name], name
			}
		}
	}
	least(s.journal.Followed())
	for _, db := range []store.DB{s.main, s.history, s.watch} {
		cursors, err := journal.Cursors(ctx, db)
		if err != nil {
			return 0, "", err
		}
		least(cursors)
	}
	if first, ok, err := s.trail.Needs(ctx); err != nil { // asked last: what the trails' follower has passed by since is not before its cursor
		return 0, "", err
	} else if ok {
		least(map[string]int64{"the files of trails": first})
	}
	return floor, by, nil
}
