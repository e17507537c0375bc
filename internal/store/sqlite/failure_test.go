//go:build unix

package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"vigil/internal/store"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("VIGIL_TEST_WRITE"); path != "" {
		if err := writeForEver(path, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForEver commits rows and says the number of each when it is committed.
func writeForEver(path string, out io.Writer) error {
	db, err := Open(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := db.Migrate(ctx, "crash", `CREATE TABLE row (number BIGINT PRIMARY KEY, body BYTEA NOT NULL)`); err != nil {
		return err
	}
	for {
		var number int64
		err := db.Update(ctx, func(tx store.Tx) error {
			err := tx.QueryRow(`SELECT COALESCE(MAX(number), 0) + 1 FROM row`).Scan(&number)
			if err != nil {
				return err
			}
			_, err = tx.Exec(`INSERT INTO row (number, body) VALUES ($1, $2)`, number, make([]byte, 100+rand.IntN(20000)))
			return err
		})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, number); err != nil {
			return err
		}
	}
}

// TestKill kills a process while it writes, again and again. Whatever it has said to be committed must be there.
func TestKill(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "vigil.db")
	last := int64(0)
	for round := range 10 {
		child := exec.Command(program)
		child.Env = append(os.Environ(), "VIGIL_TEST_WRITE="+path)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for left := 1 + rand.IntN(400); lines.Scan(); left-- { // to the end: what came before the kill counts too
			if last, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
				t.Fatal(err)
			}
			if left == 0 {
				child.Process.Kill()
			}
		}
		child.Wait()

		db, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(context.Background(), func(tx store.Tx) error {
			var count, highest int64
			if err := tx.QueryRow(`SELECT COUNT(*), MAX(number) FROM row`).Scan(&count, &highest); err != nil {
				return err
			}
			if count != highest || highest < last || highest > last+1 {
				t.Errorf("round %d: %d rows up to %d, and %d was said to be committed", round, count, highest, last)
			}
			var health string
			if err := tx.QueryRow(`PRAGMA integrity_check`).Scan(&health); err != nil {
				return err
			}
			if health != "ok" {
				t.Errorf("round %d: %s", round, health)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// limitFiles has writes fail that would make a file larger than size, until the function that it returns is called.
func limitFiles(t *testing.T, size int64) (lift func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(size), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	lift = func() { syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before) }
	t.Cleanup(lift)
	return lift
}

// A disk that does not take a commit leaves it in doubt until it takes something again.
func TestDiskFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrate(t, db)
	put(t, db, "before")
	wal, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}

	lift := limitFiles(t, wal.Size())
	err = db.Update(context.Background(), func(tx store.Tx) error {
		tx.OnCommit(func() { t.Error("OnCommit ran") })
		return insert(tx, "a")
	})
	var commit *store.CommitError
	if !errors.As(err, &commit) {
		t.Fatalf("got error %v, want a CommitError", err)
	}
	nothing := func(store.Tx) error { t.Error("it is not known what there is to see"); return nil }
	if err := db.View(context.Background(), nothing); err == nil {
		t.Error("View answered")
	}
	if err := db.Update(context.Background(), nothing); err == nil || errors.As(err, &commit) {
		t.Errorf("Update: %v", err)
	}

	lift()
	want(t, db, "a", false)
	want(t, db, "before", true)
	put(t, db, "a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(path); err != nil {
		t.Fatal(err)
	}
	want(t, db, "a", true)
}

// A disk that takes something, but not this commit, leaves no doubt.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrate(t, db)
	put(t, db, "before")
	wal, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}

	lift := limitFiles(t, wal.Size()+20*4096)
	large := strings.Repeat("x", 1<<20)
	err = db.Update(context.Background(), func(tx store.Tx) error {
		tx.OnCommit(func() { t.Error("OnCommit ran") })
		return insert(tx, large)
	})
	var commit *store.CommitError
	if err == nil || errors.As(err, &commit) {
		t.Fatalf("got error %v, and it is not in doubt", err)
	}
	want(t, db, large, false)
	put(t, db, "small")

	// A change that does not even fit into memory fails before the commit. The Update goes with it, and not only the savepoint.
	huge := make([]byte, 1<<20)
	err = db.Update(context.Background(), func(tx store.Tx) error {
		insert(tx, "with it")
		for i := range 100 {
			err := tx.Savepoint(func(tx store.Tx) error {
				_, err := tx.Exec(`INSERT INTO item (name, body) VALUES ($1, $2)`, fmt.Sprint("huge", i), huge)
				return err
			})
			if err != nil {
				break
			}
		}
		insert(tx, "after it")
		return nil
	})
	if err == nil || errors.As(err, &commit) {
		t.Errorf("got error %v", err)
	}
	for _, name := range []string{"with it", "after it", "huge0"} {
		want(t, db, name, false)
	}

	lift()
	want(t, db, "small", true)
	put(t, db, large)
}
