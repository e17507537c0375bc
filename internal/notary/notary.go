// Package notary seals the journal: it grows a Merkle tree over the journal's records, in their order, and signs what the tree is as a
// checkpoint, so that nobody, the operator included, can change, remove or move a record afterwards without its being seen.
//
// It is a follower of the journal (seal.go). A round adds the records that are new to the tree (tree.go) and signs a checkpoint, in one
// transaction with its cursor: a record is sealed when the follower has it behind it. It never signs a tree that does not have the last
// one that it signed at its beginning: what is inconsistent is refused, said loudly, and makes the server not ready.
//
// Anybody can read the tree's tiles and its checkpoint (serve.go), have a record proved (prove.go), or hold the whole database against
// the checkpoint when no server runs (check.go). Witnesses elsewhere, if the operator names any, countersign (witness.go). The forms, which
// are C2SP's, are in package vigil, and docs/formats/tlog.md has them.
//
// The tree is made of digests and stays when records are dropped. That they were, and which, is a signed statement in the journal (retention.go).
package notary

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// Follower names the notary's cursor in the journal: what it has followed is sealed.
const Follower = "notary"

// The files of the data directory that say what was sealed, so that a database which was put back or exchanged is noticed.
const (
	KeyFile        = "log.vkey"   // the log's public key, as vigil.NewVerifier reads it
	CheckpointFile = "checkpoint" // the last that was signed, or nearly
)

// ErrInconsistent is, or is within, the error of a database that is not the one that was signed. Nothing more is signed then.
var ErrInconsistent = errors.New("the log is not what was signed")

// Secrets wraps secrets for the database: a *seal.Wrapper.
type Secrets interface {
	Wrap(plaintext, context []byte) ([]byte, error)
	Unwrap(blob, context []byte) ([]byte, error)
}

// Config is what a Notary is made of.
type Config struct {
	Journal *journal.Journal
	DB      store.DB // the journal's own
	Secrets Secrets
	Dir     string // the data directory
	// Origin is the name that a new log gets: where it is served, without scheme. If it is empty or cannot be a name, the log is named after its key.
	Origin    string
	Witnesses []Witness
	Log       *slog.Logger
}

// Notary seals one journal. Its methods may be used by many goroutines.
type Notary struct {
	journal *journal.Journal
	db      store.DB
	dir     string
	log     *slog.Logger

	origin   string
	vkey     string
	signer   note.Signer
	verifier note.Verifier

	witnesses []*witness
	sealed    chan struct{} // tells the keeper that there is a new checkpoint
	cosign    chan struct{} // tells who asks the witnesses

	round round // of the follower, between prepare and seal

	mu      sync.Mutex
	signed  *vigil.SignedCheckpoint // the last
	fault   error                   // why nothing is signed, or nil
	forGood bool                    // the fault was there at the start, and needs another

	cosigned   *vigil.SignedCheckpoint // the last that a witness has cosigned, or nil
	cosignedAt time.Time
}

var migrations = []string{
	`CREATE TABLE notary_log (
		one    BIGINT NOT NULL PRIMARY KEY,
		origin TEXT   NOT NULL,
		public BYTEA  NOT NULL,
		secret BYTEA  NOT NULL)`,
	// A row has the digests of the records from 256 n on, 256 at most: the log's entries without what is the same in all. The leaf hashes, which are
	// the tiles of level 0, are made of them.
	`CREATE TABLE notary_digest (
		n       BIGINT NOT NULL PRIMARY KEY,
		digests BYTEA  NOT NULL)`,
	`CREATE TABLE notary_tile (
		level  BIGINT NOT NULL,
		n      BIGINT NOT NULL,
		hashes BYTEA  NOT NULL,
		PRIMARY KEY (level, n))`,
	`CREATE TABLE notary_checkpoint (
		kind BIGINT NOT NULL PRIMARY KEY,
		note BYTEA  NOT NULL)`,
	// Where the last statement is that records were dropped: a record of the journal.
	`CREATE TABLE notary_retention (
		one    BIGINT NOT NULL PRIMARY KEY,
		before BIGINT NOT NULL,
		record BIGINT NOT NULL)`,
}

