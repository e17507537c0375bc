package trail

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// The files of trails. The follower that brings records to log groups also notes, in its transaction, which records each trail has of each
// region: a row of trail_file, which takes records until the slot of time that it is of has ended, or it is full. A row has the records' indexes only;
// their contents stay in the journal and are read again when the file is made. So each record is in one row, whatever may happen.
//
// When a row is due (files_deliver.go), it first gets its key, durably, and from then on it is this object: the same contents are put under
// the same key again until that has been seen to succeed. So each row is one file, whatever may happen. Then the row goes, or stays
// until a digest has it (digests.go).

// Buckets is where the files of trails go. Its errors are *call.Error with the codes of the S3 API, such as NoSuchBucket and AccessDenied, when
// the store has refused, which it does with a status below 500 and nothing done. After any other error nobody knows; the same is put again.
type Buckets interface {
	// Check says whether an account may put objects into a bucket: nil, or why not.
	Check(ctx context.Context, account, bucket string) error
	// Put writes an object, whole or not at all, durably, over one of that key.
	Put(ctx context.Context, account, bucket, key string, o Object) error
	// CanEncrypt says whether objects can be encrypted with KMS keys.
	CanEncrypt() bool
}

// Object is a file on its way into a bucket.
type Object struct {
	Body            []byte
	ContentType     string
	ContentEncoding string
	Metadata        map[string]string // the writer's own; names are in lower case and without x-amz-meta-
	// KMSKey is the ARN of the key that it is to be encrypted with, used by By with an encryption context that has Context. Empty is none.
	KMSKey  string
	By      call.Principal
	Context map[string]string
}

// DefaultWithin is how long after an event a file has it at the latest.
const DefaultWithin = 5 * time.Minute

// A file has no more than this, but for a record that is larger by itself. What is compressed stays far below CloudTrail's 50 MB.
const (
	maxFileSize = 32 << 20 // bytes of records
	maxFileRuns = 32 << 10 // bytes of the row's runs
)

// States of a file's row.
const (
	fileOpen      = 0 // takes records
	fileFull      = 1
	fileAddressed = 2 // has its bucket and key, and may be there already
	fileDelivered = 3 // waits for a digest
	fileDigested  = 4 // is in the digest that is to be delivered
)

// fileMigrations are the watch database's. Times are milliseconds since 1970, but those of events seconds.
const fileMigrations = `CREATE TABLE trail_file (
		id      BIGINT NOT NULL PRIMARY KEY,
		trail   BIGINT NOT NULL,
		region  TEXT   NOT NULL,
		folder  TEXT   NOT NULL,
		state   BIGINT NOT NULL,
		due     BIGINT NOT NULL, -- when its slot ends; once it has its key, when it is delivered for the digests
		first   BIGINT NOT NULL, -- its records: see appendRun
		last    BIGINT NOT NULL,
		runs    BYTEA  NOT NULL,
		size    BIGINT NOT NULL, -- bytes of records
		oldest  BIGINT NOT NULL, -- times of events
		newest  BIGINT NOT NULL,
		bucket  TEXT   NOT NULL,
		object  TEXT   NOT NULL,
		refused BIGINT NOT NULL, -- the bucket has refused it, so that it is surely not there
		hash    TEXT   NOT NULL);
	CREATE INDEX trail_file_due ON trail_file (trail, state, due);

	CREATE TABLE trail_file_next (
		one BIGINT NOT NULL PRIMARY KEY,
		id  BIGINT NOT NULL);
	INSERT INTO trail_file_next (one, id) VALUES (1, 0);

	CREATE TABLE trail_file_status (
		trail     BIGINT NOT NULL,
		region    TEXT   NOT NULL,
		kind      BIGINT NOT NULL,
		attempted BIGINT NOT NULL,
		succeeded BIGINT NOT NULL, -- time of the last one; 0 is never
		error     TEXT   NOT NULL, -- of the last one; empty if it succeeded
		PRIMARY KEY (trail, region, kind));

	CREATE TABLE trail_chain (
		trail      BIGINT NOT NULL,
		region     TEXT   NOT NULL,
		begun      BIGINT NOT NULL, -- when the next digest begins
		bucket     TEXT   NOT NULL, -- of the previous digest, as are object, hash and signature; empty before the first
		object     TEXT   NOT NULL,
		hash       TEXT   NOT NULL,
		signature  TEXT   NOT NULL,
		ends       BIGINT NOT NULL, -- when the digest ends that is to be delivered; 0 is none
		document   BYTEA  NOT NULL, -- that digest
		signed     TEXT   NOT NULL, -- and its signature
		refused    BIGINT NOT NULL, -- the bucket has refused it
		PRIMARY KEY (trail, region))`

// fileRow is a row of trail_file.
type fileRow struct {
	id             int64
	trail          int64
	region, folder string
	state          int64
	due            int64
	first, last    int64
	runs           []byte
	size           int64
	oldest, newest int64
	bucket, object string
	refused        bool
	hash           string

	run run // the last, while records are added
}

const fileColumns = `id, trail, region, folder, state, due, first, last, runs, size, oldest, newest, bucket, object, refused, hash`

func scanFile(row store.Scanner) (*fileRow, error) {
	f := new(fileRow)
	var refused int64
	err := row.Scan(&f.id, &f.trail, &f.region, &f.folder, &f.state, &f.due, &f.first, &f.last, &f.runs, &f.size, &f.oldest, &f.newest, &f.bucket, &f.object, &refused, &f.hash)
	f.refused, f.run = refused != 0, run{0, -1}
	return f, err
}

