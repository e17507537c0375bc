package trail

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"vigil/internal/store"
)

// The ids of Vigil's own events tell their time, by which the timeline finds them. Those of events from elsewhere are random, and two million of
// them would be two million places of a B-tree. So they are kept as runs: a fold writes the ids that it brings as one run, sorted by a hash of the id, and
// runs of the same size are merged into a longer one when there are enough. Each has a filter, kept in memory, that says of nearly every id
// that is not in the run that it is not, so that bringing in new events reads next to nothing.

// eventPlace is where the event with an id is in the journal.
type eventPlace struct {
	key int64 // eventKey of its id
	seq int64
}

// eventKey is the first eight bytes, as a big-endian number, of the SHA-256 of "EventId", a zero byte and the id. It never changes.
func eventKey(id []byte) int64 {
	text := append(append(make([]byte, 0, 64), "EventId\x00"...), id...)
	sum := sha256.Sum256(text)
	return int64(binary.BigEndian.Uint64(sum[:]))
}

const (
	mergeRuns      = 8   // how many runs of a level become one of the next
	maxEventLevel  = 2   // runs of this level are merged no more: of some two million events, so that merging needs little memory
	eventBlock     = 512 // events of a block, some more if several have the same key
	eventPlaceSize = 16
)

// putEvents adds events as a run, and merges runs of which there are enough.
func putEvents(tx store.Tx, events []eventPlace) error {
	if len(events) == 0 {
		return nil
	}
	if err := putEventRun(tx, 0, events); err != nil {
		return err
	}
	for level := range maxEventLevel {
		runs, err := eventRuns(tx)
		if err != nil {
			return err
		}
		runs = slices.DeleteFunc(runs, func(r eventRun) bool { return r.level != level })
		if len(runs) < mergeRuns {
			return nil
		}
		var all []eventPlace
		for _, r := range runs {
			if all, err = readEventRun(tx, all, r.id); err != nil {
				return err
			}
			for _, statement := range []string{`DELETE FROM history_event_block WHERE run = $1`, `DELETE FROM history_event_run WHERE id = $1`} {
				if _, err := tx.Exec(statement, r.id); err != nil {
					return err
				}
			}
		}
		if err := putEventRun(tx, level+1, all); err != nil {
			return err
		}
	}
	return nil
}

func putEventRun(tx store.Tx, level int, events []eventPlace) error {
	slices.SortFunc(events, func(a, b eventPlace) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.seq, b.seq)) })
	var id int64
	if err := tx.QueryRow(`UPDATE history_event_next SET run = run + 1 WHERE one = 1 RETURNING run`).Scan(&id); err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO history_event_run (id, level, filter) VALUES ($1, $2, $3)`, id, level, []byte(newFilter(events))); err != nil {
		return err
	}
	var data []byte
	for len(events) > 0 {
		n := min(eventBlock, len(events))
		for n < len(events) && events[n].key == events[n-1].key {
			n++
		}
		data = data[:0]
		for _, e := range events[:n] {
			data = binary.BigEndian.AppendUint64(data, uint64(e.key))
			data = binary.BigEndian.AppendUint64(data, uint64(e.seq))
		}
		if _, err := tx.Exec(`INSERT INTO history_event_block (run, first, data) VALUES ($1, $2, $3)`, id, events[0].key, data); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func readEventRun(tx store.Tx, dst []eventPlace, id int64) ([]eventPlace, error) {
	rows, err := tx.Query(`SELECT data FROM history_event_block WHERE run = $1 ORDER BY first`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			return nil, err
		}
		if dst, err = decodeEvents(dst, data); err != nil {
			return nil, err
		}
	}
	return dst, rows.Err()
}

func decodeEvents(dst []eventPlace, data []byte) ([]eventPlace, error) {
	if len(data)%eventPlaceSize != 0 {
		return nil, errDamaged
	}
	for ; len(data) > 0; data = data[eventPlaceSize:] {
		dst = append(dst, eventPlace{int64(binary.BigEndian.Uint64(data)), int64(binary.BigEndian.Uint64(data[8:]))})
	}
	return dst, nil
}

// eventRun is a run, without its events.
type eventRun struct {
	id    int64
	level int
}

func eventRuns(tx store.Tx) (runs []eventRun, err error) {
	rows, err := tx.Query(`SELECT id, level FROM history_event_run ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r eventRun
		if err := rows.Scan(&r.id, &r.level); err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, rows.Err()
}

// filter is a Bloom filter of keys: 12 bits and 6 probes a key, which lets one of 300 keys pass that are not in it.
type filter []byte

const (
	filterBits   = 12
	filterProbes = 6
)

func newFilter(events []eventPlace) filter {
	f := make(filter, (len(events)*filterBits+7)/8)
	for _, e := range events {
		f.probe(e.key, func(at uint64) bool { f[at/8] |= 1 << (at % 8); return true })
	}
	return f
}

// mayHave says whether a key may be in the filter.
func (f filter) mayHave(key int64) bool {
	return len(f) == 0 || f.probe(key, func(at uint64) bool { return f[at/8]&(1<<(at%8)) != 0 })
}

// probe calls bit with the places of a key until it returns false. Keys are hashes, so their halves are.
func (f filter) probe(key int64, bit func(uint64) bool) bool {
	a, b := uint64(key), uint64(key)>>32|1
	for i := range uint64(filterProbes) {
		if !bit((a + i*b) * 0x9e3779b97f4a7c15 % (uint64(len(f)) * 8)) {
			return false
		}
	}
	return true
}

