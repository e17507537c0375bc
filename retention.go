package vigil

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/note"
)

// Retention is a log's statement that its oldest records are dropped on purpose, because they were older than they are kept. It is a signed
// note by the log's key, and lies in the log itself, in the record of an event: so a removal that nobody stated cannot pass for one that was due.
type Retention struct {
	Origin string    // the log's name
	Before int64     // the records from 0 up to this index, exclusive, are dropped
	Older  time.Time // they were all recorded before this moment, in milliseconds
	Time   time.Time // when it was stated, by the server's clock, in milliseconds
	Tree   Checkpoint
}

// The event whose record has a Retention, as the value of RetentionDetail in its serviceEventDetails.
const (
	RetentionSource = "vigil"
	RetentionEvent  = "DropExpiredRecords"
	RetentionDetail = "statement"
)

// ErrRetention is returned for what is no statement that records were dropped.
var ErrRetention = errors.New("vigil: not a statement about retention")

// retentionForm is the first line of a statement. No checkpoint has it, as none has more than a hash in its third line.
const retentionForm = "vigil-retention/v1"

// Text is the text that is signed: the form, the origin, the index, the two times, and size and root of the tree at that time, a line each.
func (r Retention) Text() string {
	return fmt.Sprintf("%s\n%s\n%d\n%s\n%s\n%d\n%s\n", retentionForm, r.Origin, r.Before, formatMilli(r.Older), formatMilli(r.Time),
		r.Tree.Size, base64.StdEncoding.EncodeToString(r.Tree.Root[:]))
}

// Sign returns the statement as a signed note.
func (r Retention) Sign(signer note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: r.Text()}, signer)
}

// OpenRetention verifies a signed statement by the log, or returns ErrRetention.
func OpenRetention(signed []byte, log note.Verifier) (*Retention, error) {
	opened, err := note.Open(signed, note.VerifierList(log))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRetention, err)
	}
	lines := strings.Split(strings.TrimSuffix(opened.Text, "\n"), "\n")
	if len(lines) != 7 || lines[0] != retentionForm || lines[1] != log.Name() {
		return nil, fmt.Errorf("%w of %s", ErrRetention, log.Name())
	}
	r := &Retention{Origin: lines[1], Tree: Checkpoint{Origin: lines[1]}}
	var errs [5]error
	r.Before, errs[0] = parseDecimal(lines[2])
	r.Older, errs[1] = parseMilli(lines[3])
	r.Time, errs[2] = parseMilli(lines[4])
	r.Tree.Size, errs[3] = parseDecimal(lines[5])
	r.Tree.Root, errs[4] = parseHash(lines[6])
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRetention, err)
	}
	if r.Text() != opened.Text {
		return nil, fmt.Errorf("%w: it is not in the form that they are written in", ErrRetention)
	}
	if r.Before > r.Tree.Size {
		return nil, fmt.Errorf("%w: it drops %d records of %d", ErrRetention, r.Before, r.Tree.Size)
	}
	return r, nil
}

// FindRetention reads the statement that a record has, verified, or returns ErrRetention.
func FindRetention(record []byte, log note.Verifier) (*Retention, error) {
	r, err := ParseRecord(record)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRetention, err)
	}
	if r.EventType != AwsServiceEvent || r.EventSource != RetentionSource || r.EventName != RetentionEvent {
		return nil, fmt.Errorf("%w: it is the event %q of %q", ErrRetention, r.EventName, r.EventSource)
	}
	details := map[string]string{}
	if err := jsonv2.Unmarshal(r.ServiceEventDetails, &details); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRetention, err)
	}
	return OpenRetention([]byte(details[RetentionDetail]), log)
}

const milliForm = "2006-01-02T15:04:05.000Z"

func formatMilli(t time.Time) string { return t.UTC().Format(milliForm) }

func parseMilli(text string) (time.Time, error) { return time.Parse(milliForm, text) }