func (f *fileRow) insert(tx store.Tx) error {
	if err := tx.QueryRow(`UPDATE trail_file_next SET id = id + 1 WHERE one = 1 RETURNING id`).Scan(&f.id); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO trail_file (`+fileColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		f.id, f.trail, f.region, f.folder, f.state, f.due, f.first, f.last, f.runs, f.size, f.oldest, f.newest, f.bucket, f.object, truth(f.refused), f.hash)
	return err
}

func (f *fileRow) update(tx store.Tx) error {
	_, err := tx.Exec(`UPDATE trail_file SET state = $2, due = $3, last = $4, runs = $5, size = $6, oldest = $7, newest = $8, bucket = $9, object = $10, refused = $11, hash = $12 WHERE id = $1`,
		f.id, f.state, f.due, f.last, f.runs, f.size, f.oldest, f.newest, f.bucket, f.object, truth(f.refused), f.hash)
	return err
}

// slot is how long the records of a file are gathered: what is left of the time within which they are promised is for making and putting it.
func (t *Trail) slot() time.Duration { return max(t.within-t.within/10, time.Millisecond) }

// slotEnd is when the slot of a time ends, in milliseconds since 1970.
func (t *Trail) slotEnd(at int64) int64 {
	slot := t.slot().Milliseconds()
	return at - at%slot + slot
}

// filed is a record that goes into a file.
type filed struct {
	seq    int64
	at     int64 // milliseconds
	second int64 // of the event
	size   int64
}

// file notes the records of a parcel in the rows of the trail.
func (t *Trail) file(tx store.Tx, p *parcel) error {
	if len(p.files) == 0 {
		return nil
	}
	open, err := scanFile(tx.QueryRow(`SELECT `+fileColumns+` FROM trail_file WHERE trail = $1 AND region = $2 AND folder = $3 AND state = $4`,
		p.trail.id, p.region, p.folder, fileOpen))
	stored := err == nil
	if errors.Is(err, store.ErrNoRows) {
		open, err = nil, nil
	}
	if err != nil {
		return err
	}
	save := func() error {
		if stored {
			return open.update(tx)
		}
		return open.insert(tx)
	}
	for _, r := range p.files {
		if open != nil && (r.at >= open.due || open.size+r.size > maxFileSize || len(open.runs) > maxFileRuns) {
			open.state = fileFull
			open.flush()
			if err := save(); err != nil {
				return err
			}
			open = nil
		}
		if open == nil {
			stored = false
			open = &fileRow{trail: p.trail.id, region: p.region, folder: p.folder, due: t.slotEnd(r.at), first: r.seq, last: r.seq - 1, run: run{0, -1}, oldest: r.second, newest: r.second}
		}
		open.add(r)
	}
	open.flush()
	return save()
}

// add takes a record into the row. The run that it is in is written by flush.
func (f *fileRow) add(r filed) {
	if r.seq != f.run.last+1 || f.run.last < f.run.first {
		f.flush()
		f.run = run{r.seq, r.seq}
	}
	f.run.last = r.seq
	f.size += r.size
	f.oldest, f.newest = min(f.oldest, r.second), max(f.newest, r.second)
}

// flush writes the run that the last record is in.
func (f *fileRow) flush() {
	if f.run.last < f.run.first || f.run.last <= f.last {
		return
	}
	f.runs = appendRun(f.runs, f.last, f.run)
	f.last = f.run.last
}

// content makes the file: the records' bytes in the journal's order. Records that the journal has not any more are left out.
func (t *Trail) content(ctx context.Context, f *fileRow) (file []byte, hash string, count int, err error) {
	runs, err := decodeRuns(f.first, f.last, f.runs)
	if err != nil {
		return nil, "", 0, err
	}
	w := vigil.NewLogFileWriter()
	var seqs []int64
	read := func() error {
		var entries []journal.Entry
		if entries, err = t.journal.Get(ctx, seqs); err != nil {
			return err
		}
		for _, e := range entries {
			w.Add(e.Data)
		}
		seqs = seqs[:0]
		return nil
	}
	for _, r := range runs {
		for seq := r.first; seq <= r.last; seq++ {
			if seqs = append(seqs, seq); len(seqs) == readAtOnce {
				if err := read(); err != nil {
					return nil, "", 0, err
				}
			}
		}
	}
	if err := read(); err != nil {
		return nil, "", 0, err
	}
	file, hash = w.Close()
	return file, hash, w.Count(), nil
}

// readAtOnce is how many records are read from the journal at a time.
const readAtOnce = 256

// unique is what tells files of one minute apart: 16 letters and digits.
func unique() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	var raw [24]byte
	name := make([]byte, 0, 16)
	for len(name) < cap(name) {
		_, _ = rand.Read(raw[:]) // it does not fail
		for _, b := range raw {
			if b < 4*byte(len(letters)) && len(name) < cap(name) { // each letter is as likely
				name = append(name, letters[b%byte(len(letters))])
			}
		}
	}
	return string(name)
}

// Needs is the first record of the journal that a file is still to be made of. ok is false when there is none. What drops records keeps those
// from there on, and those that the trails' follower has not behind it.
func (t *Trail) Needs(ctx context.Context) (first int64, ok bool, err error) {
	if t.main == nil {
		return 0, false, nil
	}
	err = t.watch.View(ctx, func(tx store.Tx) error {
		var least *int64
		if err := tx.QueryRow(`SELECT MIN(first) FROM trail_file WHERE state < $1`, fileDelivered).Scan(&least); err != nil || least == nil {
			return err
		}
		first, ok = *least, true
		return nil
	})
	return first, ok, err
}