// retentionStep is the step of migrations that makes notary_retention.
const retentionStep = 5

// Kinds of rows of notary_checkpoint.
const (
	kindSigned   = 1
	kindCosigned = 2
)

// New opens the log in the database, or makes one with a key of its own. A log that is not what was signed is no error here: see Err.
func New(ctx context.Context, config Config) (*Notary, error) {
	n := &Notary{journal: config.Journal, db: config.DB, dir: config.Dir, log: config.Log, sealed: make(chan struct{}, 1)}
	n.cosign = make(chan struct{}, 1)
	for _, w := range config.Witnesses {
		n.witnesses = append(n.witnesses, &witness{Witness: w})
	}
	if err := n.db.Migrate(ctx, "notary", migrations...); err != nil {
		return nil, fmt.Errorf("notary: %w", err)
	}
	if err := n.openLog(ctx, config); err != nil {
		return nil, fmt.Errorf("notary: %w", err)
	}
	err := n.db.View(ctx, n.load)
	if err == nil {
		err = n.compareFiles()
	}
	if errors.Is(err, ErrInconsistent) {
		n.fault, n.forGood = err, true
		n.log.Error("Nothing is sealed any more, and the server is not ready. `vigil verify` says what is wrong.", "error", err)
	} else if err != nil {
		return nil, fmt.Errorf("notary: %w", err)
	}
	return n, nil
}

// VerifierKey is the log's public key as vigil.NewVerifier reads it.
func (n *Notary) VerifierKey() string { return n.vkey }

// Err is why nothing is sealed, or nil.
func (n *Notary) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fault
}

// Signed is the last checkpoint that was signed. It is nil if the database has none that is good.
func (n *Notary) Signed() *vigil.SignedCheckpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.signed
}

// openLog reads the log's name and key, and makes them, with the checkpoint of an empty tree, if there are none.
func (n *Notary) openLog(ctx context.Context, config Config) error {
	var public, secret []byte
	err := n.db.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT origin, public, secret FROM notary_log WHERE one = 1`).Scan(&n.origin, &public, &secret)
	})
	if err == nil {
		seed, err := config.Secrets.Unwrap(secret, public)
		if err != nil {
			return err
		}
		return n.useKey(seed)
	}
	if !errors.Is(err, store.ErrNoRows) {
		return err
	}

	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	public = ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if n.origin = config.Origin; !isOrigin(n.origin) {
		sum := sha256.Sum256(public)
		n.origin = "vigil/" + hex.EncodeToString(sum[:8])
	}
	if err := n.useKey(seed); err != nil {
		return err
	}
	if secret, err = config.Secrets.Wrap(seed, public); err != nil {
		return err
	}
	empty, err := n.sign(emptyTree())
	if err != nil {
		return err
	}
	return n.db.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO notary_log (one, origin, public, secret) VALUES (1, $1, $2, $3)`, n.origin, public, secret); err != nil {
			return err
		}
		return storeCheckpoint(tx, kindSigned, empty.Note)
	})
}

// isOrigin says that a text can name a log, which is a line of a checkpoint and names the key.
func isOrigin(name string) bool {
	return name != "" && len(name) <= 255 && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '+' || r >= 0x7f })
}

// useKey makes the signer and the verifier of the log's key.
func (n *Notary) useKey(seed []byte) (err error) {
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if n.vkey, err = note.NewEd25519VerifierKey(n.origin, public); err != nil {
		return err
	}
	if n.verifier, err = note.NewVerifier(n.vkey); err != nil {
		return err
	}
	const ed25519Seed = 1
	n.signer, err = note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", n.origin, n.verifier.KeyHash(),
		base64.StdEncoding.EncodeToString(append([]byte{ed25519Seed}, seed...))))
	return err
}