// filters keeps the filters of runs in memory. A run never changes, and its id is not used again.
type filters struct {
	mu   sync.Mutex
	runs map[int64]filter
}

// of returns the filters of runs, and forgets those of others.
func (c *filters) of(tx store.Tx, runs []eventRun) ([]filter, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := make(map[int64]filter, len(runs))
	all := make([]filter, len(runs))
	for i, r := range runs {
		f, ok := c.runs[r.id]
		if !ok {
			var data []byte
			if err := tx.QueryRow(`SELECT filter FROM history_event_run WHERE id = $1`, r.id).Scan(&data); err != nil {
				return nil, err
			}
			f = data
		}
		kept[r.id], all[i] = f, f
	}
	c.runs = kept
	return all, nil
}

// findEvents calls found with the places of events in the database that have one of the keys, which are in order.
func (t *Trail) findEvents(tx store.Tx, keys []int64, found func(eventPlace)) error {
	runs, err := eventRuns(tx)
	if err != nil || len(runs) == 0 {
		return err
	}
	filters, err := t.filters.of(tx, runs)
	if err != nil {
		return err
	}
	var block []eventPlace
	for i, r := range runs {
		block = block[:0]
		for _, key := range keys {
			if !filters[i].mayHave(key) {
				continue
			}
			if len(block) == 0 || key > block[len(block)-1].key { // keys go up, and so do blocks
				var data []byte
				err := tx.QueryRow(`SELECT data FROM history_event_block WHERE run = $1 AND first <= $2 ORDER BY first DESC LIMIT 1`, r.id, key).Scan(&data)
				if errors.Is(err, store.ErrNoRows) {
					continue
				}
				if err != nil {
					return err
				}
				if block, err = decodeEvents(block[:0], data); err != nil {
					return err
				}
			}
			at, _ := slices.BinarySearchFunc(block, key, func(e eventPlace, key int64) int { return cmp.Compare(e.key, key) })
			for ; at < len(block) && block[at].key == key; at++ {
				found(block[at])
			}
		}
	}
	return nil
}

// FindEvents says, for each event id, as vigil.Outline.ID gives it, where the journal has records that may be of that event, in whatever account: nearly always they are, as
// what is compared are hashes, or times that the ids tell. It first waits until the history has followed all that was appended before.
func (t *Trail) FindEvents(ctx context.Context, ids []string) ([][]int64, error) {
	if err := t.journal.Wait(ctx, follower); err != nil {
		return nil, err
	}
	places := make([][]int64, len(ids))
	byKey := make(map[int64][]int, len(ids))
	byTime := map[int64][]int{}
	for i, id := range ids {
		key := eventKey([]byte(id))
		byKey[key] = append(byKey[key], i)
		if at, ok := idTime([]byte(id)); ok {
			byTime[at] = append(byTime[at], i)
		}
	}
	add := func(which []int, seq int64) {
		for _, i := range which {
			places[i] = append(places[i], seq)
		}
	}

	t.mu.RLock()
	tail := t.tail.view(scope{}, everything, "")
	for key, which := range byKey {
		for _, n := range t.tail.events[key] {
			add(which, t.tail.first+int64(n))
		}
	}
	t.mu.RUnlock()

	err := t.db.View(ctx, func(tx store.Tx) error {
		end, _, err := indexed(tx)
		if err != nil {
			return err
		}
		keys := make([]int64, 0, len(byKey))
		for key := range byKey {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		if err := t.findEvents(tx, keys, func(e eventPlace) { add(byKey[e.key], e.seq) }); err != nil || len(byTime) == 0 {
			return err
		}
		return eachAt(&timeline{tx: tx, tail: &tail.span, end: end}, byTime, add)
	})
	if err != nil {
		return nil, fmt.Errorf("event history: %w", err)
	}
	for i := range places {
		slices.Sort(places[i])
		places[i] = slices.Compact(places[i])
	}
	return places, nil
}

// eachAt calls found for each record whose time, in milliseconds, is one of those given.
func eachAt(times *timeline, given map[int64][]int, found func([]int, int64)) error {
	low, high, first := int64(0), int64(0), true
	for at := range given {
		if first {
			low, high, first = at, at, false
		}
		low, high = min(low, at), max(high, at)
	}
	for at := times.tail.end() - 1; at >= 0; {
		last, err := times.within(at, low, high)
		if err != nil || last < 0 {
			return err
		}
		s, err := times.span(last)
		if err != nil || s == nil {
			return err
		}
		for i, time := range s.times {
			if which := given[time]; which != nil {
				found(which, s.first+int64(i))
			}
		}
		at = s.first - 1
	}
	return nil
}

// eventRecords are the records of an event id that does not tell its time.
type eventRecords []int64 // in order

func (r eventRecords) upTo(at int64) (int64, error) {
	i, ok := slices.BinarySearch(r, at)
	switch {
	case ok:
		return at, nil
	case i == 0:
		return -1, nil
	}
	return r[i-1], nil
}

// eventRecords finds those of an id, of which the tail has inTail.
func (t *Trail) eventRecords(tx store.Tx, id string, inTail []int64) (eventRecords, error) {
	all := slices.Clone(inTail)
	if err := t.findEvents(tx, []int64{eventKey([]byte(id))}, func(e eventPlace) { all = append(all, e.seq) }); err != nil {
		return nil, err
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
