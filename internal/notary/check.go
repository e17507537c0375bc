package notary

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"vigil"
	"vigil/internal/store"
)

// Known is a signed checkpoint of the log that was kept elsewhere.
type Known struct {
	From string // for messages: the file's name
	Note []byte
}

// CheckOptions say what Check knows from elsewhere than the database.
type CheckOptions struct {
	Key   note.Verifier // the log's; nil to believe the database, in which whoever forged all else may have put a key of theirs
	Known []Known
	// DroppedBefore is the index of the first record that must be there: those before were dropped on purpose, and may be missing. Those that
	// retention has dropped need not be said: the log has a statement of them.
	DroppedBefore int64
}

// Report is what Check has found.
type Report struct {
	VerifierKey string // of the database's log
	Sealed      int64  // records under the checkpoint
	Unsealed    int64  // records in the database behind them, which no checkpoint covers yet
	Dropped     int64  // records that are not there any more, as was stated or expected
	// Retention is the log's last statement that records were dropped, and Statement the index of the record that it is in; nil if there is none.
	Retention *vigil.Retention
	Statement int64
	Findings  []string
	More      int // findings beyond the first maxFindings
}

// Good says that nothing was found.
func (r *Report) Good() bool { return len(r.Findings) == 0 }

const maxFindings = 100

func (r *Report) found(format string, args ...any) {
	if len(r.Findings) == maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
}

// ErrNoLog is returned for a database that has no log: it is no Vigil's, or that of a version before there was one.
var ErrNoLog = errors.New("the database has no log of its records")

// Check holds the whole database of a server that does not run against what was signed: that each record is the one that was sealed, at its place, that the
// tiles are those of the tree, and that the checkpoint is the log's and not older than those that are known from elsewhere. It only reads.
func Check(ctx context.Context, db store.DB, options CheckOptions) (*Report, error) {
	c := &checker{report: &Report{}, options: options}
	err := db.View(ctx, func(tx store.Tx) error {
		c.tx = tx
		return c.run()
	})
	if err != nil {
		return nil, err
	}
	return c.report, nil
}

// checker is one Check.
type checker struct {
	tx      store.Tx
	options CheckOptions
	report  *Report

	outlines vigil.OutlineReader
	outline  vigil.Outline

	key   note.Verifier
	last  *vigil.SignedCheckpoint // nil if it is not good
	known []knownCheckpoint

	sealed  *tree // of the digests in the database
	present *tree // of the records in the database; where one is missing, of its digest
	changed []difference
	altered []alteredTile // whose hashes are not those of what is below them
}

type knownCheckpoint struct {
	from string
	vigil.Checkpoint
}

// difference is a record that does not have the digest of its place.
type difference struct {
	seq     int64
	want    [digestSize]byte
	got     [digestSize]byte
	data    []byte
	missing bool
}

type alteredTile struct {
	level int
	n     int64
}

func (c *checker) run() error {
	if err := c.openLog(); err != nil {
		return err
	}
	if err := c.openRetention(); err != nil {
		return err
	}
	if err := c.walk(); err != nil {
		return err
	}
	if err := c.judge(); err != nil {
		return err
	}
	return c.checkCursor()
}

// openLog reads the log's key and checkpoint, and holds them against what is known.
func (c *checker) openLog() error {
	var origin string
	var public []byte
	err := c.tx.QueryRow(`SELECT origin, public FROM notary_log WHERE one = 1`).Scan(&origin, &public)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return fmt.Errorf("%w: %w", ErrNoLog, err)
	}
	own, keyErr := vigilKey(origin, public)
	switch {
	case err != nil:
		c.report.found("the log's name and key are missing")
	case keyErr != nil:
		c.report.found("the log's key is damaged: %v", keyErr)
	default:
		c.report.VerifierKey = own
	}
	if c.key = c.options.Key; c.key == nil {
		if c.report.VerifierKey == "" {
			return ErrNoLog
		}
		if c.key, err = vigil.NewVerifier(c.report.VerifierKey); err != nil {
			return err
		}
	} else if k, err := vigil.NewVerifier(own); c.report.VerifierKey != "" && (err != nil || k.Name() != c.key.Name() || k.KeyHash() != c.key.KeyHash()) {
		c.report.found("the database's log is %s, another than %s+%08x: its key was exchanged", own, c.key.Name(), c.key.KeyHash())
	}

	var signed []byte
	err = c.tx.QueryRow(`SELECT note FROM notary_checkpoint WHERE kind = $1`, kindSigned).Scan(&signed)
	if errors.Is(err, store.ErrNoRows) {
		c.report.found("the checkpoint is missing")
	} else if err != nil {
		return err
	} else if c.last, err = vigil.OpenCheckpoint(signed, c.key); err != nil {
		c.report.found("the database's checkpoint: %v", err)
	} else {
		c.report.Sealed = c.last.Size
	}
	for _, k := range c.options.Known {
		opened, err := vigil.OpenCheckpoint(k.Note, c.key)
		if err != nil {
			c.report.found("%s: %v", k.From, err)
			continue
		}
		c.known = append(c.known, knownCheckpoint{k.From, opened.Checkpoint})
		if c.last != nil && opened.Size > c.last.Size {
			c.report.found("the checkpoint was rolled back: %s is of %d records, and the database's is of %d", k.From, opened.Size, c.last.Size)
		}
	}
	if c.last == nil { // judged by the best that is known
		for _, k := range c.known {
			c.report.Sealed = max(c.report.Sealed, k.Size)
		}
	}
	return nil
}

