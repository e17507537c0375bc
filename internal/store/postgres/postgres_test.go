package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/storetest"
)

func TestStore(t *testing.T) {
	url := storetest.Postgres(t)
	schemas := 0
	storetest.Run(t, func(t *testing.T) func() (store.DB, error) {
		schemas++
		schema := fmt.Sprint("vigil_", schemas)
		return func() (store.DB, error) { return postgres.Open(context.Background(), url, schema) }
	})
}

func TestOneProcessAtATime(t *testing.T) {
	url := storetest.Postgres(t)
	first := open(t, url, "vigil")
	if _, err := postgres.Open(context.Background(), url, "vigil"); !errors.Is(err, store.ErrInUse) {
		t.Fatalf("got error %v, want ErrInUse", err)
	}
	migrate(t, first)

	other := open(t, url, "Other; schema\"")
	migrate(t, other)
	wantUpdate(t, other)

	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	wantUpdate(t, open(t, url, "vigil"))
}

func TestTakeover(t *testing.T) {
	server := connect(t, storetest.Postgres(t))
	first := open(t, server.url, "vigil")
	migrate(t, first)

	server.kill(server.writer())
	second := open(t, server.url, "vigil")
	put(t, second, "second")

	for range 2 {
		err := first.Update(context.Background(), func(tx store.Tx) error { t.Error("the function ran"); return nil })
		if !errors.Is(err, store.ErrFenced) {
			t.Errorf("the first process: got error %v, want ErrFenced", err)
		}
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if err := first.Update(context.Background(), func(tx store.Tx) error { return nil }); !errors.Is(err, store.ErrFenced) {
		t.Errorf("after the second has gone: got error %v, want ErrFenced", err)
	}
	want(t, open(t, server.url, "vigil"), "second", true)
}

// Something that hands out sessions may leave two processes with what each takes for its lock.
func TestTakeoverWithoutLock(t *testing.T) {
	server := connect(t, storetest.Postgres(t))
	db := open(t, server.url, "vigil")
	server.exec(`UPDATE vigil.vigil_epoch SET epoch = epoch + 1`)
	err := db.Update(context.Background(), func(tx store.Tx) error { t.Error("the function ran"); return nil })
	if !errors.Is(err, store.ErrFenced) {
		t.Errorf("got error %v, want ErrFenced", err)
	}
}

func TestServerRestart(t *testing.T) {
	server := connect(t, storetest.Postgres(t))
	db := open(t, server.url, "vigil")
	migrate(t, db)
	for i := range 3 {
		name := fmt.Sprint(i)
		put(t, db, name)
		for range 2 { // more than one connection for Views
			want(t, db, name, true)
		}
		err := db.View(context.Background(), func(store.Tx) error { want(t, db, name, true); return nil })
		if err != nil {
			t.Error(err)
		}
		server.killAll()
		if i%2 == 0 {
			put(t, db, name+" after")
		}
		want(t, db, name, true)
	}
}

func TestKilledDuringUpdate(t *testing.T) {
	server := connect(t, storetest.Postgres(t))
	db := open(t, server.url, "vigil")
	migrate(t, db)
	for name, passOver := range map[string]bool{"the error is returned": false, "the error is passed over": true} {
		t.Run(name, func(t *testing.T) {
			err := db.Update(context.Background(), func(tx store.Tx) error {
				tx.OnCommit(func() { t.Error("OnCommit ran") })
				insert(tx, "before")
				server.kill(server.writer())
				err := tx.Savepoint(func(tx store.Tx) error { return insert(tx, "after") })
				if err == nil {
					t.Error("a statement ran without a server")
				}
				if passOver {
					return nil
				}
				return err
			})
			var commit *store.CommitError
			if err == nil || errors.As(err, &commit) {
				t.Errorf("got error %v", err)
			}
			want(t, db, "before", false)
			wantUpdate(t, db)
		})
	}
}

func TestKilledBeforeCommit(t *testing.T) {
	server := connect(t, storetest.Postgres(t))
	db := open(t, server.url, "vigil")
	migrate(t, db)
	err := db.Update(context.Background(), func(tx store.Tx) error {
		tx.OnCommit(func() { t.Error("OnCommit ran") })
		if err := insert(tx, "a"); err != nil {
			return err
		}
		server.kill(server.writer())
		return nil
	})
	wantInDoubt(t, err)
	want(t, db, "a", false)
	wantUpdate(t, db)
}

func TestKilledDuringCommit(t *testing.T) {
	server := connect(t, storetest.Postgres(t))
	db := open(t, server.url, "vigil")
	migrate(t, db)
	server.blockCommits()
	result := make(chan error)
	go func() {
		result <- db.Update(context.Background(), func(tx store.Tx) error {
			tx.OnCommit(func() { t.Error("OnCommit ran") })
			return insert(tx, "a")
		})
	}()
	server.kill(server.blocked())
	wantInDoubt(t, <-result)
	server.unblockCommits()
	want(t, db, "a", false)
	put(t, db, "a")
}

// The connection is lost when the server has committed, but before it could say so.
func TestAnswerLost(t *testing.T) {
	server := connect(t, storetest.Postgres(t))
	proxy := newProxy(t, server.url)
	db := open(t, proxy.url, "vigil")
	migrate(t, db)
	proxy.swallow("COMMIT")
	ran := false
	err := db.Update(context.Background(), func(tx store.Tx) error {
		tx.OnCommit(func() { ran = true })
		return insert(tx, "a")
	})
	commit := wantInDoubt(t, err)
	want(t, db, "a", true)
	if ran {
		t.Error("OnCommit ran before it was known that the transaction persisted")
	}
	commit.Happened()
	if !ran {
		t.Error("OnCommit did not run")
	}
	wantUpdate(t, db)
}

// The connection is lost, and the server is still committing when the caller looks. What it is shown must stay so.
func TestLookWhileCommitting(t *testing.T) {
	server := connect(t, storetest.Postgres(t))
	proxy := newProxy(t, server.url)
	db := open(t, proxy.url, "vigil")
	migrate(t, db)
	server.blockCommits()
	proxy.swallow("COMMIT")
	result := make(chan error)
	go func() {
		result <- db.Update(context.Background(), func(tx store.Tx) error { return insert(tx, "a") })
	}()
	blocked := server.blocked()
	proxy.cut()
	wantInDoubt(t, <-result)
	if got := server.blocked(); got != blocked {
		t.Fatalf("session %d is committing, not %d any more", got, blocked)
	}

	seen := has(t, db, "a")
	server.unblockCommits()
	wantUpdate(t, db)
	want(t, db, "a", seen)
}

func TestPasswordStaysSecret(t *testing.T) {
	const password = "Tr0ub4dor"
	for _, url := range []string{
		"postgres://vigil:" + password + "@127.0.0.1:1/vigil?sslmode=disable",
		"postgres://vigil:" + password + "/x@127.0.0.1/vigil",
		"postgres://vigil:" + password + "%zz@127.0.0.1/vigil",
		"postgres://vigil:x@y:" + password + "/vigil",
		"postgres://vigil:" + password + "@127.0.0.1/vigil?sslmode=" + password,
		"host=127.0.0.1 port=" + password + " password=" + password,
		"host=127.0.0.1 port=1 user=" + password + " password=" + password,
		password,
	} {
		db, err := postgres.Open(context.Background(), url, "vigil")
		if err == nil {
			db.Close()
			t.Fatalf("%s was opened", url)
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %q", err, err, err)} {
			if strings.Contains(text, password) {
				t.Errorf("%s: %s", url, text)
			}
		}
	}
}

func TestNoSchema(t *testing.T) {
	if _, err := postgres.Open(context.Background(), "postgres://localhost/vigil", ""); err == nil {
		t.Error("opened")
	}
}

func BenchmarkUpdate8K(b *testing.B) {
	db, err := postgres.Open(context.Background(), storetest.Postgres(b), "vigil")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	storetest.BenchmarkUpdate8K(b, db)
}
