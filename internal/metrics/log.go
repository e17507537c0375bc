package metrics

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"vigil/internal/store"
)

// The log is the pages that have not been folded into hours. A page's number is given by the database, and never again.
//
// Memory has the pages up to applied. A commit whose fate was unknown may have persisted a page without its having been applied; the
// database's last number tells, and who finds it ahead reads the pages that are missing (catchUp).

// pageID names a page. When a commit failed and another page got the number, the nonce tells them apart.
type pageID struct {
	number int64
	nonce  int64
}

// page is what one Put puts.
type page struct {
	pageID
	at      int64 // when it was put, in ms
	series  []*series
	entries []entry
}

// entry is a bucket of a page.
type entry struct {
	series int // which of the page's
	hour   int64
	bucket *bucket
	loaded *hour // the hour as it was, when it was not in memory
}

// pages is what memory knows of the log.
type pages struct {
	issued  atomic.Int64 // the last number given, if only in a transaction that did not become durable
	applied atomic.Int64 // the last number that is in memory
	size    atomic.Int64 // bytes of pages that are not folded, about
	folded  atomic.Int64 // bytes that the last fold wrote

	tx store.Tx // the one that issued was given in; only used by who has the transaction that writes

	mu    sync.Mutex // held to change series in memory: see apply
	dirty map[*hour]*series
	late  int // how many of dirty were long over

	doubts atomic.Int64 // commits whose page is being looked for, which must not be dropped meanwhile
}

// newPage takes the next number of the log.
func (m *Metrics) newPage(tx store.Tx) (*page, error) {
	p := &page{at: m.clock.Now().UnixMilli()}
	p.nonce = rand.Int64()
	err := tx.QueryRow(`UPDATE metrics_log SET last = last + 1 WHERE one = 1 RETURNING last`).Scan(&p.number)
	if err != nil {
		return nil, err
	}
	if m.pages.tx != tx { // a transaction that puts again has pages of its own before this one
		if err := m.catchUp(tx, p.number-1); err != nil {
			return nil, err
		}
		m.pages.tx = tx
	}
	m.pages.issued.Store(p.number)
	return p, nil
}

// insert writes the page: after its format, for each entry the series' id, the hour and the bucket.
func (p *page) insert(tx store.Tx) error {
	body := append(make([]byte, 0, 64*len(p.entries)), format)
	for _, e := range p.entries {
		body = binary.AppendUvarint(body, uint64(p.series[e.series].id))
		body = binary.AppendVarint(body, e.hour)
		body = appendBucket(body, e.bucket)
	}
	_, err := tx.Exec(`INSERT INTO metrics_page (id, nonce, at, body) VALUES ($1, $2, $3, $4)`, p.number, p.nonce, p.at, body)
	return err
}

// foldSize is how many bytes the log has at least before it is folded at once. When the last fold wrote more than that, the log grows
// as long first, so that hours are not written over and over for the few points that have come since.
const foldSize = 16 << 20

// foldLate is how many hours that were long over may wait to be written. Points of long ago, as imported records bring, go to ever more hours,
// most of which do not change again, and each takes ten times as much memory as its points take in the log.
const foldLate = 25_000

// apply takes a durable page into memory. Should it come too late or too early, after a commit whose fate was unknown, it is
// left for catchUp.
func (m *Metrics) apply(p *page) {
	m.pages.mu.Lock()
	defer m.pages.mu.Unlock()
	if p.number != m.pages.applied.Load()+1 {
		return
	}
	into := m.current(p.series)
	if !complete(p, into) {
		return
	}
	for i, s := range into {
		if s == p.series[i] {
			s = m.install(s)
			into[i] = s
		}
		s.mu.Lock()
		s.active = max(s.active, p.at)
		s.mu.Unlock()
	}
	size, now := 0, m.hourNow()
	for _, e := range p.entries {
		m.applyEntry(p, e, into[e.series], now)
		size += 16 + 11*len(e.bucket.values)
	}
	m.pages.applied.Store(p.number)
	if m.pages.size.Add(int64(size)) > max(foldSize, m.pages.folded.Load()) || m.pages.late > foldLate {
		select {
		case m.foldNow <- struct{}{}:
		default:
		}
	}
}

// current is each of the series as memory has it, or itself.
func (m *Metrics) current(all []*series) []*series {
	m.mu.RLock()
	defer m.mu.RUnlock()
	in := slices.Clone(all)
	for i, s := range all {
		if there := m.series[s.key]; there != nil && there.id != 0 {
			in[i] = there
		}
	}
	return in
}

// complete says that memory has, or is given with the page, all the hours that the page goes to.
func complete(p *page, into []*series) bool {
	for _, e := range p.entries {
		if e.loaded != nil {
			continue
		}
		s := into[e.series]
		s.mu.Lock()
		ok := e.hour > s.last || s.at(e.hour) != nil
		s.mu.Unlock()
		if !ok {
			return false
		}
	}
	return true
}

