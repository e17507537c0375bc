package logs

import (
	"context"
	"errors"
	"strconv"
	"time"

	"vigil/internal/store"
)

// sweepPages is how many pages one transaction removes, so that those who write wait little for it.
const sweepPages = 256

// Run does what happens by itself, until ctx is done: at the end of each minute it publishes the default values of metric filters and
// drops the pages whose events are all past their group's retention, and as soon as something is deleted it removes its data.
func (l *Logs) Run(ctx context.Context) error {
	for {
		// The minute ends for what is about to be swept: should it end meanwhile, the next round is due at once.
		end := l.clock.Now().Truncate(time.Minute).Add(time.Minute)
		if err := l.sweep(ctx); err != nil && ctx.Err() == nil {
			l.log.Error("Log groups could not be swept; it is tried again in a minute.", "error", err)
		}
		if err := l.rest(ctx, end); err != nil {
			return nil
		}
	}
}

// rest waits until a time, or for something to be deleted.
func (l *Logs) rest(ctx context.Context, until time.Time) error {
	waiting, wake := context.WithCancel(ctx)
	defer wake()
	go func() {
		select {
		case <-l.swept:
			wake()
		case <-waiting.Done():
		}
	}()
	err := l.clock.Sleep(waiting, until)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, context.Canceled) {
		return nil // woken
	}
	return err
}

func (l *Logs) wakeSweep() {
	select {
	case l.swept <- struct{}{}:
	default:
	}
}

// sweep does all that there is to do now.
func (l *Logs) sweep(ctx context.Context) error {
	return errors.Join(l.sweepMinutes(ctx), l.sweepExpired(ctx), l.sweepDeleted(ctx))
}

func (l *Logs) sweepMinutes(ctx context.Context) error {
	if l.putMetrics == nil {
		return nil
	}
	return l.watch.Update(ctx, func(tx store.Tx) error { return l.endMinutes(tx, toMillis(l.clock.Now())) })
}

// sweepExpired drops the pages of which all events are past the retention.
func (l *Logs) sweepExpired(ctx context.Context) error {
	now := l.clock.Now()
	for _, g := range l.allGroups() {
		if g.retention == 0 {
			continue
		}
		if err := l.removePages(ctx, g.id, `group_id = $1 AND last < $2`, g.id, g.oldest(now)); err != nil {
			return err
		}
	}
	return nil
}

func (l *Logs) allGroups() []*group {
	l.mu.RLock()
	defer l.mu.RUnlock()
	all := make([]*group, 0, len(l.groups))
	for _, g := range l.groups {
		all = append(all, g)
	}
	return all
}

// deletion is a stream, or a group when there is no stream, whose data is to be removed.
type deletion struct{ group, stream int64 }

func loadDeleted(tx store.Tx) ([]deletion, error) {
	return store.List(tx, func(row store.Scanner) (d deletion, err error) {
		err = row.Scan(&d.group, &d.stream)
		return d, err
	},
		`SELECT group_id, stream_id FROM logs_deleted`)
}

// sweepDeleted removes the data of what was deleted, and then forgets it. No one can have written to it any more: writers ask in their
// transactions whether it is there, and those that began before it was deleted have ended before these begin.
func (l *Logs) sweepDeleted(ctx context.Context) error {
	var deleted []deletion
	err := l.db.View(ctx, func(tx store.Tx) (err error) {
		deleted, err = loadDeleted(tx)
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range deleted {
		if err := l.remove(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func (l *Logs) remove(ctx context.Context, d deletion) error {
	pages, rows := `group_id = $1`, []string{
		`DELETE FROM logs_data_stream WHERE group_id = $1`, `DELETE FROM logs_data_group WHERE group_id = $1`, `DELETE FROM logs_minute WHERE group_id = $1`,
	}
	id := d.group
	if d.stream != 0 {
		pages, rows, id = `stream_id = $1`, []string{`DELETE FROM logs_data_stream WHERE id = $1`}, d.stream
	}
	if err := l.removePages(ctx, d.group, pages, id); err != nil {
		return err
	}
	err := l.watch.Update(ctx, func(tx store.Tx) error {
		for _, statement := range rows {
			if _, err := tx.Exec(statement, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = l.db.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`DELETE FROM logs_deleted WHERE group_id = $1 AND stream_id = $2`, d.group, d.stream)
		return err
	})
	if err == nil && d.stream != 0 {
		l.setDeleted([]int64{d.stream}, false)
	}
	return err
}

// removePages removes pages of a group, some at a time.
func (l *Logs) removePages(ctx context.Context, groupID int64, where string, args ...any) error {
	type page struct{ id, size int64 }
	for {
		var pages []page
		err := l.watch.Update(ctx, func(tx store.Tx) (err error) {
			pages, err = store.List(tx, func(row store.Scanner) (p page, err error) {
				err = row.Scan(&p.id, &p.size)
				return p, err
			},
				`SELECT id, size FROM logs_page WHERE `+where+` LIMIT `+strconv.Itoa(sweepPages), args...)
			if err != nil {
				return err
			}
			size := int64(0)
			for _, p := range pages {
				size += p.size
				for _, statement := range []string{`DELETE FROM logs_page WHERE id = $1`, `DELETE FROM logs_body WHERE id = $1`} {
					if _, err := tx.Exec(statement, p.id); err != nil {
						return err
					}
				}
			}
			if len(pages) == 0 {
				return nil
			}
			_, err = tx.Exec(`UPDATE logs_data_group SET bytes = bytes - $1 WHERE group_id = $2`, size, groupID)
			return err
		})
		if err != nil || len(pages) < sweepPages {
			return err
		}
	}
}
