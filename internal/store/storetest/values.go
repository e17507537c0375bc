package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil/internal/store"
)

const valueTable = `CREATE TABLE value (id BIGINT PRIMARY KEY, t TEXT, i BIGINT, d DOUBLE PRECISION, b BYTEA)`

func testValues(t *testing.T, d *database) {
	if err := d.Migrate(context.Background(), "test", valueTable); err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte{0, 1, 0xfe, 0xff}, 1<<20)
	for id, value := range []struct {
		text   sql.Null[string]
		number sql.Null[int64]
		double sql.Null[float64]
		bytes  []byte
	}{
		{}, // NULLs
		{text: value(""), number: value[int64](0), double: value(0.0), bytes: []byte{}},
		{text: value("grüße 鍵 🔑 é e\u0301 \u200b' \" \\ % $1 ; --\n\t"), number: value[int64](math.MaxInt64), double: value(math.MaxFloat64), bytes: []byte("'\x00\xff")},
		{text: value(strings.Repeat("ÿ", 1<<16)), number: value[int64](math.MinInt64), double: value(math.SmallestNonzeroFloat64), bytes: large},
		{text: value("123"), number: value[int64](-1), double: value(0.1), bytes: []byte{0}},
		{text: value("1e3"), number: value[int64](1<<53 + 1), double: value(-3.0), bytes: []byte("text")},
		{text: value("NULL"), number: value[int64](1), double: value(math.Inf(1)), bytes: []byte("NULL")},
	} {
		d.update(func(tx store.Tx) {
			if _, err := tx.Exec(`INSERT INTO value (id, t, i, d, b) VALUES ($1, $2, $3, $4, $5)`,
				id, value.text, value.number, value.double, value.bytes); err != nil {
				t.Errorf("value %d: %v", id, err)
			}
		})
		err := d.View(context.Background(), func(tx store.Tx) error {
			got := value
			var null bool
			var size int64
			err := tx.QueryRow(`SELECT t, i, d, b, b IS NULL, COALESCE(LENGTH(b), 0) FROM value WHERE id = $1`, id).
				Scan(&got.text, &got.number, &got.double, &got.bytes, &null, &size)
			if got.text != value.text {
				t.Errorf("value %d: TEXT is %.50q, want %.50q", id, got.text.V, value.text.V)
			}
			if got.number != value.number || got.double != value.double {
				t.Errorf("value %d: got %v and %v, want %v and %v", id, got.number, got.double, value.number, value.double)
			}
			if !bytes.Equal(got.bytes, value.bytes) || size != int64(len(value.bytes)) {
				t.Errorf("value %d: BYTEA of %d bytes is %.50q and its LENGTH %d", id, len(value.bytes), got.bytes, size)
			}
			if null != (value.bytes == nil) {
				t.Errorf("value %d: BYTEA IS NULL is %v", id, null)
			}
			return err
		})
		if err != nil {
			t.Errorf("value %d: %v", id, err)
		}
	}

	err := d.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT t FROM value WHERE id = $1`, 99).Scan(new(string))
	})
	if !errors.Is(err, store.ErrNoRows) {
		t.Errorf("got error %v, want ErrNoRows", err)
	}
}

func value[T any](v T) sql.Null[T] { return sql.Null[T]{V: v, Valid: true} }

func testTextOrder(t *testing.T, d *database) {
	d.table()
	names := []string{"", " b", "-", "A", "B", "Z", "_", "a", "a b", "a-b", "aB", "ab", "b", "Ä", "ä", "鍵", "🔑"} // in order
	d.update(func(tx store.Tx) {
		for i, name := range slices.Backward(names) {
			insert(tx, name, int64(i))
		}
	})
	query := func(query string, args ...any) (got []string) {
		err := d.View(context.Background(), func(tx store.Tx) error {
			rows, err := tx.Query(query, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var name string
				if err := rows.Scan(&name); err != nil {
					return err
				}
				got = append(got, name)
			}
			return rows.Err()
		})
		if err != nil {
			t.Error(err)
		}
		return got
	}
	if got := query(`SELECT name FROM item ORDER BY name`); !slices.Equal(got, names) {
		t.Errorf("got  %q\nwant %q", got, names)
	}
	if got, want := query(`SELECT name FROM item WHERE name >= $1 AND name < $2 ORDER BY name`, "a", "b"), []string{"a", "a b", "a-b", "aB", "ab"}; !slices.Equal(got, want) {
		t.Errorf("a range: got %q, want %q", got, want)
	}
	if got, want := query(`SELECT name FROM item WHERE name LIKE $1 ORDER BY name`, "a%b"), []string{"a b", "a-b", "ab"}; !slices.Equal(got, want) {
		t.Errorf("LIKE: got %q, want %q", got, want)
	}
}

func testColumnTypes(t *testing.T, d *database) {
	if err := d.Migrate(context.Background(), "test", valueTable, `ALTER TABLE value ADD COLUMN t2 TEXT`); err != nil {
		t.Fatal(err)
	}
	for column, wrong := range map[string]any{"i": "many", "d": "much", "b": 5} {
		err := d.Update(context.Background(), func(tx store.Tx) error {
			_, err := tx.Exec(`INSERT INTO value (id, `+column+`) VALUES ($1, $2)`, 1, wrong)
			return err
		})
		if err == nil {
			t.Errorf("column %s holds %v", column, wrong)
		}
	}
	err := d.Migrate(context.Background(), "other", `CREATE TABLE a (b VARCHAR(20))`)
	if err == nil || !strings.Contains(err.Error(), "VARCHAR") {
		t.Errorf("a column of another type: %v", err)
	}
}

func testParameterTypes(t *testing.T, d *database) {
	d.table()
	for _, wrong := range []any{true, time.Now()} {
		err := d.Update(context.Background(), func(tx store.Tx) error {
			_, err := tx.Exec(`INSERT INTO item (name, number) VALUES ($1, $2)`, "a", wrong)
			return err
		})
		if err == nil {
			t.Errorf("a parameter was a %T", wrong)
		}
	}
	d.update(func(tx store.Tx) {
		for i, right := range []any{int(7), int32(7), int64(7), uint16(7)} {
			if _, err := tx.Exec(`INSERT INTO item (name, number) VALUES ($1, $2)`, fmt.Sprint(i), right); err != nil {
				t.Errorf("a parameter that is a %T: %v", right, err)
			}
		}
		// A parameter may be used twice, and out of order.
		if _, err := tx.Exec(`UPDATE item SET number = $2 WHERE name = $1 OR name = $3 AND number <> $2`, "0", 8, "1"); err != nil {
			t.Error(err)
		}
		wantIn(t, tx, "0", 8)
		wantIn(t, tx, "1", 8)
		wantIn(t, tx, "2", 7)
	})
}

func testRowsAffected(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) {
		for _, test := range []struct {
			query string
			want  int64
		}{
			{`INSERT INTO item (name, number) VALUES ('a', 1), ('b', 2), ('c', 3)`, 3},
			{`INSERT INTO item (name, number) VALUES ('a', 1), ('d', 2) ON CONFLICT DO NOTHING`, 1},
			{`UPDATE item SET number = number + 1 WHERE name <> 'a'`, 3},
			{`UPDATE item SET number = 0 WHERE name = 'z'`, 0},
			{`DELETE FROM item`, 4},
		} {
			if got, err := tx.Exec(test.query); err != nil || got != test.want {
				t.Errorf("%s: %d rows, %v; want %d", test.query, got, err, test.want)
			}
		}
	})
}

func testUpsert(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) {
		for want := int64(1); want <= 3; want++ {
			var got int64
			err := tx.QueryRow(`INSERT INTO item (name, number) VALUES ($1, 1)
				ON CONFLICT (name) DO UPDATE SET number = item.number + excluded.number RETURNING number`, "a").Scan(&got)
			if err != nil || got != want {
				t.Errorf("got %d, %v; want %d", got, err, want)
			}
		}
		err := tx.QueryRow(`UPDATE item SET number = 0 WHERE name = $1 RETURNING number`, "z").Scan(new(int64))
		if !errors.Is(err, store.ErrNoRows) {
			t.Errorf("got error %v, want ErrNoRows", err)
		}
	})
	d.want("a", 3)
}

// Statements are kept prepared, but not without bound, and not longer than they mean the same.
func testManyStatements(t *testing.T, d *database) {
	d.table()
	for range 2 {
		d.update(func(tx store.Tx) {
			for i := range 600 {
				if err := put(tx, "a", int64(i)); err != nil {
					t.Fatal(err)
				}
				var got int64
				if err := tx.QueryRow(fmt.Sprintf(`SELECT number + %d FROM item WHERE name = $1`, i), "a").Scan(&got); err != nil || got != int64(2*i) {
					t.Fatalf("statement %d: got %d, %v", i, got, err)
				}
			}
		})
	}
	if err := d.Migrate(context.Background(), "other", `ALTER TABLE item ADD COLUMN more TEXT`, `ALTER TABLE item DROP COLUMN more`); err != nil {
		t.Fatal(err)
	}
	d.wantUsable()
	d.want("a", 599)
}
