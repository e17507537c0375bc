package store

import (
	"slices"
	"strings"
	"testing"
)

var upper = Dialect{Text: "T", BigInt: "I", Double: "D", Bytea: "B", TableOptions: " END"}

func TestTranslate(t *testing.T) {
	tests := []struct {
		name string
		step string
		want []string
	}{
		{"each type", `CREATE TABLE a (b TEXT NOT NULL, c bigint, d DOUBLE PRECISION, e Bytea)`,
			[]string{`CREATE TABLE a (b T NOT NULL, c I, d D , e B) END`}},
		{"a column that is called like a type", `CREATE TABLE a (text TEXT, bigint BIGINT, "TEXT" TEXT)`,
			[]string{`CREATE TABLE a (text T, bigint I, "TEXT" T) END`}},
		{"constraints", `CREATE TABLE IF NOT EXISTS a (b BIGINT PRIMARY KEY CHECK (b IN (0, 1)), c TEXT DEFAULT 'x TEXT, y', PRIMARY KEY (b, c), UNIQUE (c), FOREIGN KEY (b) REFERENCES z (y), CHECK (c <> ''))`,
			[]string{`CREATE TABLE IF NOT EXISTS a (b I PRIMARY KEY CHECK (b IN (0, 1)), c T DEFAULT 'x TEXT, y', PRIMARY KEY (b, c), UNIQUE (c), FOREIGN KEY (b) REFERENCES z (y), CHECK (c <> '')) END`}},
		{"added columns", `ALTER TABLE a ADD COLUMN b BIGINT NOT NULL DEFAULT 0; ALTER TABLE a ADD text TEXT; ALTER TABLE a RENAME TO b`,
			[]string{`ALTER TABLE a ADD COLUMN b I NOT NULL DEFAULT 0`, `ALTER TABLE a ADD text T`, `ALTER TABLE a RENAME TO b`}},
		{"other statements are left alone", `INSERT INTO a SELECT CAST(b AS TEXT) FROM c; CREATE INDEX TEXT ON a (b)`,
			[]string{`INSERT INTO a SELECT CAST(b AS TEXT) FROM c`, `CREATE INDEX TEXT ON a (b)`}},
		{"semicolons that end nothing", "DELETE FROM a WHERE b = 'x;''y;' -- c; d\n AND \"e;\" = 1 /* f; g */;\n;-- nothing;\n",
			[]string{"DELETE FROM a WHERE b = 'x;''y;' -- c; d\n AND \"e;\" = 1 /* f; g */"}},
		{"comments within", "-- first\nCREATE /* second */ TABLE a ( -- third, (\n b TEXT -- fourth\n)",
			[]string{"-- first\nCREATE /* second */ TABLE a ( -- third, (\n b T -- fourth\n) END"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := translate(test.step, upper)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestTranslateRefuses(t *testing.T) {
	tests := []struct{ name, step, want string }{
		{"nothing", " ; -- only a comment\n", "no statement"},
		{"a type outside the subset", `CREATE TABLE a (b VARCHAR(10))`, "column b is a VARCHAR"},
		{"a type outside the subset, added", `ALTER TABLE a ADD COLUMN b BOOLEAN`, "column b is a BOOLEAN"},
		{"half a type", `CREATE TABLE a (b DOUBLE)`, "column b is a DOUBLE"},
		{"no type", `CREATE TABLE a (b)`, "column b is a )"},
		{"a table of a query", `CREATE TABLE a AS SELECT 1`, "no list of columns"},
		{"a table of a query in parentheses", `CREATE TABLE a AS (SELECT 1)`, "no list of columns"},
		{"options", `CREATE TABLE a (b TEXT PRIMARY KEY) WITHOUT ROWID`, "behind its list"},
		{"an open list", `CREATE TABLE a (b TEXT`, "does not end"},
		{"an open quote", `SELECT 'a''`, "quote does not end"},
		{"an open comment", `SELECT 1 /* a`, "comment does not end"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := translate(test.step, upper)
			if err == nil {
				t.Fatalf("got %q", got)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want it to say %q", err, test.want)
			}
		})
	}
}

// What is cut into tokens is whole again when it is joined, and what has been translated once has nothing left to split.
func FuzzTranslate(f *testing.F) {
	f.Add("CREATE TABLE a (b TEXT, c DOUBLE PRECISION, PRIMARY KEY (b)); ALTER TABLE a ADD d BYTEA")
	f.Add("SELECT 'x;''y', \"z\"\"\" -- c\n /* d */; ;")
	f.Add("create table (")
	f.Fuzz(func(t *testing.T, step string) {
		tokens, err := tokenize(step)
		if err != nil {
			return
		}
		if got := join(tokens); got != step {
			t.Fatalf("joined: %q", got)
		}
		statements, err := translate(step, upper)
		if err != nil {
			return
		}
		for _, statement := range statements {
			again, err := tokenize(statement)
			if err != nil {
				t.Fatalf("%q: %v", statement, err)
			}
			if n := len(split(again)); n != 1 {
				t.Fatalf("%q is %d statements", statement, n)
			}
		}
	})
}