// load reads the last checkpoints and holds the last that was signed against the tree.
func (n *Notary) load(tx store.Tx) error {
	signed, err := n.loadCheckpoint(tx, kindSigned)
	if err != nil {
		return err
	}
	if signed == nil {
		return fmt.Errorf("%w: the database has no checkpoint", ErrInconsistent)
	}
	if _, err := openTree(tx, signed.Checkpoint); err != nil {
		return err
	}
	n.signed = signed
	n.cosigned, err = n.loadCheckpoint(tx, kindCosigned)
	return err
}

func (n *Notary) loadCheckpoint(tx store.Tx, kind int) (*vigil.SignedCheckpoint, error) {
	var signed []byte
	err := tx.QueryRow(`SELECT note FROM notary_checkpoint WHERE kind = $1`, kind).Scan(&signed)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := vigil.OpenCheckpoint(signed, n.verifier)
	if err != nil {
		return nil, fmt.Errorf("%w: the database's checkpoint is not the log's: %w", ErrInconsistent, err)
	}
	return c, nil
}

func storeCheckpoint(tx store.Tx, kind int, signed []byte) error {
	_, err := tx.Exec(`INSERT INTO notary_checkpoint (kind, note) VALUES ($1, $2) ON CONFLICT (kind) DO UPDATE SET note = excluded.note`, kind, signed)
	return err
}

// compareFiles holds the log against what the data directory says was signed, as a database can be put back to an earlier state, or
// exchanged, in a way that it does not show itself. It writes the files that are not there.
func (n *Notary) compareFiles() error {
	keyPath := filepath.Join(n.dir, KeyFile)
	key, err := os.ReadFile(keyPath)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := replaceFile(keyPath, []byte(n.vkey+"\n")); err != nil {
			return err
		}
	case err != nil:
		return err
	case strings.TrimSpace(string(key)) != n.vkey:
		return fmt.Errorf("%w: the database's log is %s, and %s is of %s", ErrInconsistent, n.vkey, keyPath, strings.TrimSpace(string(key)))
	}

	path := filepath.Join(n.dir, CheckpointFile)
	kept, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return n.keep()
	}
	if err != nil {
		return err
	}
	c, err := vigil.OpenCheckpoint(kept, n.verifier)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInconsistent, path, err)
	}
	if c.Size > n.signed.Size {
		return fmt.Errorf("%w: %s says that %d records were sealed, and the database has %d of them: it was put back to an earlier state",
			ErrInconsistent, path, c.Size, n.signed.Size)
	}
	if err := n.prove(context.Background(), c.Checkpoint); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInconsistent, path, err)
	}
	return nil
}

// keep writes the last checkpoint into the data directory.
func (n *Notary) keep() error {
	return replaceFile(filepath.Join(n.dir, CheckpointFile), n.Signed().Note)
}

// replaceFile writes a file whole, or leaves it as it was.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Run seals the journal's records as they are sequenced, until ctx is done.
func (n *Notary) Run(ctx context.Context) error {
	var keeping sync.WaitGroup
	keeping.Go(func() { n.runKeeper(ctx) })
	if len(n.witnesses) > 0 {
		keeping.Go(func() { n.runWitnesses(ctx) })
	}
	err := n.journal.Follow(ctx, journal.Follower{Name: Follower, DB: n.db, Prepare: n.prepare, Apply: n.seal, Pace: pace})
	keeping.Wait()
	return err
}

// pace is how far apart checkpoints are at least, while there is not more to seal than one round takes.
const pace = 250 * time.Millisecond

// runKeeper keeps the file with the last checkpoint.
func (n *Notary) runKeeper(ctx context.Context) {
	for ended := false; !ended; {
		select {
		case <-n.sealed:
		case <-ctx.Done():
			ended = true
		}
		if n.Signed() == nil {
			continue
		}
		if err := n.keep(); err != nil {
			n.log.Error("The last checkpoint could not be written into the data directory.", "error", err)
		}
	}
}
