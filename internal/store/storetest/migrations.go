package storetest

import (
	"context"
	"strings"
	"sync"
	"testing"

	"vigil/internal/store"
)

const itemTable = `CREATE TABLE item (name TEXT PRIMARY KEY, number BIGINT NOT NULL)`

func (d *database) migrate(component string, steps ...string) {
	d.t.Helper()
	if err := d.Migrate(context.Background(), component, steps...); err != nil {
		d.t.Fatalf("Migrate %s: %v", component, err)
	}
}

func testMigrateOnce(t *testing.T, d *database) {
	once := `INSERT INTO item (name, number) VALUES ('a', 1)`
	again := `UPDATE item SET number = number + 10`
	d.migrate("test", itemTable, once)
	d.want("a", 1)
	d.migrate("test", itemTable, once)
	d.migrate("test", itemTable, once, again)
	d.want("a", 11)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.reopen()
	d.migrate("test", itemTable, once, again)
	d.want("a", 11)
}

func testMigrateAtOnce(t *testing.T, d *database) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := d.Migrate(context.Background(), "test", itemTable, `INSERT INTO item (name, number) VALUES ('a', 1)`); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	d.want("a", 1)
}

func testMigrateComponents(t *testing.T, d *database) {
	d.migrate("test", itemTable)
	d.migrate("other", `CREATE TABLE other (a TEXT)`, `INSERT INTO item (name, number) VALUES ('a', 1)`)
	d.migrate("test", itemTable, `UPDATE item SET number = 2`)
	d.migrate("other", `CREATE TABLE other (a TEXT)`, `INSERT INTO item (name, number) VALUES ('a', 1)`)
	d.want("a", 2)
	d.migrate("none")
}

func testMigrateFails(t *testing.T, d *database) {
	insert := `INSERT INTO item (name, number) VALUES ('a', 1)`
	err := d.Migrate(context.Background(), "test", itemTable, insert+`; INSERT INTO nowhere VALUES (1)`, insert)
	if err == nil || !strings.Contains(err.Error(), "test 2") {
		t.Fatalf("got error %v", err)
	}
	d.want("a", missing)
	d.migrate("test", itemTable, insert)
	d.want("a", 1)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.Migrate(ctx, "test", itemTable, insert, `UPDATE item SET number = 2`); err == nil {
		t.Error("Migrate succeeded when its context had ended")
	}
	d.want("a", 1)
}

func testMigrateNewer(t *testing.T, d *database) {
	d.migrate("test", itemTable, `INSERT INTO item (name, number) VALUES ('a', 1)`)
	for _, steps := range [][]string{{itemTable}, nil} {
		err := d.Migrate(context.Background(), "test", steps...)
		if err == nil || !strings.Contains(err.Error(), "newer") {
			t.Errorf("%d steps: got error %v", len(steps), err)
		}
	}
	d.want("a", 1)
}

func testMigrateStatements(t *testing.T, d *database) {
	d.migrate("test", itemTable+`; -- a comment; with a semicolon
		CREATE INDEX item_number ON item (number);
		INSERT INTO item (name, number) VALUES ('a;b', 1), ('c''; d', 2);`)
	d.want("a;b", 1)
	d.want("c'; d", 2)
	d.update(func(tx store.Tx) { put(tx, "e", 1) })

	if err := d.Migrate(context.Background(), "other", `  ; -- nothing`); err == nil {
		t.Error("an empty step was taken")
	}
}
