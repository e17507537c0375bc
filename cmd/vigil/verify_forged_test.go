package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"vigil"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
)

// TestVerifyForged has `vigil verify` look at data directories that somebody has changed who may write to every file and has no key.
func TestVerifyForged(t *testing.T) {
	dir := t.TempDir()
	s := startVigil(t, dir)
	made, err := s.kms().CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	use := func(s *process) {
		t.Helper()
		for range 20 {
			if _, err := s.kms().Encrypt(t.Context(), &kms.EncryptInput{KeyId: made.KeyMetadata.KeyId, Plaintext: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	use(s)
	s.stop(t)
	earlier := filepath.Join(t.TempDir(), "earlier")
	copyFolder(t, dir, earlier)
	s = startVigil(t, dir)
	use(s)
	s.stop(t)

	for _, c := range []struct {
		name  string
		forge func(t *testing.T, dir string)
		want  string // empty: all is good
	}{
		{"as it was", func(*testing.T, string) {}, ""},
		{"record altered", rewritePages(func(records []vigil.PageRecord) []vigil.PageRecord {
			for i, r := range records {
				records[i].Data = []byte(strings.Replace(string(r.Data), `"eventName":"CreateKey"`, `"eventName":"CreateKid"`, 1))
			}
			return records
		}), "was altered or exchanged: it now is event"},
		{"record removed", rewritePages(func(records []vigil.PageRecord) []vigil.PageRecord {
			return slices.DeleteFunc(records, func(r vigil.PageRecord) bool { return strings.Contains(string(r.Data), `"eventName":"CreateKey"`) })
		}), "is missing"},
		{"records reordered", func(t *testing.T, dir string) {
			change(t, dir, `UPDATE journal_order SET first = -1 WHERE first = (SELECT MAX(first) FROM journal_order)`,
				`UPDATE journal_order SET first = (SELECT MAX(first) + 1 FROM journal_order) WHERE first = (SELECT MAX(first) FROM journal_order)`,
				`UPDATE journal_order SET first = (SELECT MAX(first) - 1 FROM journal_order) WHERE first = -1`)
		}, "was moved: it stands at place"},
		{"newest records removed", func(t *testing.T, dir string) {
			change(t, dir, `DELETE FROM journal_order WHERE first = (SELECT MAX(first) FROM journal_order)`)
		}, "missing"},
		{"checkpoint rolled back", func(t *testing.T, dir string) { // with all of the database, so that nothing in it is inconsistent
			for _, name := range []string{"vigil.db", "vigil.db-wal", "vigil.db-shm"} {
				data, err := os.ReadFile(filepath.Join(earlier, name))
				if os.IsNotExist(err) {
					os.Remove(filepath.Join(dir, name))
					continue
				}
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}, "the checkpoint was rolled back"},
		{"checkpoint removed", func(t *testing.T, dir string) { change(t, dir, `DELETE FROM notary_checkpoint`) }, "the checkpoint is missing"},
		{"log's key exchanged", func(t *testing.T, dir string) {
			change(t, dir, `UPDATE notary_log SET public = X'8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c'`)
		}, "its key was exchanged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			forged := filepath.Join(t.TempDir(), "data")
			copyFolder(t, dir, forged)
			c.forge(t, forged)
			out, err := exec.Command("vigil", "verify", forged).CombinedOutput()
			if good := err == nil; good != (c.want == "") || !strings.Contains(string(out), c.want) {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// copyFolder copies a folder of files that nobody has open.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	// The files of a data directory are nobody else's, which the copies are not by themselves.
	if err := filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	}); err != nil {
		t.Fatal(err)
	}
}

// change executes statements on a data directory's database, each of which changes something.
func change(t *testing.T, dir string, statements ...string) {
	t.Helper()
	alter(t, dir, func(tx store.Tx) {
		for _, s := range statements {
			if n, err := tx.Exec(s); err != nil || n == 0 {
				t.Fatalf("%s: %d rows, %v", s, n, err)
			}
		}
	})
}

func alter(t *testing.T, dir string, with func(store.Tx)) {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(dir, "vigil.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(t.Context(), func(tx store.Tx) error { with(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

// rewritePages forges the records of the page that has CreateKey.
func rewritePages(forge func([]vigil.PageRecord) []vigil.PageRecord) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		alter(t, dir, func(tx store.Tx) {
			type page struct {
				node, number int64
				body         []byte
			}
			var pages []page
			rows, err := tx.Query(`SELECT node, number, body FROM journal_page`)
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var p page
				if err := rows.Scan(&p.node, &p.number, &p.body); err != nil {
					t.Fatal(err)
				}
				pages = append(pages, p)
			}
			rows.Close()
			for _, p := range pages {
				records, err := vigil.DecodePage(p.body)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(records, func(r vigil.PageRecord) bool { return strings.Contains(string(r.Data), `"eventName":"CreateKey"`) }) {
					continue
				}
				var w vigil.PageWriter
				for _, r := range forge(records) {
					w.Add(r.Time, r.Data)
				}
				if _, err := tx.Exec(`UPDATE journal_page SET body = $1 WHERE node = $2 AND number = $3`, w.Encode(), p.node, p.number); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
