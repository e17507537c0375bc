package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigil/internal/store"
	"vigil/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() (store.DB, error) {
		path := filepath.Join(t.TempDir(), "vigil.db")
		return func() (store.DB, error) { return Open(path) }
	})
}

func BenchmarkUpdate8K(b *testing.B) {
	db, err := Open(filepath.Join(b.TempDir(), "vigil.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	storetest.BenchmarkUpdate8K(b, db)
}

func TestFiles(t *testing.T) {
	for _, name := range []string{"vigil.db", "a b?c=d&e#f%20g:h'i\"ü.db"} {
		path := filepath.Join(t.TempDir(), name)
		db, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		migrate(t, db)
		put(t, db, "a")
		for _, suffix := range []string{"", "-wal", "-shm", "-lock"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Error(err)
			} else if info.Mode() != 0o600 {
				t.Errorf("%s%s has mode %v", name, suffix, info.Mode())
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		if len(left) != 2 || left[0].Name() != name || left[1].Name() != name+"-lock" {
			t.Errorf("after Close there are %v", left)
		}
	}
}

func TestOpenOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, store.ErrInUse) {
		t.Errorf("got error %v, want ErrInUse", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(path); err != nil {
		t.Fatal(err)
	}
	db.Close()
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{garbage, filepath.Join(dir, "missing", "vigil.db"), dir} {
		for range 2 { // the second finds nothing locked
			db, err := Open(path)
			if err == nil {
				db.Close()
				t.Fatalf("%s was opened", path)
			}
			if errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// SQLite can end a transaction on its own. What is left of it must not be committed statement by statement.
func TestOnlyUpdateCommits(t *testing.T) {
	db, err := Open(filepath.Join(t.TempDir(), "vigil.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrate(t, db)
	for _, end := range []string{"ROLLBACK", "COMMIT"} {
		for _, within := range []func(tx store.Tx, fn func(store.Tx) error) error{
			func(tx store.Tx, fn func(store.Tx) error) error { return fn(tx) },
			func(tx store.Tx, fn func(store.Tx) error) error { tx.Savepoint(fn); return insert(tx, "after") },
		} {
			err := db.Update(context.Background(), func(tx store.Tx) error {
				insert(tx, "before")
				return within(tx, func(tx store.Tx) error {
					tx.Exec(end)
					return insert(tx, "within")
				})
			})
			var commit *store.CommitError
			if err == nil || errors.As(err, &commit) {
				t.Errorf("%s: got error %v", end, err)
			}
			for _, name := range []string{"before", "within", "after"} {
				want(t, db, name, false)
			}
		}
	}
	put(t, db, "a")
	want(t, db, "a", true)
}

// No test can cut the power, so this one asks for the settings that durability hangs on.
func TestSettings(t *testing.T) {
	e, err := open(filepath.Join(t.TempDir(), "vigil.db"), defaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for pragma, want := range map[string]string{"synchronous": "2", "fullfsync": "1", "journal_mode": "wal"} {
		for _, c := range []*conn{e.writer, e.wal.conn} {
			var got string
			if err := c.QueryRowContext(context.Background(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %s, %v; want %s", pragma, got, err, want)
			}
		}
	}
}

func TestDeletedIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	migrate(t, db)
	const secret = "wrapped key material"
	put(t, db, secret)
	put(t, db, "kept")
	err = db.Update(context.Background(), func(tx store.Tx) error {
		_, err := tx.Exec(`DELETE FROM item WHERE name = $1`, secret)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(file), "kept") {
		t.Error("what was kept is not in the file")
	}
	if strings.Contains(string(file), secret) {
		t.Error("what was deleted is in the file")
	}
}

func migrate(t testing.TB, db store.DB) {
	t.Helper()
	if err := db.Migrate(context.Background(), "test", `CREATE TABLE item (name TEXT PRIMARY KEY, body BYTEA)`); err != nil {
		t.Fatal(err)
	}
}

func insert(tx store.Tx, name string) error {
	_, err := tx.Exec(`INSERT INTO item (name) VALUES ($1)`, name)
	return err
}

func put(t testing.TB, db store.DB, name string) {
	t.Helper()
	if err := db.Update(context.Background(), func(tx store.Tx) error { return insert(tx, name) }); err != nil {
		t.Fatal(err)
	}
}

func has(t testing.TB, db store.DB, name string) (found bool) {
	t.Helper()
	err := db.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM item WHERE name = $1)`, name).Scan(&found)
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func want(t testing.TB, db store.DB, name string, there bool) {
	t.Helper()
	if has(t, db, name) != there {
		t.Errorf("item %s is there: %v, want %v", name, !there, there)
	}
}

// fill commits rows of 4 KB.
func fill(t testing.TB, db store.DB, prefix string, rows int) {
	t.Helper()
	body := make([]byte, 4096)
	for i := range rows {
		err := db.Update(context.Background(), func(tx store.Tx) error {
			_, err := tx.Exec(`INSERT INTO item (name, body) VALUES ($1, $2)`, fmt.Sprint(prefix, i), body)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
