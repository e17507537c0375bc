package metrics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vigil/internal/store"
)

// ages are how long points of a period are kept before they are merged into a coarser one, as in CloudWatch: seconds for 3 hours,
// minutes for 15 days, five minutes for 63 days, and hours for 455 days.
var ages = [...]struct {
	period, into int32
	age          time.Duration
}{
	{perSecond, perMinute, 3 * time.Hour},
	{perMinute, perFiveMinutes, 15 * 24 * time.Hour},
	{perFiveMinutes, perHour, 63 * 24 * time.Hour},
}

// retainRows is how many rows one transaction of the retention changes.
const retainRows = 500

// retain merges and drops points that have come of age. Hours that have points which are not folded yet are left for the next time.
func (m *Metrics) retain(ctx context.Context) error {
	for _, a := range ages {
		before := hourOf(m.clock.Now().Add(-a.age).Unix())
		if err := m.mergeOld(ctx, a.period, a.into, before); err != nil {
			return fmt.Errorf("metrics: merging old points: %w", err)
		}
	}
	end := m.clock.Now().Add(-retention)
	if err := m.dropOld(ctx, hourOf(end.Unix()), end.UnixMilli()); err != nil {
		return fmt.Errorf("metrics: dropping old points: %w", err)
	}
	return nil
}

// due is that there may be rows of an hour whose finest buckets are of a period, which are to be merged when they have come of age.
type due struct {
	period int32
	hour   int64
}

func noteDue(tx store.Tx, found map[due]bool) error {
	for d := range found {
		if d.period >= perHour { // as coarse as it gets
			continue
		}
		if _, err := tx.Exec(`INSERT INTO metrics_due (period, hour) VALUES ($1, $2) ON CONFLICT (period, hour) DO NOTHING`, d.period, d.hour); err != nil {
			return err
		}
	}
	return nil
}

// mergeOld merges the rows of a period whose hours are before one.
func (m *Metrics) mergeOld(ctx context.Context, period, into int32, before int64) error {
	for {
		var first int64
		err := m.db.View(ctx, func(tx store.Tx) error {
			return tx.QueryRow(`SELECT hour FROM metrics_due WHERE period = $1 AND hour < $2 ORDER BY hour LIMIT 1`, period, before).Scan(&first)
		})
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		if err == nil {
			err = m.mergeDay(ctx, period, into, first, min(before, endOfDay(first)+1))
		}
		if err != nil {
			return err
		}
	}
}

// mergeDay merges the rows of a period whose hours are, within one day, from one on and before another. No hour is written meanwhile.
func (m *Metrics) mergeDay(ctx context.Context, period, into int32, from, before int64) error {
	last := firstSlot(dayOf(from)) - 1
	for {
		var rows []old
		err := m.alone(ctx, func(tx store.Tx) (err error) {
			if rows, err = oldRows(tx, period, from, before, last); err != nil {
				return err
			}
			ids := make([]int64, len(rows))
			for i := range rows {
				ids[i] = rows[i].series
			}
			memory, found := m.byID(ids), map[due]bool{}
			for i := range rows {
				if err := mergeRow(tx, &rows[i], into, memory[rows[i].series]); err != nil {
					return err
				}
				found[due{into, rows[i].hour}] = true
			}
			if err := noteDue(tx, found); err != nil {
				return err
			}
			if len(rows) < retainRows {
				// A row that was left will be written again, which notes it again.
				if _, err := tx.Exec(`DELETE FROM metrics_due WHERE period = $1 AND hour >= $2 AND hour < $3`, period, from, before); err != nil {
					return err
				}
			}
			tx.OnCommit(func() { m.forget(rows, memory) })
			return nil
		})
		if err != nil || len(rows) < retainRows {
			return err
		}
		last = rows[len(rows)-1].slot
	}
}

// old is a row to be merged.
type old struct {
	slot, series, hour int64
	body               []byte
}

