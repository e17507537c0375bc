package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"vigil"
	"vigil/internal/notary"
	"vigil/internal/server"
	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/sqlite"
)

// prove writes the proof of an event, which it asks the running server for.
func prove(ctx context.Context, c *cli, args []string) error {
	fs := newFlags(c, "prove")
	data := dataFlag(fs)
	out := fs.String("out", "", "the `FILE` to write; EVENT_ID.tlog-proof if not given, - for standard output")
	words, err := parse(c, fs, args, "EVENT_ID")
	if err != nil {
		return err
	}
	if server.ServingProcess(*data) == 0 {
		return fmt.Errorf("no server runs on %s: start one with `vigil serve --data %s`", *data, *data)
	}
	var answer struct{ Proof string }
	if err := operate(ctx, *data, "", "ProveEvent", map[string]any{"EventId": words[0]}, &answer); err != nil {
		return err
	}
	if *out == "-" {
		_, err := io.WriteString(c.stdout, answer.Proof)
		return err
	}
	if *out == "" {
		*out = filepath.Base(words[0]) + ".tlog-proof"
	}
	if err := os.WriteFile(*out, []byte(answer.Proof), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "Wrote %s. Who has the log's key verifies it with:  vigil verify %s --log-key KEY\n", *out, shellQuote(*out))
	return nil
}

// verifyFlags are what `vigil verify` is given beside what it verifies.
type verifyFlags struct {
	data, database, key, checkpoint, publicKeys string

	s3Endpoint, s3Region, s3Credentials string

	droppedBefore int64
	witnesses     witnesses
}

// verify checks what it is given: a proof file, the database of a data directory, or the files of a trail in a bucket or in a folder.
func verify(ctx context.Context, c *cli, args []string) error {
	fs := newFlags(c, "verify")
	var f verifyFlags
	fs.StringVar(&f.data, "data", "./vigil-data", "the data `DIR` whose log made a proof file, if --log-key is not given")
	fs.StringVar(&f.database, "database", "", "the PostgreSQL `URL` that the data directory's server is run with")
	fs.StringVar(&f.key, "log-key", "", "the log's public `KEY`, as GET /tlog/key has it; if not given, that of the data directory")
	fs.StringVar(&f.checkpoint, "checkpoint", "", "a `FILE` with a checkpoint of the log that was kept elsewhere")
	fs.Int64Var(&f.droppedBefore, "dropped-before", 0, "the records before index `N` were dropped on purpose")
	fs.Var(&f.witnesses, "witness", "a witness whose cosignature a proof must have, `URL=KEY`; may be given again")
	fs.StringVar(&f.publicKeys, "public-keys", "", "a `FILE` with what list-public-keys prints, for a trail's files; if not given, those of the data directory")
	s3Flags(fs, &f.s3Endpoint, &f.s3Region, &f.s3Credentials)
	words, err := parse(c, fs, args, "FILE|DIR|s3://BUCKET/PREFIX")
	if err != nil {
		return err
	}
	target := words[0]
	if strings.HasPrefix(target, "s3://") {
		files, err := openS3(target, f)
		if err != nil {
			return err
		}
		return verifyTrail(ctx, c, files, f)
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return verifyProof(c, target, f)
	}
	if !isDataDir(target) {
		files, err := openFolder(target)
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is no data directory, nor has it the files of a trail: %w", target, err)
		}
		if err != nil {
			return err
		}
		return verifyTrail(ctx, c, files, f)
	}
	return verifyDirectory(ctx, c, target, f)
}

// isDataDir says that a directory is, or was, a server's.
func isDataDir(dir string) bool {
	for _, name := range []string{"vigil.db", notary.KeyFile, notary.CheckpointFile, "root.key"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// logKey is the key that the command line gives, or that of a data directory.
func logKey(f verifyFlags, dir string) (note.Verifier, error) {
	text := f.key
	if text == "" {
		file := filepath.Join(dir, notary.KeyFile)
		read, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("whose log is it? Give --log-key, or the data directory: %w", err)
		}
		text = strings.TrimSpace(string(read))
	}
	return vigil.NewVerifier(text)
}

func verifyProof(c *cli, path string, f verifyFlags) error {
	file, err := readLimited(path, vigil.MaxProofSize)
	if err != nil {
		return err
	}
	proof, err := vigil.ParseProof(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	key, err := logKey(f, f.data)
	if err != nil {
		return err
	}
	var keys []note.Verifier
	for _, w := range f.witnesses {
		keys = append(keys, w.Key)
	}
	checkpoint, err := proof.Verify(key, keys...)
	if err != nil {
		return fmt.Errorf("%s proves nothing: %w", path, err)
	}
	for _, key := range keys {
		if !cosignedBy(checkpoint, key) {
			return fmt.Errorf("%s: the witness %s has not cosigned the checkpoint", path, key.Name())
		}
	}
	line, err := eventLine(proof.Record)
	if err != nil {
		line = fmt.Sprintf("%d bytes that are no event", len(proof.Record))
	}
	fmt.Fprintf(c.stdout, "Good: this is record %d of the %d of the log %s.\n%s\n", proof.Index, checkpoint.Size, checkpoint.Origin, line)
	for _, w := range checkpoint.Witnesses {
		fmt.Fprintf(c.stdout, "Cosigned by %s at %s.\n", w.Witness, time.Unix(w.Time, 0).UTC().Format(time.RFC3339))
	}
	return nil
}

func cosignedBy(c *vigil.SignedCheckpoint, key note.Verifier) bool {
	for _, w := range c.Witnesses {
		if w.Witness == key.Name() {
			return true
		}
	}
	return false
}

// readLimited reads a file that should not be larger than max bytes.
func readLimited(path string, max int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, max+1))
}

