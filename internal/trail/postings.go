package trail

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"vigil/internal/store"
)

// scope is where an event happened, and who sees it: a caller looks up the events of one account in one region.
type scope struct{ account, region string }

// kind is a property of records that they are looked up by.
type kind int

const (
	everything kind = iota // that it is in the scope at all
	eventName
	readOnly
	username
	resourceType
	resourceName
	eventSource
	accessKeyID
	eventID  // no postings are written of it any more: see eventindex.go
	namedKey // the ARN of a KMS key, in whose Region it is, that a record without resources names or one of another Region: for ScanKey only
	kinds
)

// kindNames are the API's names of the attributes, where it has one. They are part of what a term is.
var kindNames = [kinds]string{"", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId", "EventId", "NamedKey"}

// termOf is the number by which the database knows that a property has a value in a scope: the first eight bytes, as a
// big-endian number, of the SHA-256 of account, region, kind and value with a zero byte between them. It never changes.
// Nobody can choose a value so that its term is that of another.
func termOf(s scope, k kind, value string) int64 {
	text := make([]byte, 0, 192)
	text = append(text, s.account...)
	text = append(text, 0)
	text = append(text, s.region...)
	text = append(text, 0)
	text = append(text, kindNames[k]...)
	text = append(text, 0)
	text = append(text, value...)
	sum := sha256.Sum256(text)
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// maxRuns is how long a row's runs grow, in bytes, before the term's next row begins: small enough that SQLite keeps
// several rows in a page, large enough that the rest of the row does not matter.
const maxRuns = 900

// run is the indexes first to last, both included.
type run struct{ first, last int64 }

// errDamaged is returned for runs and times that are not as they were written.
var errDamaged = errors.New("the event history's index is damaged")

// appendRun appends a run behind those that end with the index last; a row's first run is behind first-1. It is written
// as the number of indexes between the two, doubled, plus one if the run is longer than one, and then its length less
// two. Numbers are varints of encoding/binary.
func appendRun(dst []byte, last int64, r run) []byte {
	gap := uint64(r.first-last-1) << 1
	if r.first == r.last {
		return binary.AppendUvarint(dst, gap)
	}
	dst = binary.AppendUvarint(dst, gap|1)
	return binary.AppendUvarint(dst, uint64(r.last-r.first-1))
}

// decodeRuns reads the runs of a row from first to last.
func decodeRuns(first, last int64, data []byte) ([]run, error) {
	runs := make([]run, 0, len(data))
	at := first // the next index that a run could begin with
	for len(data) > 0 {
		gap, n := binary.Uvarint(data)
		if n <= 0 || gap>>1 > uint64(last-at) {
			return nil, errDamaged
		}
		data = data[n:]
		r := run{at + int64(gap>>1), at + int64(gap>>1)}
		if gap&1 == 1 {
			more, n := binary.Uvarint(data)
			if n <= 0 || more >= uint64(last-r.first) {
				return nil, errDamaged
			}
			data = data[n:]
			r.last += int64(more) + 1
		}
		runs = append(runs, r)
		at = r.last + 1
		if at > last && len(data) > 0 {
			return nil, errDamaged
		}
	}
	if at != last+1 || len(runs) == 0 || runs[0].first != first {
		return nil, errDamaged
	}
	return runs, nil
}

// appendPosting adds runs, which are behind all that the term has, to the term's newest row and to new ones.
func appendPosting(tx store.Tx, term int64, runs []run) error {
	var first, last int64
	var data []byte
	err := tx.QueryRow(`SELECT first, last, runs FROM history_posting WHERE term = $1 ORDER BY first DESC LIMIT 1`, term).Scan(&first, &last, &data)
	stored := err == nil
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return err
	}
	if stored && last >= runs[0].first {
		return fmt.Errorf("record %d is indexed already", runs[0].first)
	}
	if stored && len(data) >= maxRuns {
		stored, data = false, nil
	}
	if !stored {
		first, last = runs[0].first, runs[0].first-1
	}
	for _, r := range runs {
		if len(data) >= maxRuns {
			if err := putPosting(tx, stored, term, first, last, data); err != nil {
				return err
			}
			stored, first, last, data = false, r.first, r.first-1, data[:0]
		}
		data = appendRun(data, last, r)
		last = r.last
	}
	return putPosting(tx, stored, term, first, last, data)
}

func putPosting(tx store.Tx, stored bool, term, first, last int64, data []byte) error {
	statement := `INSERT INTO history_posting (term, first, last, runs) VALUES ($1, $2, $3, $4)`
	if stored {
		statement = `UPDATE history_posting SET last = $3, runs = $4 WHERE term = $1 AND first = $2`
	}
	_, err := tx.Exec(statement, term, first, last, data)
	return err
}

// row is a row of postings, read.
type row struct {
	first, last int64
	runs        []run
}

// rowBefore is a term's last row that begins at or before the index at, or nil.
func rowBefore(tx store.Tx, term, at int64) (*row, error) {
	var first, last int64
	var data []byte
	err := tx.QueryRow(`SELECT first, last, runs FROM history_posting WHERE term = $1 AND first <= $2 ORDER BY first DESC LIMIT 1`,
		term, at).Scan(&first, &last, &data)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	runs, err := decodeRuns(first, last, data)
	if err != nil {
		return nil, err
	}
	return &row{first, last, runs}, nil
}

// lastUpTo is the row's last index that is not greater than at, which must not be before the row's first.
func (r *row) lastUpTo(at int64) int64 {
	i := sort.Search(len(r.runs), func(i int) bool { return r.runs[i].first > at })
	return min(at, r.runs[i-1].last)
}
