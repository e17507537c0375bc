package metrics

import (
	"context"
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

// old is an hour's row to be merged.
type old struct {
	series, hour, upto int64
	body               []byte
}

func (m *Metrics) mergeOld(ctx context.Context, period, into int32, before int64) error {
	last := old{series: never, hour: never}
	for {
		var rows []old
		err := m.alone(ctx, func(tx store.Tx) (err error) {
			if rows, err = oldRows(tx, period, before, last); err != nil || len(rows) == 0 {
				return err
			}
			memory := m.byID(rows)
			for i := range rows {
				if err := mergeRow(tx, &rows[i], into, memory[rows[i].series]); err != nil {
					return err
				}
			}
			tx.OnCommit(func() { m.forget(rows, memory) })
			return nil
		})
		if err != nil || len(rows) < retainRows {
			return err
		}
		last = rows[len(rows)-1]
	}
}

func oldRows(tx store.Tx, period int32, before int64, after old) ([]old, error) {
	rows, err := tx.Query(`SELECT series, hour, upto, body FROM metrics_hour
		WHERE period = $1 AND hour < $2 AND (hour, series) > ($3, $4) ORDER BY hour, series LIMIT $5`,
		period, before, after.hour, after.series, retainRows)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []old
	for rows.Next() {
		var o old
		if err := rows.Scan(&o.series, &o.hour, &o.upto, &o.body); err != nil {
			return nil, err
		}
		found = append(found, o)
	}
	return found, rows.Err()
}

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
	_, err = tx.Exec(`UPDATE metrics_hour SET period = $1, body = $2 WHERE series = $3 AND hour = $4`,
		finest(buckets), appendBuckets(nil, buckets), o.series, o.hour)
	return err
}

// byID finds those of the rows' series that are in memory.
func (m *Metrics) byID(rows []old) map[int64]*series {
	found := make(map[int64]*series, len(rows))
	for i := range rows {
		found[rows[i].series] = nil
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

// dropOld drops the hours before one, and then the series that have none left and no points since a time, in ms.
func (m *Metrics) dropOld(ctx context.Context, hour, active int64) error {
	for dropped := int64(retainRows); dropped == retainRows; {
		err := m.alone(ctx, func(tx store.Tx) (err error) {
			dropped, err = tx.Exec(`DELETE FROM metrics_hour WHERE (series, hour) IN (SELECT series, hour FROM metrics_hour
				WHERE period IN (1, 60, 300, 3600) AND hour < $1 LIMIT $2)`, hour, retainRows)
			return err
		})
		if err != nil {
			return err
		}
	}
	last := old{series: never}
	for {
		var rows []old
		err := m.alone(ctx, func(tx store.Tx) (err error) {
			if rows, err = idleSeries(tx, active, last.series); err != nil {
				return err
			}
			return m.dropSeries(tx, rows, active)
		})
		if err != nil || len(rows) < retainRows {
			return err
		}
		last = rows[len(rows)-1]
	}
}

func idleSeries(tx store.Tx, active, after int64) ([]old, error) {
	rows, err := tx.Query(`SELECT id FROM metrics_series s WHERE active < $1 AND id > $2
		AND NOT EXISTS (SELECT 1 FROM metrics_hour h WHERE h.series = s.id) ORDER BY id LIMIT $3`, active, after, retainRows)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []old
	for rows.Next() {
		var o old
		if err := rows.Scan(&o.series); err != nil {
			return nil, err
		}
		found = append(found, o)
	}
	return found, rows.Err()
}

// dropSeries drops series, in the database and in memory, but not those that memory has newer points of.
func (m *Metrics) dropSeries(tx store.Tx, rows []old, active int64) error {
	if len(rows) == 0 {
		return nil
	}
	memory := m.byID(rows)
	for i := range rows {
		s := memory[rows[i].series]
		if s != nil {
			s.mu.Lock()
			newer := s.active >= active
			s.mu.Unlock()
			if newer {
				continue
			}
			tx.OnCommit(func() { m.evict(s) })
		}
		if _, err := tx.Exec(`DELETE FROM metrics_series WHERE id = $1`, rows[i].series); err != nil {
			return err
		}
	}
	return nil
}
