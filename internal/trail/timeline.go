package trail

import (
	"encoding/binary"
	"errors"

	"vigil/internal/store"
)

// spanRecords is how many records' times a row of the timeline has at most.
const spanRecords = 2048

// span is the times of records that follow each other, in milliseconds since 1970.
type span struct {
	first     int64
	times     []int64
	tides     []int64 // for each of times, the latest time of all records up to it, from the journal's beginning on
	low, high int64   // no time is outside them
}

func (s *span) end() int64 { return s.first + int64(len(s.times)) }

// from is the part of the span from the record at on.
func (s *span) from(at int64) *span {
	skip := min(max(at-s.first, 0), int64(len(s.times)))
	return &span{first: s.first + skip, times: s.times[skip:], tides: s.tides[skip:], low: s.low, high: s.high}
}

// appendTimes appends times as differences, the first from base: each is zigzag-encoded and doubled, plus one if the
// time is that of several records, and then how many, less two. Numbers are varints of encoding/binary.
func appendTimes(dst []byte, base int64, times []int64) []byte {
	for i := 0; i < len(times); {
		n := 1
		for i+n < len(times) && times[i+n] == times[i] {
			n++
		}
		delta := times[i] - base
		code := (uint64(delta)<<1 ^ uint64(delta>>63)) << 1
		if n == 1 {
			dst = binary.AppendUvarint(dst, code)
		} else {
			dst = binary.AppendUvarint(dst, code|1)
			dst = binary.AppendUvarint(dst, uint64(n-2))
		}
		base = times[i]
		i += n
	}
	return dst
}

// decodeTimes reads count times.
func decodeTimes(base int64, count int, data []byte) ([]int64, error) {
	if count < 0 || count > spanRecords {
		return nil, errDamaged
	}
	times := make([]int64, 0, count)
	for len(data) > 0 {
		code, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, errDamaged
		}
		data = data[n:]
		same := uint64(1)
		if code&1 == 1 {
			same, n = binary.Uvarint(data)
			if n <= 0 || same >= spanRecords {
				return nil, errDamaged
			}
			data = data[n:]
			same += 2
		}
		if same > uint64(count-len(times)) {
			return nil, errDamaged
		}
		delta := code >> 1
		base += int64(delta>>1) ^ -int64(delta&1)
		for range same {
			times = append(times, base)
		}
	}
	if len(times) != count {
		return nil, errDamaged
	}
	return times, nil
}

// putTimes adds the times of records from first on to the timeline. tide is the latest time of all records before first.
func putTimes(tx store.Tx, first int64, times []int64, tide int64) error {
	var data []byte
	for len(times) > 0 {
		part := times[:min(spanRecords, len(times))]
		low, high := part[0], part[0]
		for _, t := range part {
			low, high = min(low, t), max(high, t)
		}
		if _, err := tx.Exec(`INSERT INTO history_span (first, count, low, high, tide) VALUES ($1, $2, $3, $4, $5)`,
			first, len(part), low, high, tide); err != nil {
			return err
		}
		data = appendTimes(data[:0], low, part)
		if _, err := tx.Exec(`INSERT INTO history_time (first, times) VALUES ($1, $2)`, first, data); err != nil {
			return err
		}
		times = times[len(part):]
		first += int64(len(part))
		tide = max(tide, high)
	}
	return nil
}

// timeline tells the times of all records: those before end from the database, and the others from the tail.
type timeline struct {
	tx   store.Tx
	tail *span
	end  int64
	last *span // read from the database, the last time
}

// span is the one that the record at is in, or nil if there is none.
func (t *timeline) span(at int64) (*span, error) {
	if at >= t.end {
		if at < t.tail.first || at >= t.tail.end() {
			return nil, nil
		}
		return t.tail, nil
	}
	if t.last != nil && at >= t.last.first && at < t.last.end() {
		return t.last, nil
	}
	var count, tide int64
	var data []byte
	s := new(span)
	err := t.tx.QueryRow(`SELECT s.first, s.count, s.low, s.high, s.tide, t.times FROM history_span s JOIN history_time t ON t.first = s.first
		WHERE s.first <= $1 ORDER BY s.first DESC LIMIT 1`, at).Scan(&s.first, &count, &s.low, &s.high, &tide, &data)
	if errors.Is(err, store.ErrNoRows) || err == nil && at >= s.first+count {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if s.times, err = decodeTimes(s.low, int(count), data); err != nil {
		return nil, err
	}
	s.tides = make([]int64, len(s.times))
	for i, at := range s.times {
		tide = max(tide, at)
		s.tides[i] = tide
	}
	t.last = s
	return s, nil
}

// within is the last record at or before at that is in a span with times within [low, high], or -1.
func (t *timeline) within(at, low, high int64) (int64, error) {
	if at >= t.end {
		if len(t.tail.times) > 0 && t.tail.low <= high && t.tail.high >= low && at >= t.tail.first {
			return min(at, t.tail.end()-1), nil
		}
		at = t.end - 1
	}
	var last int64
	err := t.tx.QueryRow(`SELECT first + count - 1 FROM history_span WHERE first <= $1 AND low <= $2 AND high >= $3 ORDER BY first DESC LIMIT 1`,
		at, high, low).Scan(&last)
	if errors.Is(err, store.ErrNoRows) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	return min(at, last), nil
}