// oldRows reads rows of a period behind a slot whose hours are, within one day, from one on and before another.
func oldRows(tx store.Tx, period int32, from, before, after int64) ([]old, error) {
	day := dayOf(from)
	return store.List(tx, func(row store.Scanner) (o old, err error) {
		err = row.Scan(&o.slot, &o.body)
		o.series, o.hour = ofSlot(o.slot)
		return o, err
	}, `SELECT slot, body FROM metrics_series_hour
		WHERE slot > $1 AND slot < $2 AND period = $3 AND (slot & 31) >= $4 AND (slot & 31) < $5 ORDER BY slot LIMIT $6`,
		after, firstSlot(day+1), period, from-day*hoursOfDay, before-day*hoursOfDay, retainRows)
}

// mergeRow merges what is finer in a row, unless it waits to be written anew.
func mergeRow(tx store.Tx, o *old, into int32, s *series) error {
	if s != nil {
		s.mu.Lock()
		h := s.at(o.hour)
		waits := h != nil && h.dirty
		s.mu.Unlock()
		if waits {
			return nil
		}
	}
	buckets, err := readBuckets(o.body)
	if err != nil {
		return fmt.Errorf("series %d, hour %d: %w", o.series, o.hour, err)
	}
	buckets = coarser(buckets, into)
	_, err = tx.Exec(`UPDATE metrics_series_hour SET period = $1, body = $2 WHERE slot = $3`, finest(buckets), appendBuckets(nil, buckets), o.slot)
	return err
}

// byID finds those of the series that are in memory.
func (m *Metrics) byID(ids []int64) map[int64]*series {
	found := make(map[int64]*series, len(ids))
	for _, id := range ids {
		found[id] = nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, s := range m.series {
		if _, ok := found[s.id]; ok {
			found[s.id] = s
		}
	}
	return found
}

// forget takes hours that were merged out of memory, unless they have changed again: then they are written, and merged, again.
func (m *Metrics) forget(rows []old, memory map[int64]*series) {
	for i := range rows {
		s := memory[rows[i].series]
		if s == nil {
			continue
		}
		s.mu.Lock()
		for at, h := range s.hours {
			if h.hour == rows[i].hour && !h.dirty {
				s.hours = append(s.hours[:at], s.hours[at+1:]...)
				s.swept++
				break
			}
		}
		s.mu.Unlock()
	}
}

// dropOld drops the days that end before an hour, and then the series that have no later hour and no points since a time, in ms.
func (m *Metrics) dropOld(ctx context.Context, hour, active int64) error {
	day := dayOf(hour)
	for dropped := int64(retainRows); dropped == retainRows; {
		err := m.alone(ctx, func(tx store.Tx) (err error) {
			dropped, err = tx.Exec(`DELETE FROM metrics_series_hour WHERE slot IN (SELECT slot FROM metrics_series_hour
				WHERE slot < $1 ORDER BY slot LIMIT $2)`, firstSlot(day), retainRows)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := m.alone(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`DELETE FROM metrics_due WHERE hour < $1`, day*hoursOfDay)
		return err
	}); err != nil {
		return err
	}
	var last int64 = never
	for {
		var ids []int64
		err := m.alone(ctx, func(tx store.Tx) (err error) {
			if ids, err = idleSeries(tx, active, day*hoursOfDay, last); err != nil {
				return err
			}
			return m.dropSeries(tx, ids, active)
		})
		if err != nil || len(ids) < retainRows {
			return err
		}
		last = ids[len(ids)-1]
	}
}

func idleSeries(tx store.Tx, active, hour, after int64) ([]int64, error) {
	return store.Column[int64](tx, `SELECT id FROM metrics_series WHERE active < $1 AND last < $2 AND id > $3 ORDER BY id LIMIT $4`, active, hour, after, retainRows)
}

// dropSeries drops series, in the database and in memory, but not those that memory has newer points of.
func (m *Metrics) dropSeries(tx store.Tx, ids []int64, active int64) error {
	if len(ids) == 0 {
		return nil
	}
	memory := m.byID(ids)
	for _, id := range ids {
		s := memory[id]
		if s != nil {
			s.mu.Lock()
			newer := s.active >= active
			s.mu.Unlock()
			if newer {
				continue
			}
			tx.OnCommit(func() { m.evict(s) })
		}
		if _, err := tx.Exec(`DELETE FROM metrics_series WHERE id = $1`, id); err != nil {
			return err
		}
	}
	return nil
}