// openRetention reads the log's last statement that records were dropped. Only the log can make one, and only a record that is sealed counts: so which
// records may be missing is a fact of the log, like any other.
func (c *checker) openRetention() error {
	var steps int64
	err := c.tx.QueryRow(`SELECT COUNT(*) FROM vigil_migration WHERE component = 'notary' AND step = $1`, retentionStep).Scan(&steps)
	if err != nil || steps == 0 { // the database is older
		return err
	}
	var before, at int64
	err = c.tx.QueryRow(`SELECT before, record FROM notary_retention WHERE one = 1`).Scan(&before, &at)
	if errors.Is(err, store.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	walk := recordWalk{tx: c.tx, report: &Report{}} // what is wrong with the page is found again
	if err := walk.seek(at); err != nil {
		return err
	}
	record, there, err := walk.at(at)
	if err != nil {
		return err
	}
	if !there {
		c.report.found("the records before %d are said to be dropped by record %d, which is missing", before, at)
		return nil
	}
	stated, err := vigil.FindRetention(record.Data, c.key)
	switch {
	case err != nil:
		c.report.found("the records before %d are said to be dropped by record %d, which does not state it: %v", before, at, err)
	case stated.Before != before:
		c.report.found("the records before %d are said to be dropped by record %d, which states it of those before %d", before, at, stated.Before)
	case at >= c.report.Sealed:
		c.report.found("the records before %d are said to be dropped by record %d, which is not sealed", before, at)
	case at < stated.Tree.Size:
		c.report.found("record %d states what was so when there were %d records", at, stated.Tree.Size)
	default:
		c.report.Retention, c.report.Statement = stated, at
		c.options.DroppedBefore = max(c.options.DroppedBefore, before)
		c.known = append(c.known, knownCheckpoint{fmt.Sprintf("the statement of record %d", at), stated.Tree})
	}
	return nil
}

func vigilKey(origin string, public []byte) (string, error) {
	if len(public) != 32 {
		return "", fmt.Errorf("it has %d bytes", len(public))
	}
	if !isOrigin(origin) {
		return "", fmt.Errorf("its name is %q", origin)
	}
	return note.NewEd25519VerifierKey(origin, public)
}

// walk goes through the records and the digests at the same time, and grows a tree of each.
func (c *checker) walk() error {
	c.sealed, c.present = emptyTree(), emptyTree()
	c.sealed.full = c.compareTile
	records := recordWalk{tx: c.tx, report: c.report}
	if err := c.compareKnown(); err != nil {
		return err
	}
	for n := int64(0); n*vigil.BundleWidth < c.report.Sealed; n++ {
		first, end := n*vigil.BundleWidth, min((n+1)*vigil.BundleWidth, c.report.Sealed)
		digests, err := readDigests(c.tx, n)
		if err != nil && !errors.Is(err, ErrInconsistent) {
			return err
		}
		if have := first + int64(len(digests)); have < end {
			c.report.found("the digests of records %d to %d are missing", have, end-1)
		} else if have > end {
			c.report.found("there are digests of %d records that are not under the checkpoint", have-end)
		}
		for seq := first; seq < end; seq++ {
			record, there, err := records.at(seq)
			if err != nil {
				return err
			}
			d := difference{seq: seq, data: record.Data, missing: !there}
			if there {
				d.got = vigil.Digest(record.Data)
			}
			if i := seq - first; i < int64(len(digests)) {
				d.want = digests[i]
			} else {
				d.want = d.got
			}
			if there && d.got == d.want {
				c.checkTime(seq, record)
			}
			if !there && seq < c.options.DroppedBefore {
				c.report.Dropped++
				d.got = d.want
			} else if d.got != d.want {
				c.changed = append(c.changed, d)
			}
			if !there {
				d.got = d.want
			}
			if err := c.sealed.add(d.want); err != nil {
				return err
			}
			if err := c.present.add(d.got); err != nil {
				return err
			}
			if err := c.compareKnown(); err != nil {
				return err
			}
		}
	}
	rest, err := records.count(c.report.Sealed)
	c.report.Unsealed = rest
	return err
}

// checkTime holds the time that the journal has of a record, by which it is found and dropped, against the record's own, which is sealed. Insights events
// are of minutes that had passed when they were recorded.
func (c *checker) checkTime(seq int64, r vigil.PageRecord) {
	if err := c.outlines.Read(r.Data, &c.outline); err != nil {
		return // not a record that the journal takes, but the one that was sealed
	}
	at, insight := r.Time.Unix(), string(c.outline.Category) == vigil.CategoryInsight
	if at != c.outline.Second && !(insight && at > c.outline.Second) {
		c.report.found("record %d is kept as one of %s, but is of %s", seq, r.Time.UTC().Format(time.RFC3339), time.Unix(c.outline.Second, 0).UTC().Format(time.RFC3339))
	}
}

// compareTile holds a full tile of a level above 0 against the one in the database.
func (c *checker) compareTile(level int, n int64, hashes []tlog.Hash, _ [][digestSize]byte) error {
	if level == 0 {
		return nil
	}
	stored, err := readTile(c.tx, level, n)
	if err != nil && !errors.Is(err, ErrInconsistent) {
		return err
	}
	if len(stored) > len(hashes) {
		c.report.found("tile %d/%d has %d hashes, and %d are of the tree", level, n, len(stored), len(hashes))
	}
	for i, h := range hashes {
		if i >= len(stored) || stored[i] != h {
			c.altered = append(c.altered, alteredTile{level - 1, n*vigil.BundleWidth + int64(i)})
		}
	}
	return nil
}

// compareKnown holds the tree against the known checkpoints of its present size.
func (c *checker) compareKnown() error {
	for _, k := range c.known {
		if k.Size != c.sealed.size || c.last != nil && k.Size == c.last.Size && k.Root == c.last.Root {
			continue
		}
		root, err := c.sealed.root()
		if err != nil {
			return err
		}
		if root != k.Root {
			c.report.found("%s says that the tree of the first %d records has another root: the log was rewritten", k.from, k.Size)
		}
	}
	return nil
}

// judge says what the differences mean.
func (c *checker) judge() error {
	for level := 1; level < len(c.sealed.levels); level++ { // the tiles that are not full
		if err := c.compareTile(level, c.sealed.number(level), c.sealed.levels[level], nil); err != nil {
			return err
		}
	}
	sealedRoot, err := c.sealed.root()
	if err != nil {
		return err
	}
	presentRoot, err := c.present.root()
	if err != nil {
		return err
	}
	switch {
	case c.last == nil || sealedRoot == c.last.Root:
		c.describe()
	case presentRoot == c.last.Root: // the records are those that were signed
		c.altered = nil
		for _, d := range c.changed {
			c.report.found("the digest of record %d was altered; the record itself is the one that was sealed", d.seq)
		}
	default:
		c.report.found("the database's records are not those of its checkpoint, whose root is %v: the tree over their digests has the root %v",
			c.last.Root, sealedRoot)
		c.describe()
	}
	for _, a := range c.altered {
		first := a.n << (vigil.TileHeight * (a.level + 1))
		end := min((a.n+1)<<(vigil.TileHeight*(a.level+1)), c.report.Sealed)
		if sealedRoot == presentRoot && c.last != nil && sealedRoot == c.last.Root {
			c.report.found("the tree's hash over records %d to %d was altered; the records are those that were sealed", first, end-1)
		} else {
			c.report.found("records %d to %d, or their digests, are not those that the tree was made of", first, end-1)
		}
	}
	return nil
}

// describe says of each record that is not the sealed one what has become of it.
func (c *checker) describe() {
	place := map[[digestSize]byte]int64{} // where a record now is
	for _, d := range c.changed {
		if !d.missing {
			place[d.got] = d.seq
		}
	}
	for i := 0; i < len(c.changed); i++ {
		d := c.changed[i]
		if at, moved := place[d.want]; moved {
			c.report.found("record %d was moved: it stands at place %d%s", d.seq, at, c.named(at))
			continue
		}
		if !d.missing {
			c.report.found("record %d was altered or exchanged: it now is%s", d.seq, outlineOf(d.data))
			continue
		}
		last := i
		for last+1 < len(c.changed) && c.changed[last+1].missing && c.changed[last+1].seq == c.changed[last].seq+1 {
			if _, moved := place[c.changed[last+1].want]; moved {
				break
			}
			last++
		}
		if last == i {
			c.report.found("record %d is missing", d.seq)
		} else {
			c.report.found("records %d to %d are missing", d.seq, c.changed[last].seq)
		}
		i = last
	}
}

// named is the event that stands at a place whose record is not the sealed one.
func (c *checker) named(seq int64) string {
	for _, d := range c.changed {
		if d.seq == seq {
			return "," + outlineOf(d.data)
		}
	}
	return ""
}

// outlineOf is a record in few words.
func outlineOf(data []byte) string {
	var reader vigil.OutlineReader
	var o vigil.Outline
	if reader.Read(data, &o) != nil {
		return fmt.Sprintf(" %d bytes that are no event", len(data))
	}
	return fmt.Sprintf(" event %q, %q", o.EventID, o.EventName)
}

// checkCursor looks at where the notary is to go on.
func (c *checker) checkCursor() error {
	if c.last == nil {
		return nil
	}
	var next int64
	err := c.tx.QueryRow(`SELECT next FROM journal_cursor WHERE name = $1`, Follower).Scan(&next)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return err
	}
	if next != c.last.Size {
		c.report.found("the next record to be sealed is said to be %d, and the checkpoint is of %d", next, c.last.Size)
	}
	return nil
}
