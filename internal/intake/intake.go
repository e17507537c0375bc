// Package intake takes in CloudTrail records that were made elsewhere: those that `vigil import` brings.
//
// They come in pages that are made already, which become pages of the journal as they are, marked as imported; what follows the journal
// follows them too. An event that the journal has is not taken again, whoever made its record: an event is the same if its record has the same
// account, the same eventID and says the same. A record that has another's id and says something else is taken, and counted: an auditor should
// see both.
//
// ImportRecords is the one operation that writes. What it takes, where that came from and a digest of it are in its own record.
package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// Config is what an Intake is made of.
type Config struct {
	DB      store.DB // the journal's own
	Clock   clock.Clock
	Journal *journal.Journal
	// Allow returns nil when the caller operates the server: nobody else may say what happened elsewhere.
	Allow func(c *call.Call) error
	// Find says, for each event id, where the journal has records that may be of that event. It knows all that was appended before it was called.
	Find func(ctx context.Context, ids []string) ([][]int64, error)
	// HasAccount says whether the server has an account, so that somebody can read its history.
	HasAccount func(account string) bool
}

// Intake takes records in. Its methods may be used by many goroutines.
type Intake struct {
	db      store.DB
	clock   clock.Clock
	journal *journal.Journal
	allow   func(c *call.Call) error
	find    func(ctx context.Context, ids []string) ([][]int64, error)
	has     func(account string) bool

	mu        sync.Mutex
	effected  int64             // how many batches had their effect in this process's life, durable or not yet
	committed int64             // the last of them that is durable, counted from 1
	recent    []map[string]bool // the ids of the last that had their effect, oldest first
}

// keptBatches is how many batches may be committed while another is looked at.
const keptBatches = 16

// What a request may have.
const (
	maxPages      = 1024
	maxBatchSize  = 64 << 20
	maxBatch      = 1 << 17
	maxEventID    = 128
	maxRecordSize = 1 << 20
)

var migrations = []string{
	// What was read to its end: a file or an object, with what tells it from a later one of that name.
	`CREATE TABLE intake_source (
		name     TEXT   NOT NULL PRIMARY KEY,
		version  TEXT   NOT NULL,
		records  BIGINT NOT NULL,
		imported BIGINT NOT NULL)`,
}

// New prepares the tables.
func New(ctx context.Context, config Config) (*Intake, error) {
	if err := config.DB.Migrate(ctx, "intake", migrations...); err != nil {
		return nil, fmt.Errorf("intake: %w", err)
	}
	return &Intake{db: config.DB, clock: config.Clock, journal: config.Journal, allow: config.Allow, find: config.Find, has: config.HasAccount}, nil
}

// Operations are those of Vigil's own API that import.
func (i *Intake) Operations() []call.Operation {
	known := call.Read("ListKnownSources", i.listKnownSources)
	known.Data = true // it tells names only, and is asked over and over
	accounts := call.Read("ListUnknownAccounts", i.listUnknownAccounts)
	accounts.Data = true
	return []call.Operation{call.Op("ImportRecords", i.importRecords), known, accounts}
}

// Source is something that records were read from.
type Source struct {
	Name    *string // a file's path or an object's URL
	Version *string // what tells it from a later one of that name: its size and time, or its ETag
	Records *int64  // how many it had; only in ImportRecords
}

// ImportRecordsInput is a batch of records.
type ImportRecordsInput struct {
	// Pages are in form 2 of a journal page, whatever time of import they say: 1,024 at most, with 64 MiB of records together before compression.
	// A record is a CloudTrail event as JSON, without white space around it and without line ends, of 1 MiB at most; its time in the page is its eventTime.
	Pages [][]byte
	// From are the sources that the records are from.
	From []string
	// Done are the sources that are read to their end once this batch is imported.
	Done []Source
}

// ImportRecordsOutput says what became of a batch.
type ImportRecordsOutput struct {
	Imported *int64
	Known    *int64 // were here already, or twice in the batch
	// Differing, of those imported, have the account and the id of another event, and say something else.
	Differing *int64
	// RecordsDigest is SHA-256, in hexadecimal, of the SHA-256 digests of the imported records, one after the other; it is not there if none was.
	RecordsDigest *string
}