// verifyDirectory holds the database of a data directory against its log, and against what is known of that.
func verifyDirectory(ctx context.Context, c *cli, dir string, f verifyFlags) error {
	options := notary.CheckOptions{DroppedBefore: f.droppedBefore}
	key, err := logKey(f, dir)
	switch {
	case err == nil:
		options.Key = key
	case f.key != "" || !errors.Is(err, os.ErrNotExist):
		return err
	default:
		fmt.Fprintf(c.stdout, "%s is missing, so the database is believed about its log's key; give --log-key to be sure.\n", filepath.Join(dir, notary.KeyFile))
	}
	for _, path := range []string{filepath.Join(dir, notary.CheckpointFile), f.checkpoint} {
		if path == "" {
			continue
		}
		kept, err := readLimited(path, vigil.MaxCheckpointSize)
		if errors.Is(err, os.ErrNotExist) && path != f.checkpoint {
			fmt.Fprintf(c.stdout, "%s is missing: that the database was not put back to an earlier state cannot be told without it.\n", path)
			continue
		}
		if err != nil {
			return err
		}
		options.Known = append(options.Known, notary.Known{From: path, Note: kept})
	}
	db, err := openToVerify(ctx, dir, f.database)
	if err != nil {
		return err
	}
	defer db.Close()
	report, err := notary.Check(ctx, db, options)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return sayReport(c, dir, report)
}

// openToVerify opens a database that must be there, and in use by nobody.
func openToVerify(ctx context.Context, dir, database string) (db store.DB, err error) {
	if database != "" {
		db, err = postgres.Open(ctx, database, "vigil")
	} else {
		path := filepath.Join(dir, "vigil.db")
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%s is no data directory with a database (--database names one in PostgreSQL): %w", dir, err)
		}
		db, err = sqlite.Open(path)
	}
	if errors.Is(err, store.ErrInUse) {
		return nil, fmt.Errorf("%w: stop the server, or verify a copy", err)
	}
	return db, err
}

func sayReport(c *cli, dir string, r *notary.Report) error {
	for _, finding := range r.Findings {
		fmt.Fprintln(c.stdout, printable(finding))
	}
	if r.More > 0 {
		fmt.Fprintf(c.stdout, "and %d more\n", r.More)
	}
	if r.Unsealed > 0 {
		fmt.Fprintf(c.stdout, "The newest %d records are not under a checkpoint yet: they were written as the server stopped, and its next start seals them.\n", r.Unsealed)
	}
	if r.Dropped > 0 {
		fmt.Fprintf(c.stdout, "%d records were dropped, as was to be expected; the log still has their digests.\n", r.Dropped)
	}
	if s := r.Retention; s != nil {
		fmt.Fprintf(c.stdout, "The records before %d, all older than %s, were dropped by retention on %s: record %d states it.\n",
			s.Before, s.Older.Format(time.RFC3339), s.Time.Format(time.RFC3339), r.Statement)
	}
	if !r.Good() {
		return fmt.Errorf("%s is not what was signed: %s", dir, count(int64(len(r.Findings)+r.More), "finding"))
	}
	fmt.Fprintf(c.stdout, "Good: %d records are as they were sealed by %s.\n", r.Sealed-r.Dropped, r.VerifierKey)
	return nil
}

// witnesses is the value of --witness, which may be given more than once. In the environment its values are parted by spaces.
type witnesses []notary.Witness

func (w *witnesses) String() string { return "" }

func (w *witnesses) Set(text string) error {
	for _, one := range strings.Fields(text) {
		parsed, err := notary.ParseWitness(one)
		if err != nil {
			return err
		}
		*w = append(*w, parsed)
	}
	return nil
}
