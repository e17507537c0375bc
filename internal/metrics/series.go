package metrics

import (
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"vigil/internal/store"
)

// Dimension is a name and a value that tell a metric from others of the same name.
type Dimension struct{ Name, Value string }

// series is a metric in memory, with its newest hours. Those that are not here are in the database, unchanged since they
// were written there. Who changes a series has the only transaction that writes; the mutex is between that and readers.
type series struct {
	id   int64 // 0 for a metric that is known not to exist
	key  string
	used atomic.Bool // since the last sweep

	mu     sync.Mutex
	gone   bool   // no more in Metrics.series: look it up again
	swept  uint64 // how many hours were taken out of hours
	last   int64  // the newest hour that there are points of
	active int64  // when points were last put, in ms
	saved  int64  // the same, as the database has it
	hours  []*hour
}

// never is the newest hour of a series that has no points.
const never = math.MinInt64

// hour is what a series has of one hour.
type hour struct {
	hour    int64
	upto    int64 // the last page of the log that is in the buckets
	buckets []bucket
	changes int  // in this process
	dirty   bool // not yet written
	late    bool // and was long over when it became dirty
	used    bool // since the last sweep
}

// at is the hour in memory, or nil. The caller has s.mu.
func (s *series) at(hour int64) *hour {
	for i := len(s.hours) - 1; i >= 0; i-- {
		if s.hours[i].hour == hour {
			return s.hours[i]
		}
	}
	return nil
}

// appendKey appends the key of a metric, whose dimensions are in the order of their names. No part of it has a NUL.
func appendKey(dst []byte, account, region, namespace, name string, dimensions []Dimension) []byte {
	for _, part := range [...]string{account, region, namespace, name} {
		dst = append(dst, part...)
		dst = append(dst, 0)
	}
	for _, d := range dimensions {
		dst = append(dst, d.Name...)
		dst = append(dst, 0)
		dst = append(dst, d.Value...)
		dst = append(dst, 0)
	}
	return dst
}

// identity is what a key is made of.
type identity struct {
	account, region, namespace, name string
	dimensions                       string // names and values, each with a NUL behind it
}

func parseKey(key string) identity {
	var id identity
	for _, part := range [...]*string{&id.account, &id.region, &id.namespace, &id.name} {
		*part, key, _ = strings.Cut(key, "\x00")
	}
	id.dimensions = key
	return id
}

// key is the metric's key.
func (id identity) key() string {
	return id.account + "\x00" + id.region + "\x00" + id.namespace + "\x00" + id.name + "\x00" + id.dimensions
}

func parseDimensions(text string) []Dimension {
	var dimensions []Dimension
	for text != "" {
		var d Dimension
		d.Name, text, _ = strings.Cut(text, "\x00")
		d.Value, text, _ = strings.Cut(text, "\x00")
		dimensions = append(dimensions, d)
	}
	return dimensions
}

// inOrder returns the dimensions in the order of their names, leaving those given as they are.
func inOrder(dimensions []Dimension) []Dimension {
	byName := func(a, b Dimension) int { return strings.Compare(a.Name, b.Name) }
	if slices.IsSortedFunc(dimensions, byName) {
		return dimensions
	}
	dimensions = slices.Clone(dimensions)
	slices.SortFunc(dimensions, byName)
	return dimensions
}

// hash finds a series in the database, where an index over whole keys would be larger than the points.
func hash(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:16]
}

// readSeries reads what the database has of a series. One that it has not has no id.
func readSeries(tx store.Tx, key string) (*series, error) {
	s := &series{key: key, last: never}
	err := tx.QueryRow(`SELECT id, active, last FROM metrics_series WHERE hash = $1`, hash(key)).Scan(&s.id, &s.saved, &s.last)
	if errors.Is(err, store.ErrNoRows) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.active = s.saved
	return s, nil
}

// readHours reads the hours of a series that the database has, from one to another, in order.
func readHours(tx store.Tx, id, from, to int64) ([]*hour, error) {
	var hours []*hour
	for from <= to {
		end := min(to, endOfDay(from))
		some, err := readSlots(tx, slotOf(id, from), slotOf(id, end))
		if err != nil {
			return nil, err
		}
		hours = append(hours, some...)
		from = end + 1
	}
	return hours, nil
}

// readSlots reads hours of one series and one day.
func readSlots(tx store.Tx, from, to int64) ([]*hour, error) {
	return store.List(tx, func(row store.Scanner) (*hour, error) {
		h := new(hour)
		var slot int64
		var body []byte
		if err := row.Scan(&slot, &h.upto, &body); err != nil {
			return nil, err
		}
		_, h.hour = ofSlot(slot)
		var err error
		h.buckets, err = readBuckets(body)
		return h, err
	}, `SELECT slot, upto, body FROM metrics_series_hour WHERE slot >= $1 AND slot <= $2 ORDER BY slot`, from, to)
}

// cached is the series in memory, or nil.
func (m *Metrics) cached(key []byte) *series {
	m.mu.RLock()
	s := m.series[string(key)]
	m.mu.RUnlock()
	if s != nil && !s.used.Load() {
		s.used.Store(true)
	}
	return s
}

// find is the series that a reader asks for.
func (m *Metrics) find(ctx context.Context, key []byte) (*series, error) {
	for {
		if s := m.cached(key); s != nil {
			return s, nil
		}
		m.mu.RLock()
		before := m.evicted
		m.mu.RUnlock()
		var s *series
		err := m.db.View(ctx, func(tx store.Tx) (err error) {
			s, err = readSeries(tx, string(key))
			return err
		})
		if err != nil {
			return nil, err
		}
		m.mu.Lock()
		if m.evicted == before && m.series[s.key] == nil { // or else what was read may be old
			m.series[s.key] = s
		}
		m.mu.Unlock()
	}
}

// install puts a series that a transaction has read or made into memory, and returns the one that is there then.
func (m *Metrics) install(s *series) *series {
	m.mu.Lock()
	defer m.mu.Unlock()
	if there := m.series[s.key]; there != nil && there.id != 0 {
		return there
	}
	m.series[s.key] = s
	s.used.Store(true)
	return s
}