func (m *Metrics) applyEntry(p *page, e entry, s *series, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.at(e.hour)
	if h == nil {
		if h = e.loaded; h == nil {
			h = &hour{hour: e.hour}
		}
		s.hours = append(s.hours, h)
		s.last = max(s.last, e.hour)
	}
	if h.upto >= p.number && !h.dirty { // it was written after this page
		return
	}
	h.buckets = put(h.buckets, e.bucket)
	h.changes++
	h.used = true
	if !h.dirty {
		h.dirty = true
		m.pages.dirty[h] = s
		if h.late = h.hour < now-keepHours; h.late {
			m.pages.late++
		}
	}
}

// replay takes in what an earlier process left in the log.
func (m *Metrics) replay(ctx context.Context) error {
	return m.db.Update(ctx, func(tx store.Tx) error {
		var first, last int64
		if err := tx.QueryRow(`SELECT last FROM metrics_log WHERE one = 1`).Scan(&last); err != nil {
			return err
		}
		if err := tx.QueryRow(`SELECT COALESCE(MIN(id), $1 + 1) FROM metrics_page`, last).Scan(&first); err != nil {
			return err
		}
		m.pages.applied.Store(first - 1)
		return m.catchUp(tx, last)
	})
}

// catchUp reads the pages up to last that are durable and not in memory. The caller has the transaction that writes.
func (m *Metrics) catchUp(tx store.Tx, last int64) error {
	for m.pages.applied.Load() < last {
		next := m.pages.applied.Load() + 1
		p := &page{pageID: pageID{number: next}}
		var body []byte
		if err := tx.QueryRow(`SELECT at, body FROM metrics_page WHERE id = $1`, next).Scan(&p.at, &body); err != nil {
			return fmt.Errorf("page %d of the log: %w", next, err)
		}
		if err := m.decode(tx, p, body); err != nil {
			return fmt.Errorf("page %d of the log: %w", next, err)
		}
		m.apply(p)
		if m.pages.applied.Load() < next {
			return fmt.Errorf("page %d of the log cannot be applied", next)
		}
	}
	return nil
}

func (m *Metrics) decode(tx store.Tx, p *page, body []byte) error {
	s := scanner{data: body}
	if s.byte() != format {
		return errDamaged
	}
	known := map[int64]int{} // which of the page's series has an id; -1 for one that is gone
	for len(s.data) > 0 && s.err == nil {
		id := int64(s.uint())
		hour, size := binary.Varint(s.data)
		if size <= 0 {
			return errDamaged
		}
		s.data = s.data[size:]
		b := new(bucket)
		if s.bucket(b); s.err != nil {
			break
		}
		at, ok := known[id]
		if !ok {
			in, err := m.seriesByID(tx, id)
			if err != nil {
				return err
			}
			at = -1
			if in != nil {
				at = len(p.series)
				p.series = append(p.series, in)
			}
			known[id] = at
		}
		if at < 0 {
			continue
		}
		loaded, err := hourFor(tx, p.series[at], hour)
		if err != nil {
			return err
		}
		p.entries = append(p.entries, entry{series: at, hour: hour, bucket: b, loaded: loaded})
	}
	return s.err
}

// seriesByID is the series with an id, or nil when it has been dropped with all that was ever put into it.
func (m *Metrics) seriesByID(tx store.Tx, number int64) (*series, error) {
	var id identity
	var dimensions []byte
	err := tx.QueryRow(`SELECT account, region, namespace, name, dimensions FROM metrics_series WHERE id = $1`, number).
		Scan(&id.account, &id.region, &id.namespace, &id.name, &dimensions)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("series %d: %w", number, err)
	}
	id.dimensions = string(dimensions)
	return m.seriesFor(tx, id.key(), 0)
}

// upToDate makes sure that memory has all that was durable when it was called. That is in doubt only while a transaction that puts is
// open, or after one that failed.
func (m *Metrics) upToDate(ctx context.Context) error {
	if m.pages.issued.Load() == m.pages.applied.Load() {
		return nil
	}
	var last int64
	err := m.db.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT last FROM metrics_log WHERE one = 1`).Scan(&last)
	})
	if err != nil || last <= m.pages.applied.Load() {
		return err
	}
	return m.alone(ctx, func(store.Tx) error { return nil })
}

// alone runs fn in the transaction that writes, when memory has all that is durable.
func (m *Metrics) alone(ctx context.Context, fn func(store.Tx) error) error {
	return m.db.Update(ctx, func(tx store.Tx) error {
		var last int64
		if err := tx.QueryRow(`SELECT last FROM metrics_log WHERE one = 1`).Scan(&last); err != nil {
			return err
		}
		if err := m.catchUp(tx, last); err != nil {
			return err
		}
		m.pages.issued.Store(last) // whatever else was issued is not there, and nobody else can be about to make it so
		return fn(tx)
	})
}