// importRecords takes a batch: all that is new of it, or nothing. It answers ValidationException for a batch with a record that is none, and
// ConflictException when another batch that is being imported has one of its events; it may then be sent again.
func (i *Intake) importRecords(ctx context.Context, c *call.Call, in *ImportRecordsInput) (*ImportRecordsOutput, error) {
	if err := i.allow(c); err != nil {
		return nil, err
	}
	b, err := readBatch(in.Pages)
	if err != nil {
		return nil, call.Errorf("ValidationException", "%s", err)
	}
	i.mu.Lock()
	seen := i.committed
	i.mu.Unlock()
	if err := i.dropKnown(ctx, b); err != nil {
		return nil, err
	}
	pages, err := b.pages(c.Time)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if i.overtaken(seen, b) {
			return call.Errorf("ConflictException", "Another import brings the same events at this moment. Send the batch again.")
		}
		if err := i.journal.Append(tx, pages); err != nil {
			return err
		}
		if err := putSources(tx, in.Done, i.clock.Now()); err != nil {
			return err
		}
		i.note(tx, b)
		return nil
	})
	return b.output(), nil
}

// overtaken says whether a batch after the one counted seen has one of b's events. It, and note, are for effects, which run one after the other.
func (i *Intake) overtaken(seen int64, b *batch) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	since := int(i.effected - seen)
	if since > len(i.recent) {
		return true // who knows
	}
	for _, ids := range i.recent[len(i.recent)-since:] {
		for n := range b.records {
			if r := &b.records[n]; r.isNew && ids[r.id] {
				return true
			}
		}
	}
	return false
}

// note remembers a batch that has its effect: the next effect may be in the same transaction. Should that not become durable, batches with the
// same events are refused once for nothing.
func (i *Intake) note(tx store.Tx, b *batch) {
	ids := make(map[string]bool, len(b.records))
	for n := range b.records {
		if r := &b.records[n]; r.isNew {
			ids[r.id] = true
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.effected++
	n := i.effected
	tx.OnCommit(func() {
		i.mu.Lock()
		i.committed = n
		i.mu.Unlock()
	})
	i.recent = append(i.recent, ids)
	if len(i.recent) > keptBatches {
		i.recent = i.recent[1:]
	}
}

// batch is what a request brings.
type batch struct {
	given   [][]byte // the pages
	decoded [][]vigil.PageRecord
	records []record // of all pages

	known, differing int64
}

// record is one of a batch. Its texts refer to data.
type record struct {
	at      time.Time
	data    []byte
	id      string
	account string
	isNew   bool
	digest  [32]byte // of data, once its page is made; only if it is new
}

func readBatch(pages [][]byte) (*batch, error) {
	b := &batch{given: pages}
	if len(pages) > maxPages {
		return nil, fmt.Errorf("there are %d pages, and may be %d", len(pages), maxPages)
	}
	var reader vigil.OutlineReader
	var o vigil.Outline
	size := 0
	for p, page := range pages {
		if _, err := vigil.ImportedPage(page, time.Time{}); err != nil {
			return nil, fmt.Errorf("page %d: %w", p, err)
		}
		records, err := vigil.DecodePage(page)
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", p, err)
		}
		for n, r := range records {
			if size += len(r.Data); size > maxBatchSize || len(b.records) == maxBatch {
				return nil, errors.New("the batch is too large")
			}
			if err := check(&reader, &o, r.Data); err != nil {
				return nil, fmt.Errorf("record %d of page %d: %w", n, p, err)
			}
			if r.Time.UnixMilli() != o.Second*1000 {
				return nil, fmt.Errorf("record %d of page %d: its time in the page is not its eventTime", n, p)
			}
			b.records = append(b.records, record{at: r.Time, data: r.Data, id: string(o.ID(r.Data)), account: string(o.Account), isNew: true})
		}
		b.decoded = append(b.decoded, records)
	}
	return b, nil
}

// dropKnown notes which records are of events that the journal has, or that the batch has twice.
func (i *Intake) dropKnown(ctx context.Context, b *batch) error {
	ids := make([]string, len(b.records))
	for n := range b.records {
		ids[n] = b.records[n].id
	}
	places, err := i.find(ctx, ids)
	if err != nil {
		return err
	}
	have, err := i.read(ctx, places)
	if err != nil {
		return err
	}
	var reader vigil.OutlineReader
	var o vigil.Outline
	in := make(map[string][]int, len(b.records))
	for n := range b.records {
		r := &b.records[n]
		differs := false
		for _, seq := range places[n] {
			data := have[seq]
			if reader.Read(data, &o) != nil || string(o.ID(data)) != r.id || string(o.Account) != r.account {
				continue
			}
			if sameEvent(data, r.data) {
				r.isNew = false
				break
			}
			differs = true
		}
		for _, m := range in[r.id] {
			other := &b.records[m]
			if !r.isNew || other.account != r.account {
				continue
			}
			if sameEvent(other.data, r.data) {
				r.isNew = false
			}
			differs = true
		}
		if !r.isNew {
			b.known++
			continue
		}
		if differs {
			b.differing++
		}
		in[r.id] = append(in[r.id], n)
	}
	return nil
}

// read reads the records at places from the journal, in its order.
func (i *Intake) read(ctx context.Context, places [][]int64) (map[int64][]byte, error) {
	var seqs []int64
	have := map[int64][]byte{}
	for _, some := range places {
		for _, seq := range some {
			if _, ok := have[seq]; !ok {
				have[seq] = nil
				seqs = append(seqs, seq)
			}
		}
	}
	if len(seqs) == 0 {
		return have, nil
	}
	entries, err := i.journal.Get(ctx, inOrder(seqs))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		have[e.Seq] = e.Data
	}
	return have, nil
}

