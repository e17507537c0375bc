package seal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigil/internal/store"
	"vigil/internal/store/sqlite"
)

func openDB(t *testing.T, path string) store.DB {
	t.Helper()
	db, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func newSeal(t *testing.T) Seal {
	t.Helper()
	s, err := File(filepath.Join(t.TempDir(), "root.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func unseal(t *testing.T, db store.DB, s Seal) *Root {
	t.Helper()
	root, err := Unseal(t.Context(), db, s)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestTheRootSurvivesARestart(t *testing.T) {
	path, s := filepath.Join(t.TempDir(), "vigil.db"), newSeal(t)
	db := openDB(t, path)
	blob, err := unseal(t, db, s).For("kms").Wrap([]byte("key material"), []byte("key/1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openDB(t, path)
	for range 2 {
		got, err := unseal(t, db, s).For("kms").Unwrap(blob, []byte("key/1"))
		if err != nil || string(got) != "key material" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestEachDatabaseHasARootOfItsOwn(t *testing.T) {
	s := newSeal(t)
	one := unseal(t, openDB(t, filepath.Join(t.TempDir(), "one.db")), s)
	other := unseal(t, openDB(t, filepath.Join(t.TempDir(), "other.db")), s)
	blob, err := one.For("kms").Wrap([]byte("key material"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.For("kms").Unwrap(blob, nil); err == nil {
		t.Error("another database's root unwraps it")
	}
}

// A database that has a root keeps it, whatever goes wrong in loading it.
func TestUnsealRefuses(t *testing.T) {
	for _, test := range []struct {
		name    string
		with    func(t *testing.T, own Seal) Seal
		damage  func(blob []byte) []byte
		message string
	}{
		{"another key file", func(t *testing.T, _ Seal) Seal { return newSeal(t) }, nil,
			"seal: this database belongs to another root key than the one given."},
		{"another kind of seal", func(_ *testing.T, own Seal) Seal { return renamed{own} }, nil,
			"seal: the root key of this database is guarded by a file seal, not by a token seal"},
		{"damage", nil, func(blob []byte) []byte { return append(blob[:40], blob[41:]...) },
			"seal: the root key of this database cannot be unwrapped: the wrapped key is damaged"},
		{"nothing left", nil, func([]byte) []byte { return []byte{} },
			"seal: the root key of this database cannot be unwrapped: the wrapped key is too short"},
		{"a newer form", nil, func(blob []byte) []byte { return append([]byte{2}, blob[1:]...) },
			"seal: the root key of this database cannot be unwrapped: the wrapped key has form 2, which this version of Vigil does not know"},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, own := openDB(t, filepath.Join(t.TempDir(), "vigil.db")), newSeal(t)
			blob, err := unseal(t, db, own).For("kms").Wrap([]byte("key material"), nil)
			if err != nil {
				t.Fatal(err)
			}
			saved := wrappedRoot(t, db)
			if test.damage != nil {
				setWrappedRoot(t, db, test.damage([]byte(saved)))
			}
			before := wrappedRoot(t, db)

			s := own
			if test.with != nil {
				s = test.with(t, own)
			}
			root, err := Unseal(t.Context(), db, s)
			if root != nil || err == nil || !strings.HasPrefix(err.Error(), test.message) {
				t.Fatalf("got %v, %v", root, err)
			}
			if wrappedRoot(t, db) != before {
				t.Error("the database has changed")
			}

			setWrappedRoot(t, db, []byte(saved))
			if got, err := unseal(t, db, own).For("kms").Unwrap(blob, nil); err != nil || string(got) != "key material" {
				t.Errorf("with its own seal again: %q, %v", got, err)
			}
		})
	}
}

// renamed is a seal of another kind.
type renamed struct{ Seal }

func (renamed) Name() string { return "token" }

func TestAnotherKeyIsRecognised(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "vigil.db"))
	unseal(t, db, newSeal(t))
	if _, err := Unseal(t.Context(), db, newSeal(t)); !errors.Is(err, ErrOtherKey) {
		t.Errorf("got %v", err)
	}
}

// A root that was not stored would be lost with all that it wraps.
func TestARootThatCannotBeStoredIsNotUsed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	db := openDB(t, filepath.Join(t.TempDir(), "vigil.db"))
	root, err := Unseal(ctx, db, cancelling{newSeal(t), cancel})
	if root != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", root, err)
	}
}

// cancelling is a seal during whose work the server is told to stop.
type cancelling struct {
	Seal
	cancel context.CancelFunc
}

func (c cancelling) Wrap(dek []byte) ([]byte, error) {
	c.cancel()
	return c.Seal.Wrap(dek)
}

func TestTheDatabaseDoesNotHoldItsRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	root := unseal(t, openDB(t, path), newSeal(t))
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if data, _ := os.ReadFile(file); bytes.Contains(data, root.key()) {
			t.Errorf("%s holds the root", filepath.Base(file))
		}
	}
}

func wrappedRoot(t *testing.T, db store.DB) string {
	t.Helper()
	var rows int
	var wrapped string
	err := db.View(t.Context(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*), MIN(wrapped) FROM seal_root`).Scan(&rows, &wrapped)
	})
	if err != nil || rows != 1 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	return wrapped
}

func setWrappedRoot(t *testing.T, db store.DB, wrapped []byte) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE seal_root SET wrapped = $1`, wrapped)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
