package lake

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"vigil/internal/lake/presto"
)

// Whatever is accepted runs in SQLite, gives values of the types that it was said to have, and fails by its own fault only.
func FuzzStatement(f *testing.F) {
	l := newLab(f)
	for _, q := range readQueries(f) {
		f.Add(q.statement)
	}
	for _, s := range []string{
		"SELECT CASE WHEN readOnly THEN ARRAY[eventTime, NULL] END FROM {A} GROUP BY readOnly, eventTime, ((1)) ORDER BY -1 + NULL",
		"SELECT DISTINCT coalesce(NULL, 1.5, 2), cast(resources AS json) FROM {A} a LEFT JOIN {B} ON a.eventID = errorCode ORDER BY 2 LIMIT 3",
		"SELECT max(x.t) || '' FROM (SELECT cast(eventTime AS varchar) t FROM {A} UNION SELECT NULL FROM {B}) x",
		"SELECT count(*) FROM {A} GROUP BY userIdentity HAVING userIdentity.type IS DISTINCT FROM NULL",
		"SELECT avg(1.0), sum(DISTINCT 1), min(date(eventTime)), interval '1' month * 1 FROM {A}",
		"SELECT 1 FROM {A} WHERE " + strings.Repeat("(", 40) + "1" + strings.Repeat(" BETWEEN 0 AND 2)", 40),
		"SELECT 1 FROM {A} WHERE readOnly" + strings.Repeat(" BETWEEN readOnly AND readOnly", 40),
		"SELECT 1 FROM {A} WHERE readOnly" + strings.Repeat(" IN (readOnly, true)", 60),
	} {
		f.Add(fill(s))
	}
	f.Fuzz(func(t *testing.T, statement string) {
		q, err := l.compile(statement)
		if err != nil {
			if bad := new(presto.Error); !errors.As(err, &bad) && !strings.HasPrefix(err.Error(), "no store ") {
				t.Errorf("%q: %v", statement, err)
			}
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		x := &execution{ctx: ctx, journal: l.journal, query: q, views: l.views}
		if err := x.check(); err != nil {
			if text := err.Error(); !strings.Contains(text, "too large") && !strings.Contains(text, "too many") && !strings.Contains(text, "stack overflow") && ctx.Err() == nil {
				t.Errorf("%q\n%s\n%v", statement, q.SQL, err)
			}
			return
		}
		err = x.open(func(conn *sql.Conn) error { return values(t, conn, x) })
		if err != nil && (strings.Contains(err.Error(), "vl_") || strings.Contains(err.Error(), "no such")) {
			t.Errorf("%q\n%s\n%v", statement, q.SQL, err)
		}
	})
}

// values checks the types of a query's values.
func values(t *testing.T, conn *sql.Conn, x *execution) error {
	rows, err := conn.QueryContext(x.ctx, x.query.SQL)
	if err != nil {
		return err
	}
	defer rows.Close()
	row := make([]any, len(x.query.Columns))
	places := make([]any, len(row))
	for i := range row {
		places[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return err
		}
		for i, v := range row {
			ok := v == nil
			switch v.(type) {
			case int64:
				switch x.query.Columns[i].Type.Kind {
				case presto.Varchar, presto.JSON, presto.Array, presto.Map, presto.Row:
				default:
					ok = true
				}
			case float64:
				ok = x.query.Columns[i].Type.Kind == presto.Double
			case string:
				switch x.query.Columns[i].Type.Kind {
				case presto.Varchar, presto.JSON, presto.Array, presto.Map, presto.Row:
					ok = true
				}
			}
			if !ok {
				t.Errorf("%s\ncolumn %d is %s, and %T(%v)", x.query.SQL, i, x.query.Columns[i].Type, v, v)
			}
			presto.Text(v, x.query.Columns[i].Type)
		}
	}
	return rows.Err()
}