// pages are the journal's pages of what is new. A page that is new as a whole is not touched.
func (b *batch) pages(now time.Time) (pages []journal.Page, err error) {
	rest := b.records
	for p, decoded := range b.decoded {
		records := rest[:len(decoded)]
		rest = rest[len(decoded):]
		page, err := pageOf(b.given[p], decoded, records, now)
		if err != nil {
			return nil, err
		}
		if page.Count > 0 {
			pages = append(pages, page)
		}
	}
	return pages, nil
}

func pageOf(given []byte, decoded []vigil.PageRecord, records []record, now time.Time) (page journal.Page, err error) {
	for n := range records {
		r := &records[n]
		if !r.isNew {
			continue
		}
		at := r.at.UnixMilli()
		if page.Count == 0 {
			page.First, page.Last = at, at
		}
		page.First, page.Last = min(page.First, at), max(page.Last, at)
		page.Count++
		r.digest = vigil.Digest(r.data)
	}
	switch page.Count {
	case 0:
		return page, nil
	case len(records):
		imported := time.UnixMilli(now.UnixMilli()).UTC() // as it is in the page
		page.Digests = make([][32]byte, len(records))
		for n := range decoded {
			decoded[n].Imported, page.Digests[n] = imported, records[n].digest
		}
		page.Records = decoded
		page.Body, err = vigil.ImportedPage(given, now)
		return page, err
	}
	w := vigil.PageWriter{Imported: now}
	for n := range records {
		if r := &records[n]; r.isNew {
			w.Add(r.at, r.data)
		}
	}
	page.Body = w.Encode()
	return page, nil
}

func (b *batch) output() *ImportRecordsOutput {
	imported := int64(len(b.records)) - b.known
	out := &ImportRecordsOutput{Imported: &imported, Known: &b.known, Differing: &b.differing}
	if imported == 0 {
		return out
	}
	all := sha256.New()
	for n := range b.records {
		if b.records[n].isNew {
			all.Write(b.records[n].digest[:])
		}
	}
	sum := hex.EncodeToString(all.Sum(nil))
	out.RecordsDigest = &sum
	return out
}
